// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/convert.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/cpu.h"
#include "bitwright/runtime/parallel_for.h"
#include "bitwright/runtime/strided_copy.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <numeric>
#include <type_traits>

namespace bitwright {
namespace convert_loops {

// round(src * factor) within [least, most], as the low byte; false when some value was NaN. Adding 1.5 * 2^23 leaves the nearest integer,
// ties to even, in the low bits: vectors of every instruction set can do that.
BITWRIGHT_CLONES bool codes_of(const float* src, std::uint8_t* dst, std::int64_t count, float factor, float least, float most) noexcept {
  int unordered = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = src[i] * factor;
    unordered |= static_cast<int>(x != x);
    const float low = x > least ? x : least;
    const float within = low < most ? low : most;
    dst[i] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(within + 12582912.0F));
  }
  return unordered == 0;
}

BITWRIGHT_CLONES void interleave(const std::uint8_t* a, const std::uint8_t* b, const std::uint8_t* c, std::uint8_t* dst,
                                 std::int64_t count) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    dst[3 * i] = a[i];
    dst[3 * i + 1] = b[i];
    dst[3 * i + 2] = c[i];
  }
}

}  // namespace convert_loops

namespace {

/// Bits of a bfloat16.
struct Bfloat16 {
  std::uint16_t bits;
};

inline float load(float x) noexcept { return x; }
inline float load(Bfloat16 x) noexcept { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }
inline float load(std::uint8_t x) noexcept { return static_cast<float>(x); }
inline float load(std::int8_t x) noexcept { return static_cast<float>(x); }

inline void store(float x, float& dst) noexcept { dst = x; }
inline void store(float x, Bfloat16& dst) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  // Rounding could carry a NaN's low bits into infinity.
  dst.bits = static_cast<std::uint16_t>((x == x ? rounded : bits | 0x400000U) >> 16);
}
inline std::int32_t nearest(float x) noexcept {
  return static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(x + 12582912.0F) - 0x4B400000U);
}
inline void store(float x, std::uint8_t& dst) noexcept { dst = static_cast<std::uint8_t>(nearest(std::min(std::max(x, 0.0F), 255.0F))); }
inline void store(float x, std::int8_t& dst) noexcept { dst = static_cast<std::int8_t>(nearest(std::min(std::max(x, -128.0F), 127.0F))); }

constexpr std::int64_t kChunk = 4096;

// Elements that a thread takes at once: about kChunk, so that all threads have equally many, in whole lines of kLine.
std::int64_t chunk_of(std::int64_t count, int threads) noexcept {
  constexpr std::int64_t kLine = 256;
  const std::int64_t rounds = std::max<std::int64_t>(1, (count + threads * kChunk - 1) / (threads * kChunk));
  return (count + rounds * threads * kLine - 1) / (rounds * threads * kLine) * kLine;
}

// What only moves is copied.
template <typename Element>
void copy_line(const Element* src, std::int64_t src_stride, Element* dst, std::int64_t dst_stride, std::int64_t count) noexcept {
  if (src_stride == 1 && dst_stride == 1) {
    // The channels of a pixel: a move of known size takes a few instructions, a call of memcpy many.
    switch (static_cast<std::size_t>(count) * sizeof(Element)) {
      case 16: std::memcpy(dst, src, 16); return;
      case 32: std::memcpy(dst, src, 32); return;
      case 64: std::memcpy(dst, src, 64); return;
      default: std::memcpy(dst, src, static_cast<std::size_t>(count) * sizeof(Element)); return;
    }
  }
  for (std::int64_t i = 0; i < count; ++i) dst[i * dst_stride] = src[i * src_stride];
}

template <typename Src, typename Dst>
bool convert_line(const Src* src, std::int64_t src_stride, Dst* dst, std::int64_t dst_stride, std::int64_t count, float factor) noexcept {
  if constexpr (std::is_same_v<Src, Dst>) {
    if (factor == 1.0F) {
      copy_line(src, src_stride, dst, dst_stride, count);
      return true;
    }
  }
  int unordered = 0;
  if constexpr (std::is_same_v<Src, float> && sizeof(Dst) == 1) {
    constexpr bool kIsSigned = std::is_signed_v<Dst>;
    if (src_stride == 1 && dst_stride == 1) {
      return convert_loops::codes_of(src, reinterpret_cast<std::uint8_t*>(dst), count, factor, kIsSigned ? -128.0F : 0.0F,
                                     kIsSigned ? 127.0F : 255.0F);
    }
  }
  if (src_stride == 1 && dst_stride == 1) {
#pragma omp simd reduction(| : unordered)
    for (std::int64_t i = 0; i < count; ++i) {
      const float x = load(src[i]) * factor;
      unordered |= static_cast<int>(x != x);
      store(x, dst[i]);
    }
    return unordered == 0;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = load(src[i * src_stride]) * factor;
    unordered |= static_cast<int>(x != x);
    store(x, dst[i * dst_stride]);
  }
  return unordered == 0;
}

// A few channels beside each other on one side, planes on the other: lines of pixels are converted in vectors, then spread.
template <typename Src, typename Dst>
bool spread_channels(const Src* src, std::int64_t plane, Dst* dst, std::int64_t channels, std::int64_t pixels, float factor) noexcept {
  constexpr std::int64_t kPixels = 256;
  bool ordered = true;
  Dst lines[4 * kPixels];
  for (std::int64_t first = 0; first < pixels; first += kPixels) {
    const std::int64_t count = std::min(kPixels, pixels - first);
    for (std::int64_t c = 0; c < channels; ++c) ordered &= convert_line(src + c * plane + first, 1, lines + c * kPixels, 1, count, factor);
    Dst* to = dst + first * channels;
    if constexpr (sizeof(Dst) == 1) {
      const auto* planes = reinterpret_cast<const std::uint8_t*>(lines);
      if (channels == 3) {
        convert_loops::interleave(planes, planes + kPixels, planes + 2 * kPixels, reinterpret_cast<std::uint8_t*>(to), count);
        continue;
      }
    }
    if (channels == 3) {
      for (std::int64_t i = 0; i < count; ++i) {
        to[3 * i] = lines[i];
        to[3 * i + 1] = lines[kPixels + i];
        to[3 * i + 2] = lines[2 * kPixels + i];
      }
      continue;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t c = 0; c < channels; ++c) to[i * channels + c] = lines[c * kPixels + i];
    }
  }
  return ordered;
}

struct Axes {
  const std::vector<std::int64_t>& counts;
  const std::vector<std::int64_t>& src_strides;
  const std::vector<std::int64_t>& dst_strides;
};

template <typename Src, typename Dst>
bool convert_axes(const Axes& axes, std::size_t axis, const Src* src, Dst* dst, float factor) noexcept {
  const std::size_t left = axes.counts.size() - axis;
  if (left == 1) return convert_line(src, axes.src_strides[axis], dst, axes.dst_strides[axis], axes.counts[axis], factor);
  if (left == 2 && axes.counts[axis + 1] <= 4 && axes.src_strides[axis] == 1 && axes.dst_strides[axis + 1] == 1 &&
      axes.dst_strides[axis] == axes.counts[axis + 1])
    return spread_channels(src, axes.src_strides[axis + 1], dst, axes.counts[axis + 1], axes.counts[axis], factor);
  bool ordered = true;
  for (std::int64_t i = 0; i < axes.counts[axis]; ++i)
    ordered &= convert_axes(axes, axis + 1, src + i * axes.src_strides[axis], dst + i * axes.dst_strides[axis], factor);
  return ordered;
}

template <typename Src, typename Dst>
bool convert_all(const Axes& axes, const Src* src, Dst* dst, float factor, int threads) {
  std::atomic<bool> ordered = true;
  const std::int64_t count = axes.counts.front();
  if (axes.counts.size() == 1) {
    const std::int64_t chunk = chunk_of(count, threads);
    parallel_for(threads, (count + chunk - 1) / chunk, [&](std::int64_t i) {
      const std::int64_t first = i * chunk;
      if (!convert_line(src + first * axes.src_strides[0], axes.src_strides[0], dst + first * axes.dst_strides[0], axes.dst_strides[0],
                        std::min(chunk, count - first), factor))
        ordered = false;
    });
    return ordered;
  }
  // One image, few channels: the outermost axis is the pixels, which threads share in chunks.
  if (axes.counts.size() == 2 && count > kChunk) {
    const std::int64_t chunk = chunk_of(count, threads);
    parallel_for(threads, (count + chunk - 1) / chunk, [&](std::int64_t i) {
      const std::int64_t first = i * chunk;
      const std::vector<std::int64_t>& strides = axes.dst_strides;
      bool good = true;
      if (axes.counts[1] <= 4 && axes.src_strides[0] == 1 && strides[1] == 1 && strides[0] == axes.counts[1]) {
        good = spread_channels(src + first, axes.src_strides[1], dst + first * strides[0], axes.counts[1], std::min(chunk, count - first),
                               factor);
      } else {
        for (std::int64_t j = first; j < std::min(first + chunk, count); ++j)
          good &= convert_axes(axes, 1, src + j * axes.src_strides[0], dst + j * strides[0], factor);
      }
      if (!good) ordered = false;
    });
    return ordered;
  }
  parallel_for(threads, count, [&](std::int64_t i) {
    if (!convert_axes(axes, 1, src + i * axes.src_strides[0], dst + i * axes.dst_strides[0], factor)) ordered = false;
  });
  return ordered;
}

template <typename Src>
bool convert_from(ValueType dst_type, const Axes& axes, const Src* src, void* dst, float factor, int threads) {
  switch (dst_type) {
    case ValueType::float32: return convert_all(axes, src, static_cast<float*>(dst), factor, threads) || true;
    case ValueType::bfloat16: return convert_all(axes, src, static_cast<Bfloat16*>(dst), factor, threads) || true;
    case ValueType::uint8: return convert_all(axes, src, static_cast<std::uint8_t*>(dst), factor, threads);
    case ValueType::int8: return convert_all(axes, src, static_cast<std::int8_t*>(dst), factor, threads);
  }
  return false;
}

}  // namespace

dnnl::memory::data_type onednn_type(ValueType type) noexcept {
  switch (type) {
    case ValueType::bfloat16: return dnnl::memory::data_type::bf16;
    case ValueType::uint8: return dnnl::memory::data_type::u8;
    case ValueType::int8: return dnnl::memory::data_type::s8;
    case ValueType::float32: break;
  }
  return dnnl::memory::data_type::f32;
}

ValueType value_type(const dnnl::memory::desc& desc) noexcept {
  switch (desc.data_type()) {
    case dnnl::memory::data_type::bf16: return ValueType::bfloat16;
    case dnnl::memory::data_type::u8: return ValueType::uint8;
    case dnnl::memory::data_type::s8: return ValueType::int8;
    default: return ValueType::float32;
  }
}

dnnl::memory::desc with_type(const dnnl::memory::desc& desc, ValueType type) {
  const std::optional<std::vector<std::int64_t>> strides = strides_of(desc);
  BITWRIGHT_ASSERT(strides);
  return {desc.dims(), onednn_type(type), *strides};
}

Conversion::Conversion(const std::vector<std::int64_t>& dims, const Side& src, const Side& dst)
    : src_type_(src.type),
      dst_type_(dst.type),
      factor_(static_cast<float>(static_cast<double>(src.scale) / static_cast<double>(dst.scale))) {
  const std::vector<std::int64_t>& from = src.strides;
  const std::vector<std::int64_t>& to = dst.strides;
  std::vector<std::size_t> order(dims.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t axis) { return dims[axis] == 1; });
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return to[a] > to[b]; });
  for (const std::size_t axis : order) {
    if (!counts_.empty() && src_strides_.back() == dims[axis] * from[axis] && dst_strides_.back() == dims[axis] * to[axis]) {
      counts_.back() *= dims[axis];
      src_strides_.back() = from[axis];
      dst_strides_.back() = to[axis];
      continue;
    }
    counts_.push_back(dims[axis]);
    src_strides_.push_back(from[axis]);
    dst_strides_.push_back(to[axis]);
  }
  if (counts_.empty()) {
    counts_ = {1};
    src_strides_ = {1};
    dst_strides_ = {1};
  }
}

bool Conversion::run(const void* src, void* dst, int threads) const {
  const Axes axes{.counts = counts_, .src_strides = src_strides_, .dst_strides = dst_strides_};
  switch (src_type_) {
    case ValueType::float32: return convert_from(dst_type_, axes, static_cast<const float*>(src), dst, factor_, threads);
    case ValueType::bfloat16: return convert_from(dst_type_, axes, static_cast<const Bfloat16*>(src), dst, factor_, threads);
    case ValueType::uint8: return convert_from(dst_type_, axes, static_cast<const std::uint8_t*>(src), dst, factor_, threads);
    case ValueType::int8: return convert_from(dst_type_, axes, static_cast<const std::int8_t*>(src), dst, factor_, threads);
  }
  return false;
}

}  // namespace bitwright
