// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"
#include "bitwright/model/slice_range.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/parallel_for.h"
#include "bitwright/runtime/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <functional>
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
  const ValueForm form = builder.stored_value(node, 0).form();
  const PlannedValue src = builder.value_as(node.inputs[0], with_type(plain_desc(builder.shape(node.inputs[0])), form.type), form.scale);
  builder.make_alias(
      node.outputs.front(),
      {.desc = with_type(plain_desc(builder.shape(node.outputs.front())), form.type), .buffer = src.buffer, .scale = form.scale});
  builder.report(node, "view", {}, is_code(form.type) ? ValueType::int8 : form.type);
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

// Sources in few bits, all in the form of the result: bytes side by side. Returns false where the result is float32.
bool try_narrow_concat(PlanBuilder& builder, const Node& node, std::size_t axis) {
  const ValueForm form = builder.forms().stored(node.outputs.front());
  const Shape& dst_shape = builder.shape(node.outputs.front());
  if (form.type == ValueType::float32 || dst_shape.rank() != 4 || axis != 1) return false;
  const std::int64_t bytes = form.type == ValueType::bfloat16 ? 2 : 1;
  struct Part {
    std::int64_t offset;
    std::int64_t bytes;
  };
  std::vector<Part> parts;
  std::vector<BufferId> sources;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Shape& shape = builder.shape(node.inputs[i]);
    (void)builder.stored_value(node, i);
    sources.push_back(builder.value_as(node.inputs[i], narrow_desc(shape, form.type), form.scale).buffer);
    parts.push_back({.offset = offset, .bytes = shape[1] * bytes});
    offset += shape[1] * bytes;
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), narrow_desc(dst_shape, form.type), form.scale);
  builder.report(node, "loop:concat", {}, is_code(form.type) ? ValueType::int8 : form.type);
  builder.add_loop(std::move(sources), {dst.buffer},
                   [parts = std::move(parts), pixels = dst_shape[0] * dst_shape[2] * dst_shape[3], row = offset,
                    threads = builder.threads()](std::span<float* const> buffers) {
                     auto* to = reinterpret_cast<std::byte*>(buffers.back());
                     parallel_for(threads, pixels, [&](std::int64_t pixel) {
                       for (std::size_t i = 0; i < parts.size(); ++i) {
                         std::memcpy(to + pixel * row + parts[i].offset,
                                     reinterpret_cast<const std::byte*>(buffers[i]) + pixel * parts[i].bytes,
                                     static_cast<std::size_t>(parts[i].bytes));
                       }
                     });
                   });
  return true;
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
  if (try_narrow_concat(builder, node, axis)) return;
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
  builder.make_alias(node.outputs.front(), builder.stored_value(node, 0));
  builder.report(node, "view");
}

// A part of the source in few bits, or the source as a part of the result with zeros around it: bytes move, `part` says where they lie in
// the larger of the two.
void plan_narrow_part(PlanBuilder& builder, const Node& node, const PlannedValue& src, const char* kernel,
                      const std::function<std::int64_t(std::vector<std::int64_t>& strides)>& part) {
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const ValueType type = src.form().type;
  const std::int64_t bytes = type == ValueType::bfloat16 ? 2 : 1;
  const PlannedValue dst = builder.make_value(node.outputs.front(), with_type(desc_in_order_of(src.desc, dst_shape), type), src.scale);
  const bool is_slice = node.op == Op::Slice;
  std::vector<std::int64_t> strides = *strides_of(is_slice ? src.desc : dst.desc);
  const std::int64_t offset = part(strides) * bytes;
  const Shape& moved = is_slice ? dst_shape : builder.shape(node.inputs[0]);
  const Conversion copy(moved.dims(), {.type = type, .strides = is_slice ? strides : *strides_of(src.desc)},
                        {.type = type, .strides = is_slice ? *strides_of(dst.desc) : strides});
  builder.report(node, kernel, {}, is_code(type) ? ValueType::int8 : type);
  builder.add_loop({src.buffer}, {dst.buffer},
                   [copy, offset, is_slice, threads = builder.threads(),
                    total = static_cast<std::size_t>(dst_shape.element_count() * bytes)](std::span<float* const> buffers) {
                     auto* from = reinterpret_cast<std::byte*>(buffers[0]);
                     auto* to = reinterpret_cast<std::byte*>(buffers[1]);
                     if (!is_slice) std::memset(to, 0, total);
                     (void)copy.run(from + (is_slice ? offset : 0), to + (is_slice ? 0 : offset), threads);
                   });
}

void plan_slice(PlanBuilder& builder, const Node& node) {
  if (const PlannedValue stored = builder.stored_value(node, 0); stored.form().type != ValueType::float32) {
    return plan_narrow_part(builder, node, stored, "loop:slice", [&](std::vector<std::int64_t>& strides) {
      const std::vector<SliceRange> ranges = slice_ranges(node, builder.shape(node.inputs[0]));
      std::int64_t offset = 0;
      for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
        offset += ranges[axis].start * strides[axis];
        strides[axis] *= ranges[axis].step;
      }
      return offset;
    });
  }
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
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  if (const PlannedValue stored = builder.stored_value(node, 0); stored.form().type != ValueType::float32 && keeps_scale(node)) {
    return plan_narrow_part(builder, node, stored, "loop:pad", [&](std::vector<std::int64_t>& strides) {
      std::int64_t offset = 0;
      for (std::size_t axis = 0; axis < strides.size(); ++axis) offset += pads[axis] * strides[axis];
      return offset;
    });
  }
  const PlannedValue src = strided_value(builder, node);
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
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
