// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/codebook.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright::dq {

/// How many points each tensor gets.
enum class Redistribution {
  none,           ///< what the plan says
  gradient_norm,  ///< (D15) the authors' rule: counts points per tensor, so the model may grow
  equal_bytes,    ///< (D16) at most the bytes of the plan
};

/// Points per tensor, `levels` times the number of tensors in all, by the norms of their gradients.
///
/// Equation: (D15) n_l = floor(s/2) + rint(G_l / sum G * (s L - L floor(s/2))). A surplus is then taken from the first largest entry, a
/// deficit given to the first smallest. All norms zero: `levels` each.
/// Rounding: ties to even.
/// Requires: at least one norm, all finite and not negative; levels >= 4.
/// Throws: `Error(numerical)` when the correction leaves a tensor with fewer than two points.
/// Source: Polino 2018, section 4, as the authors' program does it.
[[nodiscard]] std::vector<int> points_by_gradient_norm(std::span<const double> norms, int levels);

/// One tensor that takes part in `points_at_equal_bytes`.
struct Candidate {
  std::span<const float> values;
  double gradient_norm = 0.0;
  Codebook uniform;  ///< what the plan gives it
};

/// Points per tensor with the smallest sum of G_l * ||Q_b(w_l) - w_l||_2 within the bytes of the plan; Q_b has 2^b points at quantiles, b
/// is one of `bits` or what the plan gives. Equation: (D16), solved exactly (D19) over (D20). Units: `bits` in bits per code. Throws:
/// `Error(usage)` when nothing fits.
[[nodiscard]] std::vector<int> points_at_equal_bytes(std::span<const Candidate> candidates, std::span<const int> bits);

/// Bytes of `count` weights: codes, buckets and points. Equation: (D11), (D20).
[[nodiscard]] std::int64_t codebook_bytes(const Codebook& format, std::int64_t count);

/// Refuses a setting that a table "at equal bytes" must not show. Equation: (D26), upper bound.
/// Throws: `Error(usage)` when `bytes` is above `byte_budget`.
void require_equal_bytes(std::int64_t bytes, std::int64_t byte_budget);

}  // namespace bitwright::dq
