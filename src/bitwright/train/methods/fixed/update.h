// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/formats/fixed_point.h"
#include "bitwright/train/methods/fixed/options.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bitwright::fixed {

/// One tensor of parameters (W or B) and its updates (dW or dB): codes, and nothing else.
struct ParameterCodes {
  std::string name;
  FixedPoint format;
  FixedPoint update_format;            ///< as many fraction bits as `format`
  std::vector<std::int32_t> codes;     ///< W, B
  std::vector<std::int32_t> updates;   ///< dW, dB: what the last step added, and so the momentum
  std::vector<double> master;          ///< W; empty but for `MasterCopy::float_weights`
  std::vector<double> master_updates;  ///< dW, likewise
};

/// The recipe's rule for one tensor in one step.
struct UpdateRule {
  double lr = 0.0;
  double momentum = 0.0;
  double weight_decay = 0.0;
  int gradient_frac_bits = 0;  ///< FL_delta + FL_Y, or FL_delta for a bias
  std::int64_t batch = 1;
  Rounding rounding = Rounding::stochastic;
  int random_bits = 64;  ///< of U; at most 32 are used
  MasterCopy master_copy = MasterCopy::none;
  Overflow overflow = Overflow::saturate;
};

/// What one update did.
struct UpdateCounts {
  std::int64_t saturated_updates = 0;
  std::int64_t saturated_codes = 0;
  std::int64_t zero_updates = 0;
  UpdateCounts& operator+=(const UpdateCounts& other);
};

/// One step of gradient descent with momentum on codes.
///
/// Equation: (G15) dW <- Convert(momentum dW - lr (G 2^-gradient_frac_bits / batch + weight_decay W), update_format); (G16) W <- W + dW,
/// saturated; both have the same step, so the sum is not rounded.
/// Rounding: the bracket in double in the order written (float32 would lose bits of a 48-bit G), then floor(y 2^FL + U), U =
/// word i of `rng` times 2^-32, cut to `random_bits` (G13); nearest: ceil(y 2^FL - 1/2) (G4). Exactness: the same on every machine and for
/// every number of threads. Requires: gradient.size() == parameter.codes.size().
[[nodiscard]] UpdateCounts update(ParameterCodes& parameter, std::span<const std::int64_t> gradient, const UpdateRule& rule,
                                  const Rng& rng);

/// Codes, updates and formats in another format. Equation: (G14). Requires: no field shrinks, so no value changes.
void change_format(ParameterCodes& parameter, const FixedPoint& format);

}  // namespace bitwright::fixed
