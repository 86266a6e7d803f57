// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright {

/// Weights of a product in few bits: y(o) = factor[o] * (Σ_i w(o, i) x(i) + bias[o]).
struct NarrowWeights {
  std::vector<std::int8_t> codes;  ///< int8: w
  std::vector<float> values;       ///< bfloat16: w, each of them a bfloat16 number
  std::vector<double> factor;      ///< per output; empty = 1
  std::vector<float> bias;
  std::string note;  ///< what was rounded, one line for reports; empty = nothing
};

/// Integers of the weight's format; `tail_scale` (empty = 1), the weights' scale and the source's scale make the factor.
/// An output whose factor is 0, or too small for its bias to be divided by, gets zeros and its bias alone. `storage` lends its memory.
[[nodiscard]] NarrowWeights int8_weights(const Weight& weight, const std::vector<float>& tail_scale, const std::vector<float>& bias,
                                         float source_scale, std::vector<std::int8_t> storage = {});

/// Rounding: nearest, ties to even. Exactness: powers of two, zero and integers of a format are not rounded, and the tail's scale is then
/// left outside; float weights take it in before they are rounded.
[[nodiscard]] NarrowWeights bfloat16_weights(const Weight& weight, const std::vector<float>& tail_scale, const std::vector<float>& bias,
                                             std::vector<float> storage = {});

/// The nearest bfloat16, as a float32.
[[nodiscard]] float round_to_bfloat16(float value) noexcept;

}  // namespace bitwright
