// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitwright::dq {

/// What one setting of one tensor costs.
struct LayerChoice {
  std::int64_t bytes = 0;    ///< (D20)
  double sensitivity = 0.0;  ///< Omega
};

/// Of every layer one choice, such that the sum of sensitivities is as small as the byte budget allows: a multiple-choice knapsack, solved
/// exactly by dynamic programming over bytes. Returns the index of each layer's choice.
///
/// Equation: (D19). Among equal sums the one with fewer bytes, then the one with the lower index in later layers.
/// Exactness: sums are taken in the order of the layers; rounding is monotone, so no other selection has a smaller rounded sum.
/// Requires: every layer has 1 to 255 choices, sensitivities are finite. Throws: `Error(usage)` when even the smallest choices do not fit.
/// Cost: layers * choices * (budget above the smallest choices / greatest common divisor of the steps), one byte of memory per layer and
/// step.
[[nodiscard]] std::vector<std::size_t> allocate_exactly(std::span<const std::vector<LayerChoice>> layers, std::int64_t byte_budget);

}  // namespace bitwright::dq
