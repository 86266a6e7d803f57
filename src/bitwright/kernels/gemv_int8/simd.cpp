// SPDX-License-Identifier: Apache-2.0
// The algorithm once, for every instruction set that Highway compiles it for; kernels.inc says which of them are used.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/gemv_int8/simd.cpp"
#include "bitwright/kernels/gemv_int8/functions.h"

#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bitwright/kernels/leave_avx-inl.h"
#include "bitwright/kernels/lookup-inl.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 outputs at once: a line. Narrower vectors take 2 or 4 steps per line.
using I32 = hn::CappedTag<std::int32_t, 16>;
using U32 = hn::RebindToUnsigned<I32>;
using U8 = hn::Repartition<std::uint8_t, I32>;
using I16 = hn::Repartition<std::int16_t, I32>;
using V32 = hn::Vec<I32>;
using V8 = hn::Vec<U8>;

// How far ahead lines are asked for. The processor's own prefetching begins anew in every page of 4 KB: 1.27 cycles for 32 ternary weights
// from the last-level cache without this, 1.0 with it.
constexpr std::int64_t kAheadLines = 16;

// Instructions of the target AVX3 beyond what Highway 1.0.3 knows; `pairs` is none of them. They are written as assembly, because the
// target does not include them; isa_available has asked the processor.
enum class Extra : std::uint8_t { pairs, vnni, vbmi };

constexpr int low_bits(int bits) { return bits >= 4 ? 4 : bits >= 2 ? 2 : 1; }

// Levels of the codes in the lowest kBits bits of each byte; higher bits may hold anything.
template <int kBits, Extra kExtra>
HWY_INLINE V8 Lookup(const GemvInt8Table& table, V8 codes) {
  const U8 d;
#if HWY_TARGET == HWY_AVX3
  if constexpr (kExtra == Extra::vbmi) {
    const V8 levels = hn::Load(d, reinterpret_cast<const std::uint8_t*>(table.level.data()));
    V8 found = codes;
    asm("vpermb %2, %1, %0" : "=v"(found.raw) : "v"(codes.raw), "v"(levels.raw));
    return found;
  }
#endif
  const V8 code = hn::And(codes, hn::Set(d, (1U << kBits) - 1U));
  const auto sixteen = [&](int i)
                           HWY_ATTR { return hn::LoadDup128(U8(), reinterpret_cast<const std::uint8_t*>(table.level.data()) + 16 * i); };
  if constexpr (kBits <= 4) return hn::TableLookupBytes(sixteen(0), code);
  V8 levels = hn::Zero(d);
  for (int i = 0; i < 1 << (kBits - 4); ++i) levels = hn::Or(levels, LookupPart(sixteen(i), code, i));
  return levels;
}

// sum + the four products of a lane's bytes, activations (unsigned) by levels (signed).
template <Extra kExtra>
HWY_INLINE V32 AddProducts(V32 sum, V8 activations, V8 levels) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kExtra != Extra::pairs) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(activations.raw), "v"(levels.raw));
    return sum;
  }
#endif
  // No pair of products leaves the int16 (gemv_int8.h), so saturation never happens.
#if HWY_TARGET == HWY_AVX3
  return V32{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(_mm512_maddubs_epi16(activations.raw, levels.raw), _mm512_set1_epi16(1)))};
#elif HWY_TARGET == HWY_AVX2
  return V32{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(_mm256_maddubs_epi16(activations.raw, levels.raw), _mm256_set1_epi16(1)))};
#elif HWY_TARGET == HWY_SSE4
  return V32{_mm_add_epi32(sum.raw, _mm_madd_epi16(_mm_maddubs_epi16(activations.raw, levels.raw), _mm_set1_epi16(1)))};
#else
  const I16 d16;
  const I32 d;
  const auto x = hn::BitCast(d16, activations);
  const auto w = hn::BitCast(d16, levels);
  const auto even = hn::Mul(hn::And(x, hn::Set(d16, 0xFF)), hn::ShiftRight<8>(hn::ShiftLeft<8>(w)));
  const hn::RebindToUnsigned<I16> du16;
  const auto odd = hn::Mul(hn::BitCast(d16, hn::ShiftRight<8>(hn::BitCast(du16, x))), hn::ShiftRight<8>(w));
  const V32 pairs = hn::BitCast(d, hn::Add(even, odd));
  return hn::Add(sum, hn::Add(hn::ShiftRight<16>(hn::ShiftLeft<16>(pairs)), hn::ShiftRight<16>(pairs)));
#endif
}

// The part of `kBits` bits of the codes of step kStep, its lowest bit at bit kTo of each byte, anything elsewhere.
template <int kBits, int kStep, int kTo>
HWY_INLINE V8 Part(const std::uint8_t* lines) {
  const U32 d32;
  const U8 d;
  constexpr int kPerLine = 8 / kBits;
  constexpr int kFrom = kBits * (kStep % kPerLine);
  const auto words = hn::BitCast(d32, hn::Load(d, lines + 64 * (kStep / kPerLine)));
  if constexpr (kFrom > kTo) return hn::BitCast(d, hn::ShiftRight<kFrom - kTo>(words));
  return hn::BitCast(d, hn::ShiftLeft<kTo - kFrom>(words));
}

template <int kBits, int kStep>
HWY_INLINE V8 Codes(const std::uint8_t* lines) {
  constexpr int kLow = low_bits(kBits);
  const V8 low = Part<kLow, kStep, 0>(lines);
  if constexpr (kLow == kBits) return low;
  if constexpr (kLow != kBits) {  // only then is there a high part
    const V8 high = Part<kBits - kLow, kStep, kLow>(lines + 64 * kLow);
    const V8 mask = hn::Set(U8(), (1U << kLow) - 1U);
    return hn::Or(hn::And(mask, low), hn::AndNot(mask, high));
  }
}

// Where a vector of five digits a byte stands: `upper` tells the next digits, `rest` is what they leave.
struct DigitState {
  V8 upper;
  V8 rest;
};
template <Extra kExtra>
HWY_INLINE DigitState BeginDigits(const GemvInt8View& weights, const std::uint8_t* line) {
  const U8 d;
  const V8 bytes = hn::Load(d, line);
  if constexpr (kExtra != Extra::vbmi) return {.upper = bytes, .rest = bytes};
  const V8 upper = hn::BitCast(d, hn::ShiftRight<2>(hn::BitCast(U32(), bytes)));
  return {.upper = upper, .rest = hn::Sub(bytes, Lookup<6, kExtra>(weights.digit_tables[0], upper))};
}

// Without lookups of 64 bytes a digit is found by comparing, and left in `upper`.
template <int kDigit, Extra kExtra>
HWY_INLINE void NextDigit(DigitState& state) {
  if constexpr (kExtra == Extra::vbmi) return;
  const U8 d;
  constexpr std::uint8_t kPlace = kDigit == 0 ? 84 : kDigit == 1 ? 28 : kDigit == 2 ? 9 : kDigit == 3 ? 3 : 1;
  // Unsigned a >= b is max(a, b) == a.
  const auto is_one = hn::Eq(hn::Max(state.rest, hn::Set(d, kPlace)), state.rest);
  const auto is_two = hn::Eq(hn::Max(state.rest, hn::Set(d, 2 * kPlace)), state.rest);
  state.upper = hn::Add(hn::IfThenElseZero(is_one, hn::Set(d, 1)), hn::IfThenElseZero(is_two, hn::Set(d, 1)));
  state.rest = hn::Sub(state.rest, hn::Add(hn::IfThenElseZero(is_one, hn::Set(d, kPlace)), hn::IfThenElseZero(is_two, hn::Set(d, kPlace))));
}

template <int kDigit, Extra kExtra>
HWY_INLINE V8 DigitLevels(const GemvInt8View& weights, const DigitState& state, int plane) {
  if constexpr (kExtra != Extra::vbmi) return Lookup<2, kExtra>(weights.tables[plane], state.upper);
  return Lookup<6, kExtra>(weights.digit_tables[1 + 5 * plane + kDigit], kDigit < 2 ? state.upper : state.rest);
}

HWY_INLINE V8 BroadcastFour(const std::uint8_t* activations) {
  std::int32_t four;
  std::memcpy(&four, activations, sizeof(four));
  return hn::BitCast(U8(), hn::Set(I32(), four));
}

// Keeps additions where they are written: GCC 12 would first look up all codes of a group and park them on the stack.
HWY_INLINE void AddNow(V32& sum) {
#if HWY_ARCH_X86
  asm volatile("" : "+v"(sum.raw));
#else
  (void)sum;
#endif
}

template <typename Step, std::size_t... kSteps>
HWY_INLINE void ForEachStep(const Step& step, std::index_sequence<kSteps...>) {
  (step(std::integral_constant<int, static_cast<int>(kSteps)>()), ...);
}

// kVectors vectors of outputs, `apart` vectors from each other, kBatch images: each code is read once and used kBatch times.
// kBits = 0 stands for digits.
template <int kBits, Extra kExtra, int kPlanes, int kBatch, int kVectors>
HWY_NOINLINE void MultiplyVectors(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, std::int64_t first_vector,
                                  std::int64_t apart) {
  const I32 d;
  constexpr int kSteps = kBits == 0 ? 5 : 8;
  constexpr int kLines = kBits == 0 ? 1 : kBits;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t per_block = kGemvInt8BlockOutputs / lanes;
  const std::uint8_t* lines[kVectors];
  V32 totals[kVectors][kPlanes][kBatch];
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t vector = first_vector + v * apart;
    lines[v] = weights.lines[vector / per_block * weights.lines_per_block].byte.data() + vector % per_block * lanes * 4;
    HWY_UNROLL(2)
    for (int p = 0; p < kPlanes; ++p) {
      HWY_UNROLL(8)
      for (int n = 0; n < kBatch; ++n) totals[v][p][n] = hn::Zero(d);
    }
  }
  const std::int64_t groups = weights.lines_per_block / kLines;
  const std::uint8_t* at = x.values;
  for (std::int64_t g = 0; g < groups; ++g, at += 4 * kSteps) {
    DigitState digits[kVectors];
    if constexpr (kBits == 0) {
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) digits[v] = BeginDigits<kExtra>(weights, lines[v]);
    }
    const auto add = [&](auto step) HWY_ATTR __attribute__((always_inline)) {
      constexpr int kStep = decltype(step)::value;
      V8 activations[kBatch];
      HWY_UNROLL(8)
      for (int n = 0; n < kBatch; ++n) activations[n] = BroadcastFour(at + n * x.stride + 4 * kStep);
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) {
        V8 codes = activations[0];
        if constexpr (kBits == 0) {
          NextDigit<kStep, kExtra>(digits[v]);
        } else {
          codes = Codes<kBits, kStep>(lines[v]);
        }
        HWY_UNROLL(2)
        for (int p = 0; p < kPlanes; ++p) {
          V8 levels = codes;
          if constexpr (kBits == 0) {
            levels = DigitLevels<kStep, kExtra>(weights, digits[v], p);
          } else {
            levels = Lookup<kBits, kExtra>(weights.tables[p], codes);
          }
          HWY_UNROLL(8)
          for (int n = 0; n < kBatch; ++n) {
            totals[v][p][n] = AddProducts<kExtra>(totals[v][p][n], activations[n], levels);
            AddNow(totals[v][p][n]);
          }
        }
      }
    };
    ForEachStep(add, std::make_index_sequence<kSteps>());
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) {
      lines[v] += 64 * kLines;
      HWY_UNROLL(8)
      for (int l = 0; l < kLines; ++l) hwy::Prefetch(lines[v] + 64 * (kAheadLines + l));  // beyond the end it is no access
    }
  }
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t first = (first_vector + v * apart) * lanes;
    const std::int64_t count = std::min(lanes, weights.outputs - first);
    for (int p = 0; p < kPlanes; ++p) {
      for (int n = 0; n < kBatch; ++n) {
        HWY_ALIGN std::int32_t results[16];
        hn::Store(totals[v][p][n], d, results);
        const std::int32_t* level_sums = weights.level_sums + p * weights.outputs + first;
        std::int32_t* to = sums + (n * kPlanes + p) * weights.outputs + first;
        for (std::int64_t l = 0; l < count; ++l) to[l] = results[l] - x.zero_point * level_sums[l];
      }
    }
  }
}

template <int kBits, Extra kExtra, int kPlanes, int kBatch>
HWY_NOINLINE void MultiplyBlocks(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, GemvInt8BlockRange blocks) {
#if HWY_TARGET == HWY_AVX3
  constexpr int kVectors = kBatch == 1 ? 4 : 2;
#else
  constexpr int kVectors = kBatch == 1 ? 2 : 1;
#endif
  const std::int64_t per_block = kGemvInt8BlockOutputs / static_cast<std::int64_t>(hn::Lanes(I32()));
  const std::int64_t end = blocks.end * per_block;
  std::int64_t vector = blocks.begin * per_block;
  // Far apart, so that memory is read in several streams: one core gets more out of it that way.
  const std::int64_t apart = (end - vector) / kVectors;
  for (std::int64_t i = 0; i < apart; ++i) MultiplyVectors<kBits, kExtra, kPlanes, kBatch, kVectors>(weights, x, sums, vector + i, apart);
  if (vector + kVectors * apart == end) return;
  // The rest, with some vectors computed twice: the same sums are written again.
  if (apart > 0) return MultiplyVectors<kBits, kExtra, kPlanes, kBatch, kVectors>(weights, x, sums, end - kVectors, 1);
  for (; vector < end; ++vector) MultiplyVectors<kBits, kExtra, kPlanes, kBatch, kVectors>(weights, x, sums, vector, 0);
}

template <int kBits, Extra kExtra, int kPlanes>
void MultiplyBatch(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, GemvInt8BlockRange blocks) {
  GemvInt8Activations part = x;
  std::int64_t n = 0;
  const auto images = [&](auto count) HWY_ATTR {
    for (; x.batch - n >= count; n += count) {
      part.values = x.values + n * x.stride;
      MultiplyBlocks<kBits, kExtra, kPlanes, count>(weights, part, sums + n * kPlanes * weights.outputs, blocks);
    }
  };
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  images(std::integral_constant<int, 4>());
#endif
  images(std::integral_constant<int, 1>());
}

template <int kBits, Extra kExtra>
void MultiplyPlanes(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, GemvInt8BlockRange blocks) {
  if (weights.planes == 1) return MultiplyBatch<kBits, kExtra, 1>(weights, x, sums, blocks);
  MultiplyBatch<kBits, kExtra, 2>(weights, x, sums, blocks);
}

template <Extra kExtra>
void GemvInt8(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, GemvInt8BlockRange blocks) {
  switch (weights.layout == GemvInt8Layout::digits ? 0 : weights.code_bits) {
    case 0: MultiplyPlanes<0, kExtra>(weights, x, sums, blocks); break;
    case 1: MultiplyPlanes<1, kExtra>(weights, x, sums, blocks); break;
    case 2: MultiplyPlanes<2, kExtra>(weights, x, sums, blocks); break;
    case 3: MultiplyPlanes<3, kExtra>(weights, x, sums, blocks); break;
    case 4: MultiplyPlanes<4, kExtra>(weights, x, sums, blocks); break;
    case 5: MultiplyPlanes<5, kExtra>(weights, x, sums, blocks); break;
    default: MultiplyPlanes<6, kExtra>(weights, x, sums, blocks); break;
  }
  LeaveAvx();
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(isa, target, extra)                                                           \
  void gemv_int8__##isa(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, \
                        GemvInt8BlockRange blocks) noexcept {                                          \
    target::GemvInt8<target::Extra::extra>(weights, x, sums, blocks);                                  \
  }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(sse4, N_SSE4, pairs)
BITWRIGHT_DEFINE(avx2, N_AVX2, pairs)
BITWRIGHT_DEFINE(avx512, N_AVX3, pairs)
BITWRIGHT_DEFINE(avx512_vnni, N_AVX3, vnni)
BITWRIGHT_DEFINE(avx512_vbmi, N_AVX3, vbmi)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(neon, N_NEON, pairs)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
