// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/graph.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// A tensor of the reference with what is known of the float32 result in its place (docs/runtime.md, "The error bound"):
///     |float32 result - value| <= inherited + gamma(roundings) * magnitude
struct RunningTensor {
  Shape shape;
  std::vector<double> value;
  std::vector<double> inherited;  ///< h: from errors of the operands
  std::vector<double> magnitude;  ///< a: at least the sum of the absolute values that were added, for operands within their bounds
  std::int64_t roundings = 0;     ///< K: at most so many roundings touch each added value
};

/// A tensor known exactly.
[[nodiscard]] RunningTensor exact_tensor(const Shape& shape, std::span<const float> values);

/// h + gamma(K) a, element by element.
[[nodiscard]] std::vector<double> error_bounds(const RunningTensor& tensor);

/// One operator by the slow obvious loops. `inputs[i]` is null where an optional input is left out; `output_shape` is inferred.
using ReferenceFunction = RunningTensor (*)(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape);

#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored)                                               \
  [[nodiscard]] RunningTensor reference_##function(const Node& node, std::span<const RunningTensor* const> inputs, \
                                                   const Shape& output_shape);
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP

}  // namespace bitwright
