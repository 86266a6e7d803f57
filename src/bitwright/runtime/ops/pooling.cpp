// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/window.h"
#include "bitwright/runtime/ops/plan_ops.h"

#include <algorithm>
#include <array>

namespace bitwright {
namespace {

// Beyond it oneDNN's setting up is paid back.
constexpr std::int64_t kMaxPlanarBatch = 8;

// From the first tap of a window to its last.
std::int64_t reach_of(const Window& window, std::size_t axis) { return window.dilations[axis] * (window.kernel[axis] - 1) + 1; }

bool is_dilated(const Window& window) { return window.dilations != std::array<std::int64_t, 2>{1, 1}; }

void plan_pool(PlanBuilder& builder, const Node& node, const Window& window, dnnl::algorithm algorithm) {
  const PlannedValue src = builder.value(node, 0);
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  dnnl::memory::dims pads_end = {window.pads_end[0], window.pads_end[1]};
  if (window.ceil_mode) {
    // What the windows really cover, which may be more or less than the named pads.
    for (std::size_t axis = 0; axis < 2; ++axis) {
      pads_end[axis] =
          (dst_shape[axis + 2] - 1) * window.strides[axis] + reach_of(window, axis) - src_shape[axis + 2] - window.pads_begin[axis];
    }
  }
  const dnnl::memory::dims strides = {window.strides[0], window.strides[1]};
  const dnnl::memory::dims kernel = {window.kernel[0], window.kernel[1]};
  const dnnl::memory::dims pads_begin = {window.pads_begin[0], window.pads_begin[1]};
  const auto add = [&](const auto& chosen, const dnnl::primitive& primitive) {
    const PlannedValue dst = builder.make_value(node.outputs.front(), chosen.dst_desc());
    builder.report(node, std::string("onednn:pooling:") + chosen.impl_info_str());
    builder.add_primitive(primitive, chosen.scratchpad_desc(), {reads(DNNL_ARG_SRC, src), writes(DNNL_ARG_DST, dst)});
  };
  if (is_dilated(window)) {
    const dnnl::memory::dims dilations = {window.dilations[0] - 1, window.dilations[1] - 1};
    const dnnl::pooling_v2_forward::primitive_desc chosen({dnnl::prop_kind::forward_inference, algorithm, src.desc,
                                                           any_desc(dst_shape.dims()), strides, kernel, dilations, pads_begin, pads_end},
                                                          strict_attributes(), cpu_engine());
    return add(chosen, dnnl::pooling_v2_forward(chosen));
  }
  const dnnl::pooling_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, algorithm, src.desc, any_desc(dst_shape.dims()), strides, kernel, pads_begin, pads_end},
      strict_attributes(), cpu_engine());
  add(chosen, dnnl::pooling_forward(chosen));
}

// Named padding counts in the divisor, a window's overhang beyond it does not: oneDNN has no word for that.
void plan_overhanging_average(PlanBuilder& builder, const Node& node, const Window& window) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape src_shape = builder.shape(node.inputs[0]);
  const Shape dst_shape = builder.shape(node.outputs.front());
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, "loop:average_pool", {"onednn:pooling: a window overhangs the padding, this kernel needs windows inside it"});
  builder.add_loop({src.buffer}, {dst.buffer}, [=](std::span<float* const> buffers) {
    const float* from = buffers[0];
    float* to = buffers[1];
    for (std::int64_t image = 0; image < src_shape[0] * src_shape[1]; ++image, from += src_shape[2] * src_shape[3]) {
      for (std::int64_t oy = 0; oy < dst_shape[2]; ++oy) {
        for (std::int64_t ox = 0; ox < dst_shape[3]; ++ox) {
          const std::int64_t y = oy * window.strides[0] - window.pads_begin[0];
          const std::int64_t x = ox * window.strides[1] - window.pads_begin[1];
          const std::int64_t y_end = std::min(y + window.kernel[0], src_shape[2] + window.pads_end[0]);
          const std::int64_t x_end = std::min(x + window.kernel[1], src_shape[3] + window.pads_end[1]);
          float sum = 0.0F;
          for (std::int64_t i = std::max<std::int64_t>(y, 0); i < std::min(y_end, src_shape[2]); ++i) {
            for (std::int64_t j = std::max<std::int64_t>(x, 0); j < std::min(x_end, src_shape[3]); ++j) sum += from[i * src_shape[3] + j];
          }
          *to++ = sum / static_cast<float>((y_end - y) * (x_end - x));
        }
      }
    }
  });
}

// Row-major planes without padding, as our convolutions leave them: oneDNN would transpose them to lay channels in vectors. Here vectors
// hold neighbouring pixels: first the largest of each column over the window's rows, then over its columns.
void plan_planar_max(PlanBuilder& builder, const Node& node, const Window& window) {
  const PlannedValue src = builder.value(node, 0);
  const Shape src_shape = builder.shape(node.inputs[0]);
  const Shape dst_shape = builder.shape(node.outputs.front());
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  const BufferId columns = builder.new_buffer(src_shape[3] * static_cast<std::int64_t>(sizeof(float)));
  builder.report(node, "loop:max_pool");
  builder.add_loop({src.buffer}, {columns, dst.buffer}, [=](std::span<float* const> buffers) {
    const float* plane = buffers[0];
    float* largest = buffers[1];
    float* to = buffers[2];
    const std::int64_t width = src_shape[3];
    const std::int64_t out_width = dst_shape[3];
    const std::int64_t stride = window.strides[1];
    for (std::int64_t image = 0; image < src_shape[0] * src_shape[1]; ++image, plane += src_shape[2] * width) {
      for (std::int64_t y = 0; y < dst_shape[2]; ++y, to += out_width) {
        const float* row = plane + y * window.strides[0] * width;
        std::copy_n(row, width, largest);
        for (std::int64_t i = 1; i < window.kernel[0]; ++i) {
          const float* next = row + i * width;
#pragma omp simd
          for (std::int64_t x = 0; x < width; ++x) largest[x] = largest[x] < next[x] ? next[x] : largest[x];
        }
        if (window.kernel[1] == 2 && stride == 2) {
#pragma omp simd
          for (std::int64_t x = 0; x < out_width; ++x) to[x] = largest[2 * x] < largest[2 * x + 1] ? largest[2 * x + 1] : largest[2 * x];
          continue;
        }
        for (std::int64_t x = 0; x < out_width; ++x)
          to[x] = *std::max_element(largest + x * stride, largest + x * stride + window.kernel[1]);
      }
    }
  });
}

bool overhangs(const Window& window, const Shape& src, const Shape& dst) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t covered = (dst[axis + 2] - 1) * window.strides[axis] + reach_of(window, axis);
    if (covered > src[axis + 2] + window.pads_begin[axis] + window.pads_end[axis]) return true;
  }
  return false;
}

}  // namespace

void plan_max_pool(PlanBuilder& builder, const Node& node) {
  const Window window = read_window(node);
  const Shape& src = builder.shape(node.inputs[0]);
  const bool is_padded = window.pads_begin != std::array<std::int64_t, 2>{} || window.pads_end != std::array<std::int64_t, 2>{} ||
                         overhangs(window, src, builder.shape(node.outputs.front()));
  const bool is_planar = builder.value(node, 0).desc == plain_desc(src);
  if (is_planar && !is_padded && !is_dilated(window) && src[0] <= kMaxPlanarBatch && builder.threads() == 1)
    return plan_planar_max(builder, node, window);
  plan_pool(builder, node, window, dnnl::algorithm::pooling_max);
}

void plan_average_pool(PlanBuilder& builder, const Node& node) {
  const Window window = read_window(node);
  if (node.int_attribute("count_include_pad", 0) == 0) {
    return plan_pool(builder, node, window, dnnl::algorithm::pooling_avg_exclude_padding);
  }
  if (overhangs(window, builder.shape(node.inputs[0]), builder.shape(node.outputs.front())))
    return plan_overhanging_average(builder, node, window);
  plan_pool(builder, node, window, dnnl::algorithm::pooling_avg_include_padding);
}

void plan_global_max_pool(PlanBuilder& builder, const Node& node) {
  const Shape& src = builder.shape(node.inputs[0]);
  plan_pool(builder, node, Window{.kernel = {src[2], src[3]}}, dnnl::algorithm::pooling_max);
}

void plan_global_average_pool(PlanBuilder& builder, const Node& node) {
  const Shape& src = builder.shape(node.inputs[0]);
  plan_pool(builder, node, Window{.kernel = {src[2], src[3]}}, dnnl::algorithm::pooling_avg_exclude_padding);
}

}  // namespace bitwright
