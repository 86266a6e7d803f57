// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"
#include "bitwright/model/slice_range.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/strided_copy.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string_view>

namespace bitwright {
namespace {

// The source as it lies, when its layout has strides; else in row-major order.
PlannedValue strided_value(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.value(node, 0);
  return strides_of(src.desc) ? src : builder.plain_value(node, 0);
}

// The same values, row-major, under another shape.
void plan_view(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  builder.make_alias(node.outputs.front(), {.desc = plain_desc(builder.shape(node.outputs.front())), .buffer = src.buffer});
  builder.report(node, "view");
}

/// dst[i0, i1, ..] = src[offsets[0][i0] + offsets[1][i1] + ..]: any choice of elements per axis.
struct ChosenElements {
  std::vector<std::vector<std::int64_t>> offsets;  // by axis, into the source
  std::vector<std::int64_t> dst_strides;

  void copy(const float* src, float* dst, std::size_t axis) const noexcept {
    const std::vector<std::int64_t>& from = offsets[axis];
    const std::int64_t step = dst_strides[axis];
    for (std::size_t i = 0; i < from.size(); ++i) {
      float* to = dst + static_cast<std::int64_t>(i) * step;
      if (axis + 1 == offsets.size()) {
        *to = src[from[i]];
      } else {
        copy(src + from[i], to, axis + 1);
      }
    }
  }
};

// `sources` gives for every index of the result the index into the source, one list per axis.
void plan_choice(PlanBuilder& builder, const Node& node, std::string kernel, std::vector<std::vector<std::int64_t>> sources) {
  const PlannedValue src = strided_value(builder, node);
  const std::vector<std::int64_t> src_strides = *strides_of(src.desc);
  for (std::size_t axis = 0; axis < sources.size(); ++axis) {
    for (std::int64_t& index : sources[axis]) index *= src_strides[axis];
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), desc_in_order_of(src.desc, builder.shape(node.outputs.front())));
  builder.report(node, std::move(kernel));
  const auto elements =
      std::make_shared<const ChosenElements>(ChosenElements{.offsets = std::move(sources), .dst_strides = *strides_of(dst.desc)});
  builder.add_loop({src.buffer}, {dst.buffer}, [elements](std::span<float* const> buffers) { elements->copy(buffers[0], buffers[1], 0); });
}

// oneDNN joins sources of one blocked layout by copying their blocks. Returns why it does not.
std::vector<std::string> try_onednn_concat(PlanBuilder& builder, const Node& node, std::size_t axis) {
  std::vector<dnnl::memory::desc> descs;
  std::vector<PrimitiveArgument> arguments;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const PlannedValue src = builder.value(node, i);
    if (strides_of(src.desc)) return {"onednn:concat: a source is not blocked, this kernel needs blocks"};
    descs.push_back(src.desc);
    arguments.push_back(reads(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(i), src));
  }
  const dnnl::concat::primitive_desc chosen(static_cast<int>(axis), descs, cpu_engine(), strict_attributes());
  // Its other kernel reorders every source on its own.
  if (!std::string_view(chosen.impl_info_str()).starts_with("simple"))
    return {"onednn:concat: blocks do not join, this kernel copies them"};
  const PlannedValue dst = builder.make_value(node.outputs.front(), chosen.dst_desc());
  arguments.push_back(writes(DNNL_ARG_DST, dst));
  builder.report(node, std::string("onednn:concat:") + chosen.impl_info_str());
  builder.add_primitive(dnnl::concat(chosen), chosen.scratchpad_desc(), std::move(arguments));
  return {};
}

}  // namespace

void plan_flatten(PlanBuilder& builder, const Node& node) { plan_view(builder, node); }

void plan_reshape(PlanBuilder& builder, const Node& node) { plan_view(builder, node); }

void plan_transpose(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = strided_value(builder, node);
  const std::vector<std::int64_t> src_strides = *strides_of(src.desc);
  std::vector<std::int64_t> strides;
  for (const std::size_t axis : transposed_axes(node, src_strides.size())) strides.push_back(src_strides[axis]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, "loop:transpose");
  builder.add_loop({src.buffer}, {dst.buffer},
                   [copy = StridedCopy(dst_shape.dims(), strides, *strides_of(dst.desc))](std::span<float* const> buffers) {
                     copy.run(buffers[0], buffers[1]);
                   });
}

void plan_gather(PlanBuilder& builder, const Node& node) {
  const Shape& shape = builder.shape(node.inputs[0]);
  std::vector<std::vector<std::int64_t>> sources(shape.rank());
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    sources[axis].resize(static_cast<std::size_t>(shape[axis]));
    std::iota(sources[axis].begin(), sources[axis].end(), std::int64_t{0});
  }
  const std::size_t axis = axis_attribute(node, 0, shape.rank());
  sources[axis] = gathered_indices(node, shape[axis]);
  plan_choice(builder, node, "loop:gather", std::move(sources));
}

void plan_concat(PlanBuilder& builder, const Node& node) {
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::size_t axis = axis_attribute(node, 0, dst_shape.rank());
  std::vector<std::string> refusals = try_onednn_concat(builder, node, axis);
  if (refusals.empty()) return;
  std::vector<PlannedValue> sources;
  std::vector<BufferId> buffers;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const PlannedValue src = builder.value(node, i);
    sources.push_back(strides_of(src.desc) ? src : builder.plain_value(node, i));
    buffers.push_back(sources.back().buffer);
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), desc_in_order_of(sources.front().desc, dst_shape));
  const std::vector<std::int64_t> dst_strides = *strides_of(dst.desc);
  struct Part {
    StridedCopy copy;
    std::int64_t offset;
  };
  const auto parts = std::make_shared<std::vector<Part>>();
  std::int64_t position = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Shape& shape = builder.shape(node.inputs[i]);
    parts->push_back(
        {.copy = StridedCopy(shape.dims(), *strides_of(sources[i].desc), dst_strides), .offset = position * dst_strides[axis]});
    position += shape[axis];
  }
  builder.report(node, "loop:concat", std::move(refusals));
  builder.add_loop(std::move(buffers), {dst.buffer}, [parts](std::span<float* const> pointers) {
    for (std::size_t i = 0; i < parts->size(); ++i) (*parts)[i].copy.run(pointers[i], pointers.back() + (*parts)[i].offset);
  });
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
  const std::string mode = node.string_attribute("mode", "constant");
  if (mode != "constant") return plan_choice(builder, node, "loop:pad_" + mode, padded_sources(node, builder.shape(node.inputs[0])));
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
