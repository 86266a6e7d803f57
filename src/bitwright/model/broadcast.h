// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace bitwright {

/// Shape of an elementwise operator's result by ONNX's multidirectional broadcasting: shapes are aligned at their last axes, and along each
/// axis the extents are equal or one of them is 1. Nothing when the shapes do not fit.
[[nodiscard]] std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b);

/// The same shape with extents of 1 put before it. Requires: rank >= shape.rank().
[[nodiscard]] Shape with_leading_ones(const Shape& shape, std::size_t rank);

/// Elements between neighbours along each axis of `to` in a row-major tensor of `shape` that is broadcast to it: 0 along axes that repeat.
/// Requires: `shape` broadcasts to `to`.
[[nodiscard]] std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& to);

}  // namespace bitwright
