// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/slice_range.h"
#include "bitwright/runtime/ops/plan_ops.h"

#include <algorithm>

namespace bitwright {
namespace {

// Copies `counts` elements per axis between two strided tensors, starting at the given pointers.
void copy_strided(const std::vector<std::int64_t>& counts, const std::vector<std::int64_t>& from_strides,
                  const std::vector<std::int64_t>& to_strides, const float* from, float* to, std::size_t axis) noexcept {
  if (axis + 1 == counts.size()) {
    for (std::int64_t i = 0; i < counts[axis]; ++i) to[i * to_strides[axis]] = from[i * from_strides[axis]];
    return;
  }
  for (std::int64_t i = 0; i < counts[axis]; ++i) {
    copy_strided(counts, from_strides, to_strides, from + i * from_strides[axis], to + i * to_strides[axis], axis + 1);
  }
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.rank(), 1);
  for (std::size_t axis = shape.rank(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

}  // namespace

void plan_flatten(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  builder.make_alias(node.outputs.front(), {.desc = plain_desc(builder.shape(node.outputs.front())), .buffer = src.buffer});
  builder.report(node, "view");
}

void plan_dropout(PlanBuilder& builder, const Node& node) {
  builder.make_alias(node.outputs.front(), builder.value(node, 0));
  builder.report(node, "view");
}

void plan_slice(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::vector<SliceRange> ranges = slice_ranges(node, src_shape);
  std::vector<std::int64_t> from_strides = row_major_strides(src_shape);
  std::int64_t offset = 0;
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    offset += ranges[axis].start * from_strides[axis];
    from_strides[axis] *= ranges[axis].step;
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, "loop:slice");
  builder.add_loop(
      {src.buffer}, {dst.buffer},
      [counts = dst_shape.dims(), from_strides, to_strides = row_major_strides(dst_shape), offset](std::span<float* const> buffers) {
        copy_strided(counts, from_strides, to_strides, buffers[0] + offset, buffers[1], 0);
      });
}

void plan_pad(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  const std::vector<std::int64_t> to_strides = row_major_strides(dst_shape);
  std::int64_t offset = 0;
  for (std::size_t axis = 0; axis < src_shape.rank(); ++axis) offset += pads[axis] * to_strides[axis];
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, "loop:pad");
  builder.add_loop({src.buffer}, {dst.buffer},
                   [counts = src_shape.dims(), from_strides = row_major_strides(src_shape), to_strides, offset,
                    total = dst_shape.element_count(), value = node.float_attribute("value", 0.0F)](std::span<float* const> buffers) {
                     std::fill_n(buffers[1], total, value);
                     copy_strided(counts, from_strides, to_strides, buffers[0], buffers[1] + offset, 0);
                   });
}

}  // namespace bitwright
