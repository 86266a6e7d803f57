// SPDX-License-Identifier: Apache-2.0
// Tiles of the products and the cutting into digits, once for every instruction set; kernels.inc says which of them are used.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/fixed_point/simd_tile.cpp"
#include "bitwright/kernels/fixed_point/functions.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bitwright/kernels/leave_avx-inl.h"

#include <algorithm>
#include <cstring>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 columns at once: half a panel. Narrower vectors take several steps per panel.
using I32 = hn::CappedTag<std::int32_t, 16>;
using I16 = hn::Repartition<std::int16_t, I32>;
using I64 = hn::Repartition<std::int64_t, I32>;
using V32 = hn::Vec<I32>;
using V16 = hn::Vec<I16>;

// sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in lane i. fixed_digits sees to it that no lane overflows.
template <bool kVnni>
HWY_INLINE V32 AddPairs(V32 sum, V16 a, V16 b) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    // Not an intrinsic, because this target does not include VNNI; isa_available(avx512_vnni) has asked the processor.
    asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  }
#endif
#if HWY_ARCH_X86
  V32 unused = sum;
  return hn::ReorderWidenMulAccumulate(I32(), a, b, sum, unused);
#else
  const I32 d;
  const V32 a32 = hn::BitCast(d, a);
  const V32 b32 = hn::BitCast(d, b);
  const V32 odd = hn::Mul(hn::ShiftRight<16>(a32), hn::ShiftRight<16>(b32));
  const V32 even = hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a32)), hn::ShiftRight<16>(hn::ShiftLeft<16>(b32)));
  return hn::Add(sum, hn::Add(odd, even));
#endif
}

HWY_INLINE V16 BroadcastPair(const std::int16_t* pair) {
  std::int32_t both;
  std::memcpy(&both, pair, sizeof(both));
  return hn::BitCast(I16(), hn::Set(I32(), both));
}

enum class Spill : std::uint8_t { store, add };

// sums = or += (first + second * 2^bits) * 2^shift, widened to int64; with one digit there is no second. Vectors are passed by value: an
// array by reference would live in memory instead of registers.
template <int kDigits>
HWY_INLINE void SpillDigits(V32 first, V32 second, int shift, int bits, Spill spill, std::int64_t* sums) {
  const I64 d64;
  const hn::Half<I32> half;
  auto low = hn::PromoteTo(d64, hn::LowerHalf(half, first));
  auto high = hn::PromoteTo(d64, hn::UpperHalf(half, first));
  if constexpr (kDigits == 2) {
    low = hn::Add(low, hn::ShiftLeftSame(hn::PromoteTo(d64, hn::LowerHalf(half, second)), bits));
    high = hn::Add(high, hn::ShiftLeftSame(hn::PromoteTo(d64, hn::UpperHalf(half, second)), bits));
  }
  if (shift > 0) {
    low = hn::ShiftLeftSame(low, shift);
    high = hn::ShiftLeftSame(high, shift);
  }
  const std::size_t count = hn::Lanes(d64);
  if (spill == Spill::add) {
    low = hn::Add(low, hn::Load(d64, sums));
    high = hn::Add(high, hn::Load(d64, sums + count));
  }
  hn::Store(low, d64, sums);
  hn::Store(high, d64, sums + count);
}

// kRows rows, kDigits digits from first_digit on, kVectors vectors of columns from first_vector on.
template <int kRows, int kDigits, int kVectors, bool kVnni>
HWY_INLINE void TileVectors(const FixedTileCall& call, int first_digit, int first_vector) {
  const I32 d32;
  const I16 d16;
  const int lanes = static_cast<int>(hn::Lanes(d32));
  const std::int16_t* columns[kVectors];
  std::int64_t* sums[kVectors];
  HWY_UNROLL(2)
  for (int v = 0; v < kVectors; ++v) {
    const int column = (first_vector + v) * lanes;
    columns[v] = call.b + first_digit * call.b_digit + column / 16 * call.b_half + column % 16 * 2;
    sums[v] = call.sums + column;
  }
  V32 acc[kRows][kVectors][kDigits];
  const auto clear = [&]() HWY_ATTR {
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(2)
      for (int d = 0; d < kDigits; ++d) {
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) acc[r][v][d] = hn::Zero(d32);
      }
    }
  };
  Spill next = first_digit == 0 ? Spill::store : Spill::add;
  const auto spill = [&]() HWY_ATTR {
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) {
        SpillDigits<kDigits>(acc[r][v][0], acc[r][v][kDigits - 1], first_digit * call.digits.bits, call.digits.bits, next,
                             sums[v] + r * kFixedPanelColumns);
      }
    }
    next = Spill::add;
    clear();
  };
  clear();
  std::int64_t budget = call.digits.max_pairs;
  for (std::int64_t outer = 0; outer < call.outer; ++outer) {
    for (std::int64_t inner = 0; inner < call.inner; ++inner) {
      std::int64_t at_a = outer * call.a_outer + inner * call.a_inner;
      std::int64_t at_b = outer * call.b_outer + inner * call.b_inner;
      for (std::int64_t left = call.pairs; left > 0;) {
        const std::int64_t now = std::min(left, budget);
        for (std::int64_t t = 0; t < now; ++t) {
          V16 b[kDigits][kVectors];
          HWY_UNROLL(2)
          for (int d = 0; d < kDigits; ++d) {
            HWY_UNROLL(2)
            for (int v = 0; v < kVectors; ++v) b[d][v] = hn::LoadU(d16, columns[v] + at_b + d * call.b_digit);
          }
          HWY_UNROLL(8)
          for (int r = 0; r < kRows; ++r) {
            const V16 a = BroadcastPair(call.a[r] + at_a);
            HWY_UNROLL(2)
            for (int d = 0; d < kDigits; ++d) {
              HWY_UNROLL(2)
              for (int v = 0; v < kVectors; ++v) acc[r][v][d] = AddPairs<kVnni>(acc[r][v][d], a, b[d][v]);
            }
          }
          at_a += 2;
          at_b += call.b_step;
        }
        left -= now;
        budget -= now;
        if (budget == 0) {
          spill();
          budget = call.digits.max_pairs;
        }
      }
    }
  }
  spill();
}

// As many sums at once as the registers hold.
template <int kRows, bool kVnni>
HWY_NOINLINE void TileRows(const FixedTileCall& call) {
#if HWY_CAP_GE512
  constexpr int kVectors = 2;
  int digit = 0;
  for (; digit + 2 <= call.digits.count; digit += 2) TileVectors<kRows, 2, kVectors, kVnni>(call, digit, 0);
  if (digit < call.digits.count) TileVectors<kRows, 1, kVectors, kVnni>(call, digit, 0);
#else
  const int vectors = static_cast<int>(kFixedPanelColumns / static_cast<std::int64_t>(hn::Lanes(I32())));
  for (int vector = 0; vector < vectors; ++vector) {
    for (int digit = 0; digit < call.digits.count; ++digit) TileVectors<kRows, 1, 1, kVnni>(call, digit, vector);
  }
#endif
}

template <bool kVnni>
void Tile(const FixedTileCall& call) {
  switch (call.rows) {
    case 1: TileRows<1, kVnni>(call); break;
    case 2: TileRows<2, kVnni>(call); break;
    case 3: TileRows<3, kVnni>(call); break;
    case 4: TileRows<4, kVnni>(call); break;
    case 5: TileRows<5, kVnni>(call); break;
    default: TileRows<6, kVnni>(call);
  }
  LeaveAvx();
}

void Split(const FixedSplitCall& call) {
  const I16 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const int bits = call.digits.bits;
  std::int64_t i = 0;
  for (; i + lanes <= call.count; i += lanes) {
    V16 even = hn::LoadU(d, call.even + i);
    V16 odd = hn::LoadU(d, call.odd + i);
    for (int digit = 0; digit < call.digits.count; ++digit) {
      V16 low_even = even;
      V16 low_odd = odd;
      if (digit + 1 < call.digits.count) {
        // The w low bits with their sign. What remains is (code - digit) / 2^w, the carry included.
        low_even = hn::ShiftRightSame(hn::ShiftLeftSame(even, 16 - bits), 16 - bits);
        low_odd = hn::ShiftRightSame(hn::ShiftLeftSame(odd, 16 - bits), 16 - bits);
        const V16 one = hn::Set(d, 1);
        const auto next = [&](V16 code) HWY_ATTR {
          // code >> w, plus 1 where the digit is negative: that is the highest of the w bits.
          return hn::Add(hn::ShiftRightSame(code, bits), hn::And(hn::ShiftRightSame(code, bits - 1), one));
        };
        even = next(even);
        odd = next(odd);
      }
      std::int16_t* dst = call.dst + digit * call.digit_stride + 2 * i;
      hn::StoreInterleaved2(low_even, low_odd, d, dst);
    }
  }
  LeaveAvx();
  for (; i < call.count; ++i) {
    for_digits(call.even[i], call.digits, [&](int digit, std::int16_t low) { call.dst[digit * call.digit_stride + 2 * i] = low; });
    for_digits(call.odd[i], call.digits, [&](int digit, std::int16_t low) { call.dst[digit * call.digit_stride + 2 * i + 1] = low; });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(suffix, target, vnni)                                                      \
  void fixed_point_tile__##suffix(const FixedTileCall& call) noexcept { target::Tile<vnni>(call); } \
  void fixed_point_split__##suffix(const FixedSplitCall& call) noexcept { target::Split(call); }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(sse4, N_SSE4, false)
BITWRIGHT_DEFINE(avx2, N_AVX2, false)
BITWRIGHT_DEFINE(avx512, N_AVX3, false)
BITWRIGHT_DEFINE(avx512_vnni, N_AVX3, true)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(neon, N_NEON, false)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
