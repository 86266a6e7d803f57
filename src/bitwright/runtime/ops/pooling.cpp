// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"
#include "bitwright/model/window.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/parallel_for.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace bitwright {
namespace pool_loops {

// dst = the larger of a and b, code by code; dst may be a.
BITWRIGHT_CLONES void larger(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst, std::int64_t count) noexcept {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) dst[i] = a[i] < b[i] ? b[i] : a[i];
}

// The largest codes of one row of windows. `columns` holds the largest of each column of a pixel's channels; window i of `count` covers
// its pixels [first + i * stride, … + kernel), all within the row.
BITWRIGHT_CLONES void largest_along(const std::uint8_t* columns, std::int64_t channels, std::int64_t first, std::int64_t stride,
                                    std::int64_t kernel, std::int64_t count, std::uint8_t* dst) noexcept {
  for (std::int64_t i = 0; i < count; ++i, dst += channels) {
    const std::uint8_t* pixel = columns + (first + i * stride) * channels;
    for (std::int64_t c = 0; c < channels; ++c) dst[c] = pixel[c];
    for (std::int64_t k = 1; k < kernel; ++k) {
      const std::uint8_t* next = pixel + k * channels;
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) dst[c] = dst[c] < next[c] ? next[c] : dst[c];
    }
  }
}

// sums += codes, channel by channel.
BITWRIGHT_CLONES void add(const std::uint8_t* codes, std::int32_t* sums, std::int64_t count) noexcept {
  for (std::int64_t c = 0; c < count; ++c) sums[c] += codes[c];
}
BITWRIGHT_CLONES void add(const std::int8_t* codes, std::int32_t* sums, std::int64_t count) noexcept {
  for (std::int64_t c = 0; c < count; ++c) sums[c] += codes[c];
}

}  // namespace pool_loops

namespace {

// Beyond it oneDNN's setting up is paid back.
constexpr std::int64_t kMaxPlanarBatch = 8;

// From the first tap of a window to its last.
std::int64_t reach_of(const Window& window, std::size_t axis) { return window.dilations[axis] * (window.kernel[axis] - 1) + 1; }

bool is_dilated(const Window& window) { return window.dilations != std::array<std::int64_t, 2>{1, 1}; }

// Codes may be averaged where the mean is wanted as codes of the same scale, and compared always.
PlannedValue pool_source(PlanBuilder& builder, const Node& node, dnnl::algorithm algorithm) {
  const bool keeps_codes = algorithm == dnnl::algorithm::pooling_max || is_code(builder.forms().stored(node.outputs.front()).type);
  return keeps_codes ? builder.stored_value(node, 0) : builder.floating_value(node, 0);
}

void plan_pool(PlanBuilder& builder, const Node& node, const Window& window, dnnl::algorithm algorithm) {
  const PlannedValue src = pool_source(builder, node, algorithm);
  const ValueType type = src.form().type;
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
  const dnnl::memory::desc wanted = type == ValueType::float32 ? any_desc(dst_shape.dims()) : narrow_desc(dst_shape, type);
  const auto add = [&](const auto& chosen, const dnnl::primitive& primitive) {
    const PlannedValue dst = builder.make_value(node.outputs.front(), chosen.dst_desc(), src.scale);
    builder.report(node, std::string("onednn:pooling:") + chosen.impl_info_str(), {}, is_code(type) ? ValueType::int8 : type);
    builder.add_primitive(primitive, chosen.scratchpad_desc(), {reads(DNNL_ARG_SRC, src), writes(DNNL_ARG_DST, dst)});
  };
  if (is_dilated(window)) {
    const dnnl::memory::dims dilations = {window.dilations[0] - 1, window.dilations[1] - 1};
    const dnnl::pooling_v2_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference, algorithm, src.desc, wanted, strides, kernel, dilations, pads_begin, pads_end},
        strict_attributes(), cpu_engine());
    return add(chosen, dnnl::pooling_v2_forward(chosen));
  }
  const dnnl::pooling_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, algorithm, src.desc, wanted, strides, kernel, pads_begin, pads_end}, strict_attributes(),
      cpu_engine());
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

// Codes with channels last, of every channel at once: first the largest over the window's rows, then over its columns.
void plan_max_of_codes(PlanBuilder& builder, const Node& node, const Window& window, const PlannedValue& src) {
  const Shape src_shape = builder.shape(node.inputs[0]);
  const Shape dst_shape = builder.shape(node.outputs.front());
  const std::int64_t channels = src_shape[1];
  const std::int64_t row_bytes = src_shape[3] * channels;
  const std::int64_t rows = dst_shape[0] * dst_shape[2];
  const int threads = builder.threads();
  const BufferId columns = builder.new_buffer(threads * row_bytes);
  const PlannedValue dst = builder.make_value(node.outputs.front(), narrow_desc(dst_shape, ValueType::uint8), src.scale);
  builder.report(node, "loop:max_of_codes", {}, ValueType::int8);
  builder.add_loop({src.buffer}, {columns, dst.buffer}, [=](std::span<float* const> buffers) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(buffers[0]);
    // As many parts as threads, so that each has a row of columns of its own.
    parallel_for(threads, threads, [&](std::int64_t part) {
      std::uint8_t* largest = reinterpret_cast<std::uint8_t*>(buffers[1]) + part * row_bytes;
      for (std::int64_t row = rows * part / threads; row < rows * (part + 1) / threads; ++row) {
        const std::uint8_t* image = from + row / dst_shape[2] * src_shape[2] * row_bytes;
        const std::int64_t top = row % dst_shape[2] * window.strides[0] - window.pads_begin[0];
        const std::int64_t begin = std::max<std::int64_t>(top, 0);
        const std::int64_t end = std::min(top + window.kernel[0], src_shape[2]);
        const std::uint8_t* columns_of = image + begin * row_bytes;
        for (std::int64_t y = begin + 1; y < end; ++y, columns_of = largest)
          pool_loops::larger(columns_of, image + y * row_bytes, largest, row_bytes);
        std::uint8_t* to = reinterpret_cast<std::uint8_t*>(buffers[2]) + row * dst_shape[3] * channels;
        for (std::int64_t x = 0; x < dst_shape[3];) {
          const std::int64_t left = x * window.strides[1] - window.pads_begin[1];
          const std::int64_t first = std::max<std::int64_t>(left, 0);
          const std::int64_t kernel = std::min(left + window.kernel[1], src_shape[3]) - first;
          // Windows that lie wholly within the row are taken together.
          const std::int64_t fitting = left < 0 ? 0 : (src_shape[3] - window.kernel[1] - left) / window.strides[1] + 1;
          const std::int64_t count = std::clamp<std::int64_t>(fitting, 1, dst_shape[3] - x);
          pool_loops::largest_along(columns_of, channels, first, window.strides[1], kernel, count, to + x * channels);
          x += count;
        }
      }
    });
  });
}

template <typename Code>
void mean_of_codes(const Code* src, const Shape& shape, float factor, std::int32_t* sums, float* dst) noexcept {
  const std::int64_t channels = shape[1];
  const std::int64_t pixels = shape[2] * shape[3];
  for (std::int64_t n = 0; n < shape[0]; ++n, src += pixels * channels, dst += channels) {
    std::fill_n(sums, channels, 0);
    for (std::int64_t i = 0; i < pixels; ++i) pool_loops::add(src + i * channels, sums, channels);
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) dst[c] = static_cast<float>(sums[c]) * factor;
  }
}

// The sum of codes is exact, and what reads the mean may have finer steps than the image: so the result is float32.
void plan_mean_of_codes(PlanBuilder& builder, const Node& node, const PlannedValue& src) {
  const Shape src_shape = builder.shape(node.inputs[0]);
  const BufferId sums = builder.new_buffer(src_shape[1] * static_cast<std::int64_t>(sizeof(std::int32_t)));
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(builder.shape(node.outputs.front())));
  const auto factor = static_cast<float>(static_cast<double>(src.scale) / static_cast<double>(src_shape[2] * src_shape[3]));
  const bool is_unsigned = src.form().type == ValueType::uint8;
  builder.report(node, "loop:mean_of_codes", {}, ValueType::int8);
  builder.add_loop({src.buffer}, {sums, dst.buffer}, [=](std::span<float* const> buffers) {
    const void* codes = buffers[0];
    auto* scratch = reinterpret_cast<std::int32_t*>(buffers[1]);
    if (is_unsigned) return mean_of_codes(static_cast<const std::uint8_t*>(codes), src_shape, factor, scratch, buffers[2]);
    mean_of_codes(static_cast<const std::int8_t*>(codes), src_shape, factor, scratch, buffers[2]);
  });
}

bool overhangs(const Window& window, const Shape& src, const Shape& dst) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t covered = (dst[axis + 2] - 1) * window.strides[axis] + reach_of(window, axis);
    if (covered > src[axis + 2] + window.pads_begin[axis] + window.pads_end[axis]) return true;
  }
  return false;
}

// Whether every window holds a pixel of the image: the largest of none is not a code.
bool has_pixels_everywhere(const Window& window, const Shape& src, const Shape& dst) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t last = (dst[axis + 2] - 1) * window.strides[axis] - window.pads_begin[axis];
    if (window.kernel[axis] <= window.pads_begin[axis] || last >= src[axis + 2]) return false;
  }
  return true;
}

}  // namespace

void plan_max_pool(PlanBuilder& builder, const Node& node) {
  const Window window = read_window(node);
  const Shape& src = builder.shape(node.inputs[0]);
  const bool is_padded = window.pads_begin != std::array<std::int64_t, 2>{} || window.pads_end != std::array<std::int64_t, 2>{} ||
                         overhangs(window, src, builder.shape(node.outputs.front()));
  const bool is_planar = builder.stored_value(node, 0).desc == plain_desc(src);
  if (is_planar && !is_padded && !is_dilated(window) && src[0] <= kMaxPlanarBatch && builder.threads() == 1)
    return plan_planar_max(builder, node, window);
  const PlannedValue& stored = builder.stored_value(node, 0);
  if (stored.form().type == ValueType::uint8 && stored.desc == narrow_desc(src, ValueType::uint8) && !is_dilated(window) &&
      has_pixels_everywhere(window, src, builder.shape(node.outputs.front())))
    return plan_max_of_codes(builder, node, window, stored);
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
  const PlannedValue& stored = builder.stored_value(node, 0);
  if (is_code(stored.form().type) && stored.desc == narrow_desc(builder.shape(node.inputs[0]), stored.form().type))
    return plan_mean_of_codes(builder, node, stored);
  const Shape& src = builder.shape(node.inputs[0]);
  plan_pool(builder, node, Window{.kernel = {src[2], src[3]}}, dnnl::algorithm::pooling_avg_exclude_padding);
}

}  // namespace bitwright
