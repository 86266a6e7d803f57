// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// The lowest and the highest value that was seen.
struct ValueRange {
  float lowest = 0.0F;
  float highest = 0.0F;
};
using ValueRanges = std::map<std::string, ValueRange, std::less<>>;

/// The model as a float32 ONNX file that gives every value of the graph: what ranges are taken from.
[[nodiscard]] std::vector<std::byte> onnx_with_all_values(const Model& model);

/// The model as its users would quantize it for ONNX Runtime: 8-bit integers in QuantizeLinear / DequantizeLinear pairs around every
/// operator, as `quantize_static` of ONNX Runtime's own Python tools makes it. Activations uint8 with one scale and zero point each from
/// their range (0 included), none between a product or sum and the Relu that is its only reader; MaxPool and what only moves values keeps
/// its source's scale; weights of Conv and Gemm int8, symmetric, a scale per output channel from its largest magnitude; biases int32 with
/// the product of both scales. Rounding: nearest, ties to even. The graph's output stays float32. Requires: a model without batch
/// normalization behind a product, whose weights are float32; a range for every value. Throws: `Error(unsupported)` for a Gemm whose weight
/// is not stored outputs first, `Error(invalid_input)` when a range is missing.
[[nodiscard]] std::vector<std::byte> onnx_int8_qdq(const Model& model, const ValueRanges& ranges);

}  // namespace bitwright
