// SPDX-License-Identifier: Apache-2.0
// The algorithm once, for every instruction set that Highway compiles it for; kernels.inc says which of them are used.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/gemv_packed/simd.cpp"
#include "bitwright/kernels/gemv_packed/functions.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: one block of outputs. Narrower vectors take 2 or 4 steps per block.
using F32 = hn::CappedTag<float, 16>;
using U32 = hn::RebindToUnsigned<F32>;
using I32 = hn::RebindToSigned<F32>;
using VF = hn::Vec<F32>;
using VU = hn::Vec<U32>;

// Values of the codes in the lowest kBits bits of each lane; higher bits may hold anything.
#if HWY_TARGET == HWY_AVX3
template <int kBits>
struct Table {
  VF low, high;
  explicit HWY_INLINE Table(const GemvPackedTable& table)
      : low(hn::Load(F32(), table.value.data())), high(hn::Load(F32(), table.value.data() + 16)) {}
  HWY_INLINE VF operator()(VU codes) const {
    // Both instructions ignore the bits they do not need, which saves masking.
    if constexpr (kBits == 5) return VF{_mm512_permutex2var_ps(low.raw, codes.raw, high.raw)};
    return VF{_mm512_permutexvar_ps(codes.raw, low.raw)};
  }
};
#elif HWY_TARGET == HWY_AVX2
template <int kBits>
struct Table {
  VF part[4];
  explicit HWY_INLINE Table(const GemvPackedTable& table) {
    for (std::size_t i = 0; i < 4; ++i) part[i] = hn::Load(F32(), table.value.data() + 8 * i);
  }
  static HWY_INLINE VF lookup(VF part, VU codes) { return VF{_mm256_permutevar8x32_ps(part.raw, codes.raw)}; }
  HWY_INLINE VF operator()(VU codes) const {
    const VF a = lookup(part[0], codes);
    if constexpr (kBits <= 3) return a;
    // The blend looks at the sign bit alone, so shifting bit 3 (or 4) there is the whole comparison.
    const auto bit3 = hn::MaskFromVec(hn::BitCast(F32(), hn::ShiftLeft<28>(codes)));
    const VF ab = hn::IfThenElse(bit3, lookup(part[1], codes), a);
    if constexpr (kBits == 4) return ab;
    const VF cd = hn::IfThenElse(bit3, lookup(part[3], codes), lookup(part[2], codes));
    return hn::IfThenElse(hn::MaskFromVec(hn::BitCast(F32(), hn::ShiftLeft<27>(codes))), cd, ab);
  }
};
#else
template <int kBits>
struct Table {
  const float* values;
  explicit HWY_INLINE Table(const GemvPackedTable& table) : values(table.value.data()) {}
  HWY_INLINE VF operator()(VU codes) const {
    const VU code = hn::And(codes, hn::Set(U32(), (1U << kBits) - 1U));
    return hn::GatherIndex(F32(), values, hn::BitCast(I32(), code));
  }
};
#endif

// kVectors vectors of outputs, kBatch images: each code is looked up once and used kBatch times.
template <int kBits, int kBatch, int kVectors>
HWY_INLINE void MultiplyVectors(const GemvPackedView& weights, const float* bias, const float* x, std::int64_t x_stride, float* y,
                                std::int64_t y_stride, std::int64_t first_vector) {
  const F32 d;
  const U32 du;
  constexpr std::int64_t kPerWord = gemv_packed_codes_per_word(kBits);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t vectors_per_block = kGemvPackedBlockOutputs / lanes;
  const Table<kBits> table(*weights.table);

  const std::uint32_t* words[kVectors];
  VF sums[kVectors][kBatch][2];
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t block = (first_vector + v) / vectors_per_block;
    const std::int64_t lane = (first_vector + v) % vectors_per_block * lanes;
    words[v] = weights.lines[block * weights.lines_per_block].lane.data() + lane;
    HWY_UNROLL(8)
    for (int n = 0; n < kBatch; ++n) sums[v][n][0] = sums[v][n][1] = hn::Zero(d);
  }
  const std::int64_t whole_words = weights.inputs / kPerWord;
  const auto add_code = [&](VU(&codes)[kVectors], const float* at, std::int64_t k) HWY_ATTR {
    VF values[kVectors];
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) {
      values[v] = table(codes[v]);
      codes[v] = hn::ShiftRight<kBits>(codes[v]);
    }
    HWY_UNROLL(8)
    for (int n = 0; n < kBatch; ++n) {
      const VF activation = hn::Set(d, at[n * x_stride]);
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) sums[v][n][k % 2] = hn::MulAdd(values[v], activation, sums[v][n][k % 2]);
    }
  };
  for (std::int64_t w = 0; w < whole_words; ++w) {
    VU codes[kVectors];
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) codes[v] = hn::Load(du, words[v] + 16 * w);
    HWY_UNROLL(32)
    for (std::int64_t k = 0; k < kPerWord; ++k) add_code(codes, x + w * kPerWord + k, k);
  }
  const std::int64_t rest = weights.inputs - whole_words * kPerWord;
  if (rest > 0) {
    VU codes[kVectors];
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) codes[v] = hn::Load(du, words[v] + 16 * whole_words);
    const float* at = x + whole_words * kPerWord;
    std::int64_t k = 0;
    for (; k + 1 < rest; k += 2) {
      add_code(codes, at + k, 0);
      add_code(codes, at + k + 1, 1);
    }
    if (k < rest) add_code(codes, at + k, 0);
  }
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t first = (first_vector + v) * lanes;
    const std::int64_t count = std::min(lanes, weights.outputs - first);
    HWY_UNROLL(8)
    for (int n = 0; n < kBatch; ++n) {
      HWY_ALIGN float results[16];
      hn::Store(hn::Add(sums[v][n][0], sums[v][n][1]), d, results);
      for (std::int64_t l = 0; l < count; ++l) y[n * y_stride + first + l] = results[l] + (bias == nullptr ? 0.0F : bias[first + l]);
    }
  }
}

// As many vectors at once as hide the latency of a multiply-add without leaving the registers.
template <int kBits, int kBatch>
HWY_NOINLINE void MultiplyBlocks(const GemvPackedView& weights, const float* bias, const float* x, std::int64_t x_stride, float* y,
                                 std::int64_t y_stride, GemvBlockRange blocks) {
#if HWY_TARGET == HWY_AVX3
  constexpr int kVectors = kBatch == 1 ? 4 : (kBatch == 8 ? 1 : 8 / kBatch);
#else
  constexpr int kVectors = kBatch <= 2 ? 2 : 1;
#endif
  const std::int64_t vectors_per_block = kGemvPackedBlockOutputs / static_cast<std::int64_t>(hn::Lanes(F32()));
  const std::int64_t end = blocks.end * vectors_per_block;
  std::int64_t vector = blocks.begin * vectors_per_block;
  for (; vector + kVectors <= end; vector += kVectors) {
    MultiplyVectors<kBits, kBatch, kVectors>(weights, bias, x, x_stride, y, y_stride, vector);
  }
  for (; vector < end; ++vector) MultiplyVectors<kBits, kBatch, 1>(weights, bias, x, x_stride, y, y_stride, vector);
}

template <int kBits>
void MultiplyBatch(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                   GemvBlockRange blocks) {
  std::int64_t n = 0;
  const auto images = [&](auto count) HWY_ATTR {
    for (; x.batch - n >= count; n += count) {
      MultiplyBlocks<kBits, count>(weights, bias, x.values + n * x.stride, x.stride, y.values + n * y.stride, y.stride, blocks);
    }
  };
  images(std::integral_constant<int, 8>());
  images(std::integral_constant<int, 4>());
  images(std::integral_constant<int, 2>());
  images(std::integral_constant<int, 1>());
}

void GemvPacked(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y, GemvBlockRange blocks) {
  switch (weights.code_bits) {
    case 1: return MultiplyBatch<1>(weights, bias, x, y, blocks);
    case 2: return MultiplyBatch<2>(weights, bias, x, y, blocks);
    case 3: return MultiplyBatch<3>(weights, bias, x, y, blocks);
    case 4: return MultiplyBatch<4>(weights, bias, x, y, blocks);
    default: return MultiplyBatch<5>(weights, bias, x, y, blocks);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(function, target)                                                                        \
  void function(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y, \
                GemvBlockRange blocks) noexcept {                                                                 \
    target::GemvPacked(weights, bias, x, y, blocks);                                                              \
  }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(gemv_packed_float32__sse4, N_SSE4)
BITWRIGHT_DEFINE(gemv_packed_float32__avx2, N_AVX2)
BITWRIGHT_DEFINE(gemv_packed_float32__avx512, N_AVX3)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(gemv_packed_float32__neon, N_NEON)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
