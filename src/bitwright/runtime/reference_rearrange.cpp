// SPDX-License-Identifier: Apache-2.0
// Operators that move values and compute nothing: so do their bounds.
#include "bitwright/model/rearrangement.h"
#include "bitwright/model/slice_range.h"
#include "bitwright/runtime/reference_tensor.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

using namespace running;

RunningTensor reference_flatten(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return moved(*inputs[0], output_shape, [](std::int64_t i) { return i; });
}

RunningTensor reference_dropout(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return moved(*inputs[0], output_shape, [](std::int64_t i) { return i; });
}

RunningTensor reference_slice(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Shape& src = inputs[0]->shape;
  const std::vector<SliceRange> ranges = slice_ranges(node, src);
  return moved(*inputs[0], output_shape, [&](std::int64_t i) {
    const std::vector<std::int64_t> to = coordinates(i, output_shape);
    std::int64_t from = 0;
    for (std::size_t axis = 0; axis < src.rank(); ++axis) from = from * src[axis] + ranges[axis].start + to[axis] * ranges[axis].step;
    return from;
  });
}

RunningTensor reference_pad(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor& src = *inputs[0];
  if (node.string_attribute("mode", "constant") != "constant") {
    const std::vector<std::vector<std::int64_t>> sources = padded_sources(node, src.shape);
    return moved(src, output_shape, [&](std::int64_t i) {
      const std::vector<std::int64_t> to = coordinates(i, output_shape);
      std::int64_t from = 0;
      for (std::size_t axis = 0; axis < to.size(); ++axis) from = from * src.shape[axis] + sources[axis][at(to[axis])];
      return from;
    });
  }
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  const auto value = static_cast<double>(node.float_attribute("value", 0.0F));
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = src.roundings;
  std::fill(dst.value.begin(), dst.value.end(), value);
  std::fill(dst.magnitude.begin(), dst.magnitude.end(), std::abs(value));
  for (std::int64_t i = 0; i < src.shape.element_count(); ++i) {
    const std::vector<std::int64_t> from = coordinates(i, src.shape);
    std::int64_t to = 0;
    for (std::size_t axis = 0; axis < from.size(); ++axis) to = to * output_shape[axis] + from[axis] + pads[axis];
    DotProduct{.value = src.value[at(i)], .inherited = src.inherited[at(i)], .magnitude = src.magnitude[at(i)]}.store(dst, to);
  }
  return dst;
}

RunningTensor reference_reshape(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return moved(*inputs[0], output_shape, [](std::int64_t i) { return i; });
}

RunningTensor reference_transpose(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Shape& src = inputs[0]->shape;
  const std::vector<std::size_t> axes = transposed_axes(node, src.rank());
  return moved(*inputs[0], output_shape, [&](std::int64_t i) {
    const std::vector<std::int64_t> to = coordinates(i, output_shape);
    std::vector<std::int64_t> from(src.rank());
    for (std::size_t axis = 0; axis < src.rank(); ++axis) from[axes[axis]] = to[axis];
    std::int64_t index = 0;
    for (std::size_t axis = 0; axis < src.rank(); ++axis) index = index * src[axis] + from[axis];
    return index;
  });
}

RunningTensor reference_gather(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Shape& src = inputs[0]->shape;
  const std::size_t axis = axis_attribute(node, 0, src.rank());
  const std::vector<std::int64_t> indices = gathered_indices(node, src[axis]);
  return moved(*inputs[0], output_shape, [&](std::int64_t i) {
    std::vector<std::int64_t> from = coordinates(i, output_shape);
    from[axis] = indices[at(from[axis])];
    std::int64_t index = 0;
    for (std::size_t a = 0; a < src.rank(); ++a) index = index * src[a] + from[a];
    return index;
  });
}

RunningTensor reference_concat(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const std::size_t axis = axis_attribute(node, 0, output_shape.rank());
  RunningTensor dst = make_tensor(output_shape);
  std::int64_t offset = 0;
  for (const RunningTensor* src : inputs) {
    dst.roundings = std::max(dst.roundings, src->roundings);
    for (std::int64_t i = 0; i < src->shape.element_count(); ++i) {
      std::vector<std::int64_t> to = coordinates(i, src->shape);
      to[axis] += offset;
      std::int64_t index = 0;
      for (std::size_t a = 0; a < to.size(); ++a) index = index * output_shape[a] + to[a];
      DotProduct{.value = src->value[at(i)], .inherited = src->inherited[at(i)], .magnitude = src->magnitude[at(i)]}.store(dst, index);
    }
    offset += src->shape[axis];
  }
  return dst;
}

}  // namespace bitwright
