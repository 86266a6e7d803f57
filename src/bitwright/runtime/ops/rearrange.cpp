// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/slice_range.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/strided_copy.h"

#include <algorithm>

namespace bitwright {
namespace {

// The source as it lies, when its layout has strides; else in row-major order.
PlannedValue strided_value(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.value(node, 0);
  return strides_of(src.desc) ? src : builder.plain_value(node, 0);
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
  const PlannedValue src = strided_value(builder, node);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::vector<SliceRange> ranges = slice_ranges(node, builder.shape(node.inputs[0]));
  std::vector<std::int64_t> src_strides = *strides_of(src.desc);
  std::int64_t offset = 0;
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    offset += ranges[axis].start * src_strides[axis];
    src_strides[axis] *= ranges[axis].step;
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), desc_in_order_of(src.desc, dst_shape));
  builder.report(node, "loop:slice");
  builder.add_loop({src.buffer}, {dst.buffer},
                   [copy = StridedCopy(dst_shape.dims(), src_strides, *strides_of(dst.desc)), offset](std::span<float* const> buffers) {
                     copy.run(buffers[0] + offset, buffers[1]);
                   });
}

void plan_pad(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = strided_value(builder, node);
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  const PlannedValue dst = builder.make_value(node.outputs.front(), desc_in_order_of(src.desc, dst_shape));
  const std::vector<std::int64_t> dst_strides = *strides_of(dst.desc);
  std::int64_t offset = 0;
  for (std::size_t axis = 0; axis < src_shape.rank(); ++axis) offset += pads[axis] * dst_strides[axis];
  builder.report(node, "loop:pad");
  builder.add_loop({src.buffer}, {dst.buffer},
                   [copy = StridedCopy(src_shape.dims(), *strides_of(src.desc), dst_strides), offset, total = dst_shape.element_count(),
                    value = node.float_attribute("value", 0.0F)](std::span<float* const> buffers) {
                     std::fill_n(buffers[1], total, value);
                     copy.run(buffers[0], buffers[1] + offset);
                   });
}

}  // namespace bitwright
