// SPDX-License-Identifier: Apache-2.0
// The algorithm once, for every instruction set that Highway compiles it for; kernels.inc says which of them are used.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/conv_shifted/simd.cpp"
#include "bitwright/kernels/conv_shifted/functions.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;
using VF = hn::Vec<F32>;

// Accumulators of a tile of up to 6 outputs, the pixels and a weight must fit the registers.
#if HWY_TARGET == HWY_AVX3
constexpr int kVectors = 4;
#else
constexpr int kVectors = 2;
#endif

// `count` floats; may write up to a vector beyond, never reads beyond.
HWY_INLINE void CopyRow(const float* HWY_RESTRICT from, float* HWY_RESTRICT to, std::int64_t count) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  if (i < count) hn::StoreU(hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count - i)), d, from + i), d, to + i);
#else
  for (; i < count; ++i) to[i] = from[i];
#endif
}

// Rows are written in ascending order, so what a row writes beyond its end is overwritten by the next one.
void Shift(const ConvShiftedShape& s, const float* src, float* shifted) {
  for (std::int64_t c = 0; c < s.channels; ++c) {
    for (std::int64_t j = 0; j < s.kernel_width; ++j) {
      const std::int64_t first = j * s.dilation_x - s.pad_left;  // column of src under output column 0
      const std::int64_t begin = std::clamp<std::int64_t>(-first, 0, s.out_width);
      const std::int64_t end = std::clamp<std::int64_t>(s.width - first, begin, s.out_width);
      for (std::int64_t r = 0; r < s.shifted_rows(); ++r, shifted += s.out_width) {
        const std::int64_t row = r - s.pad_top;
        const bool is_inside = row >= 0 && row < s.height;
        if (!is_inside || begin > 0 || end < s.out_width) std::fill_n(shifted, s.out_width, 0.0F);
        if (!is_inside) continue;
        const float* from = src + (c * s.height + row) * s.width + first + begin;
        if (end == s.out_width) {
          CopyRow(from, shifted + begin, end - begin);
        } else {
          std::copy(from, from + (end - begin), shifted + begin);  // zeros stand behind it
        }
      }
    }
  }
}

// kTile outputs by kCount vectors of pixels from `pixel` on.
template <int kTile, int kCount>
HWY_INLINE void MultiplyTile(const ConvShiftedCall& call, const float* HWY_RESTRICT weights, std::int64_t output, std::int64_t pixel) {
  const F32 d;
  const ConvShiftedShape& s = *call.shape;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t live = std::min<std::int64_t>(kTile, s.outputs - output);
  VF sums[kTile][kCount];
  HWY_UNROLL(8)
  for (int o = 0; o < kTile; ++o) {
    const VF start = hn::Set(d, o < live ? call.bias[output + o] : 0.0F);
    HWY_UNROLL(8)
    for (int v = 0; v < kCount; ++v) sums[o][v] = start;
  }
  const std::int64_t plane = s.shifted_rows() * s.out_width;
  const std::int64_t row = s.dilation_y * s.out_width;
  for (std::int64_t c = 0; c < s.channels; ++c) {
    for (std::int64_t i = 0; i < s.kernel_height; ++i) {
      const float* at = call.scratch + c * s.kernel_width * plane + i * row + pixel;
      for (std::int64_t j = 0; j < s.kernel_width; ++j, at += plane, weights += kTile) {
        VF pixels[kCount];
        HWY_UNROLL(8)
        for (int v = 0; v < kCount; ++v) pixels[v] = hn::LoadU(d, at + v * lanes);
        HWY_UNROLL(8)
        for (int o = 0; o < kTile; ++o) {
          const VF weight = hn::Set(d, weights[o]);
          HWY_UNROLL(8)
          for (int v = 0; v < kCount; ++v) sums[o][v] = hn::MulAdd(weight, pixels[v], sums[o][v]);
        }
      }
    }
  }
  const std::int64_t pixels = s.out_height * s.out_width;
  HWY_UNROLL(8)
  for (int o = 0; o < kTile; ++o) {
    if (o >= live) break;
    HWY_UNROLL(8)
    for (int v = 0; v < kCount; ++v) {
      const VF sum = call.activation == Activation::relu ? hn::Max(sums[o][v], hn::Zero(d)) : sums[o][v];
      float* to = call.dst + (output + o) * pixels + pixel + v * lanes;
      const std::int64_t count = pixels - pixel - v * lanes;
      if (count >= lanes) {
        hn::StoreU(sum, d, to);
      } else {
        HWY_ALIGN float rest[16];
        hn::Store(sum, d, rest);
        for (std::int64_t l = 0; l < count; ++l) to[l] = rest[l];
      }
    }
  }
}

template <int kTile>
HWY_NOINLINE void MultiplyPlanes(const ConvShiftedCall& call) {
  const ConvShiftedShape& s = *call.shape;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  const std::int64_t taps = s.channels * s.kernel_height * s.kernel_width;
  const std::int64_t pixels = s.out_height * s.out_width;
  const float* weights = call.weights->values();
  for (std::int64_t output = 0; output < s.outputs; output += kTile, weights += kTile * taps) {
    std::int64_t pixel = 0;
    for (; pixel + (kVectors - 1) * lanes < pixels; pixel += kVectors * lanes) MultiplyTile<kTile, kVectors>(call, weights, output, pixel);
    for (; pixel < pixels; pixel += lanes) MultiplyTile<kTile, 1>(call, weights, output, pixel);
  }
}

void ConvShifted(const ConvShiftedCall& call) {
  Shift(*call.shape, call.src, call.scratch);
  switch (call.weights->tile()) {
    case 4: return MultiplyPlanes<4>(call);
    case 5: return MultiplyPlanes<5>(call);
    default: return MultiplyPlanes<6>(call);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(function, target) \
  void function(const ConvShiftedCall& call) noexcept { target::ConvShifted(call); }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(conv_shifted_float32__sse4, N_SSE4)
BITWRIGHT_DEFINE(conv_shifted_float32__avx2, N_AVX2)
BITWRIGHT_DEFINE(conv_shifted_float32__avx512, N_AVX3)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(conv_shifted_float32__neon, N_NEON)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
