// SPDX-License-Identifier: Apache-2.0
// Bias, sign, rounding (G11, G12) and saturation of accumulators, once for every instruction set, with Philox4x32-10 in vectors.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/fixed_point/simd_finish.cpp"
#include "bitwright/kernels/fixed_point/functions.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bitwright/kernels/leave_avx-inl.h"
#include "bitwright/kernels/philox-inl.h"

#include <algorithm>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using U32 = hn::CappedTag<std::uint32_t, 16>;
using U64 = hn::Repartition<std::uint64_t, U32>;
using I64 = hn::Repartition<std::int64_t, U32>;
using V32 = hn::Vec<U32>;

// Words of one chunk of draws: two vectors of blocks at the widest, so that philox::FillWords is always given whole ones.
constexpr std::int64_t kChunk = 128;

// R of (G12) or (G13) for the elements of a chunk, as many as there are words for.
struct Draws {
  const Rng* rng;
  int shift;  // k
  int bits;   // r, at most k

  [[nodiscard]] HWY_INLINE std::int64_t per_block() const { return bits <= 32 ? 4 : 2; }

  // Returns how many elements of offsets[] are those of `index` and its successors, the first of them at *skip.
  HWY_INLINE std::int64_t Fill(std::uint64_t index, std::int64_t* HWY_RESTRICT offsets, std::int64_t* skip) const {
    const I64 di;
    const U64 d;
    HWY_ALIGN std::uint32_t words[kChunk];
    const auto per = static_cast<std::uint64_t>(per_block());
    philox::FillWords(index / per, *rng, kChunk / 4, words);
    *skip = static_cast<std::int64_t>(index % per);
    const std::int64_t count = kChunk / 4 * per_block();
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    for (std::int64_t i = 0; i < count; i += lanes) {
      hn::Vec<U64> random;
      if (bits <= 32) {
        const hn::Half<U32> half;
        random = hn::ShiftRightSame(hn::PromoteTo(d, hn::LoadU(half, words + i)), 32 - bits);
      } else {
        random = hn::ShiftRightSame(hn::BitCast(d, hn::Load(U32(), words + 2 * i)), 64 - bits);
      }
      hn::Store(hn::BitCast(di, hn::ShiftLeftSame(random, shift - bits)), di, offsets + i);
    }
    return count - *skip;
  }
};

// What one vector needs, broadcast once.
struct Finisher {
  const FixedFinishCall& call;
  hn::Vec<I64> bias_all;
  hn::Vec<I64> nearest;
  hn::Vec<I64> least;
  hn::Vec<I64> most;
  hn::Vec<I64> low_limit;
  hn::Vec<I64> high_limit;
  hn::Vec<I64> saturated;

  explicit HWY_INLINE Finisher(const FixedFinishCall& finish) : call(finish) {
    const I64 d;
    const int k = call.change.shift;
    const std::int64_t lowest = -(std::int64_t{1} << (call.change.word_bits - 1));
    bias_all = hn::Set(d, call.bias_all);
    nearest = hn::Set(d, k > 0 ? (std::int64_t{1} << (k - 1)) - 1 : 0);
    least = hn::Set(d, lowest);
    most = hn::Set(d, -lowest - 1);
    // One beyond what fits, so that a shift to the left neither overflows nor hides a saturation.
    low_limit = hn::Set(d, k <= 0 ? (lowest >> -k) - 1 : 0);
    high_limit = hn::Set(d, k <= 0 ? ((-lowest - 1) >> -k) + 1 : 0);
    saturated = hn::Zero(d);
  }

  // `valid` of the lanes are stored; the others must hold acc = bias = 0.
  HWY_INLINE void Vector(hn::Vec<I64> acc, hn::Vec<I64> offset, std::int64_t at, std::int64_t valid) {
    const I64 d;
    const int k = call.change.shift;
    const std::size_t lanes = hn::Lanes(d);
    HWY_ALIGN std::int64_t spilled[hn::MaxLanes(d)];
    if (call.positive != nullptr) {
      hn::Store(hn::IfThenElseZero(hn::Gt(acc, hn::Zero(d)), hn::Set(d, 1)), d, spilled);
      for (std::int64_t i = 0; i < valid; ++i) call.positive[at + i] = static_cast<std::uint8_t>(spilled[i]);
    }
    if (call.activation == FixedEpilogue::Activation::relu) acc = hn::Max(acc, hn::Zero(d));
    if (k > 0) {
      acc = hn::ShiftRightSame(hn::Add(acc, offset), k);
    } else {
      acc = hn::ShiftLeftSame(hn::Max(hn::Min(acc, high_limit), low_limit), -k);
    }
    const auto code = hn::Max(hn::Min(acc, most), least);
    const auto moved = hn::VecFromMask(d, hn::Ne(code, acc));  // -1 where (G8) moved the code
    if (valid == static_cast<std::int64_t>(lanes)) {
      saturated = hn::Sub(saturated, moved);
      StoreCodes(code, call.dst + at);
      return;
    }
    saturated = hn::Sub(saturated, hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(valid)), moved));
    hn::Store(code, d, spilled);
    for (std::int64_t i = 0; i < valid; ++i) call.dst[at + i] = static_cast<std::int16_t>(spilled[i]);
  }

  static HWY_INLINE void StoreCodes(hn::Vec<I64> code, std::int16_t* dst) {
#if HWY_TARGET == HWY_AVX3
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm512_cvtepi64_epi16(code.raw));
#else
    const I64 d;
    HWY_ALIGN std::int64_t codes[hn::MaxLanes(d)];
    hn::Store(code, d, codes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) dst[i] = static_cast<std::int16_t>(codes[i]);
#endif
  }

  // Elements [begin, end); offsets[0] belongs to `begin`, null for nearest.
  HWY_INLINE void Range(std::int64_t begin, std::int64_t end, const std::int64_t* offsets) {
    const I64 d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = begin;
    for (; i + lanes <= end; i += lanes) {
      auto acc = hn::Add(hn::LoadU(d, call.acc + i), bias_all);
      if (call.bias != nullptr) acc = hn::Add(acc, hn::LoadU(d, call.bias + i));
      Vector(acc, offsets == nullptr ? nearest : hn::LoadU(d, offsets + (i - begin)), i, lanes);
    }
    if (i == end) return;
    HWY_ALIGN std::int64_t acc[hn::MaxLanes(d)] = {};
    HWY_ALIGN std::int64_t offset[hn::MaxLanes(d)] = {};
    for (std::int64_t j = 0; j < end - i; ++j) {
      acc[j] = call.acc[i + j] + call.bias_all + (call.bias == nullptr ? 0 : call.bias[i + j]);
      if (offsets != nullptr) offset[j] = offsets[i - begin + j];
    }
    Vector(hn::Load(d, acc), offsets == nullptr ? nearest : hn::Load(d, offset), i, end - i);
  }

  HWY_INLINE std::int64_t Saturated() const {
    const I64 d;
    HWY_ALIGN std::int64_t lanes[hn::MaxLanes(d)];
    hn::Store(saturated, d, lanes);
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) sum += lanes[i];
    return sum;
  }
};

std::int64_t Finish(const FixedFinishCall& call) {
  Finisher finisher(call);
  const int k = call.change.shift;
  if (call.change.rounding == FixedRounding::nearest_down || k <= 0) {
    finisher.Range(0, call.count, nullptr);
    const std::int64_t saturated = finisher.Saturated();
    LeaveAvx();
    return saturated;
  }
  const Draws draws{.rng = call.change.rng, .shift = k, .bits = std::min(call.change.random_bits, k)};
  HWY_ALIGN std::int64_t offsets[kChunk];
  for (std::int64_t i = 0; i < call.count;) {
    std::int64_t skip = 0;
    const std::int64_t there = draws.Fill(call.first_index + static_cast<std::uint64_t>(i), offsets, &skip);
    const std::int64_t end = std::min(call.count, i + there);
    finisher.Range(i, end, offsets + skip);
    i = end;
  }
  const std::int64_t saturated = finisher.Saturated();
  LeaveAvx();
  return saturated;
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(suffix, target) \
  std::int64_t fixed_point_finish__##suffix(const FixedFinishCall& call) noexcept { return target::Finish(call); }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(sse4, N_SSE4)
BITWRIGHT_DEFINE(avx2, N_AVX2)
BITWRIGHT_DEFINE(avx512, N_AVX3)
BITWRIGHT_DEFINE(avx512_vnni, N_AVX3)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(neon, N_NEON)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
