// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/fixed_point.h"
#include "bitwright/model/model.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Attributes of Conv and Gemm, texts like `fixed<6,10>`, that make a model run on fixed-point codes in integers only.
inline constexpr std::string_view kInputFormatAttribute = "input_format";
inline constexpr std::string_view kOutputFormatAttribute = "output_format";

/// Bits of a code that an activation / a weight may have at most: what `kernels/fixed_point` multiplies.
inline constexpr int kMaxActivationBits = 16;
inline constexpr int kMaxWeightBits = 24;

/// Whether some Conv or Gemm states a format: then all must, and the model runs in integers (docs/runtime.md, "Fixed-point models").
[[nodiscard]] bool is_fixed_point(const Graph& graph) noexcept;

/// Format of the codes of every value, by name: the graph's input and all outputs of nodes but Softmax, whose output is float32.
using ValueFormats = std::map<std::string, FixedPoint, std::less<>>;

/// Checks a fixed-point model and says what its values are.
/// Requires: the graph is well formed (`infer_shapes` passed). Throws: `Error(invalid_input)`: a format on some products only, text that is
/// no fixed-point format, more bits than the kernels take, a weight that is not fixed-point, a bias finer or wider than the accumulator, a
/// producer and a consumer that disagree, an operator that has no meaning on codes.
[[nodiscard]] ValueFormats fixed_point_formats(const Model& model);

/// What a Conv or Gemm of a checked fixed-point model computes with.
struct FixedPointProduct {
  FixedPoint input;
  FixedPoint weight;
  FixedPoint output;
  std::span<const std::int32_t> codes;  ///< of the weight
  std::vector<std::int64_t> bias;       ///< per output channel, aligned to the accumulator; 0 where the node has none

  /// Fraction bits of the exact sum (G9).
  [[nodiscard]] int acc_frac_bits() const noexcept { return input.frac_bits + weight.frac_bits; }
};
[[nodiscard]] FixedPointProduct fixed_point_product(const Model& model, const Node& node);

}  // namespace bitwright
