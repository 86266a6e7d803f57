// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 in vectors, for Highway bodies: included once per target, hence the guard that toggles.
#if defined(BITWRIGHT_KERNELS_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BITWRIGHT_KERNELS_PHILOX_INL_H_
#undef BITWRIGHT_KERNELS_PHILOX_INL_H_
#else
#define BITWRIGHT_KERNELS_PHILOX_INL_H_
#endif

#include "bitwright/core/rng.h"

#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace philox {
namespace hn = hwy::HWY_NAMESPACE;

using U32 = hn::CappedTag<std::uint32_t, 16>;
using U64 = hn::Repartition<std::uint64_t, U32>;
using V32 = hn::Vec<U32>;

// Vectors of blocks made at once, because each round waits for its products.
constexpr int kVectors = 2;

struct Product {
  V32 high;
  V32 low;
};

HWY_INLINE Product MulWide(V32 a, V32 b) {
  const U32 d;
  const U64 d64;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, a))), b);  // b is the same in all lanes
  return {.high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even))),
          .low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even))};
}

struct Blocks {
  V32 word[4][kVectors];
};

// Word w of block first + v * lanes + l in lane l of word[w][v].
HWY_INLINE Blocks MakeBlocks(std::uint64_t first, const Rng& rng) {
  const U32 d;
  const auto lanes = static_cast<std::uint64_t>(hn::Lanes(d));
  const V32 mul0 = hn::Set(d, 0xD2511F53U);
  const V32 mul1 = hn::Set(d, 0xCD9E8D57U);
  V32 c0[kVectors];
  V32 c1[kVectors];
  V32 c2[kVectors];
  V32 c3[kVectors];
  HWY_UNROLL(2)
  for (int v = 0; v < kVectors; ++v) {
    const std::uint64_t block = first + static_cast<std::uint64_t>(v) * lanes;
    const V32 low = hn::Set(d, static_cast<std::uint32_t>(block));
    c0[v] = hn::Add(low, hn::Iota(d, 0));
    // Lanes whose low word wrapped around belong to the next high word.
    c1[v] = hn::Add(hn::Set(d, static_cast<std::uint32_t>(block >> 32)), hn::IfThenElseZero(hn::Lt(c0[v], low), hn::Set(d, 1)));
    c2[v] = hn::Set(d, static_cast<std::uint32_t>(rng.step()));
    c3[v] = hn::Set(d, static_cast<std::uint32_t>(rng.step() >> 32));
  }
  auto key0 = static_cast<std::uint32_t>(rng.key());
  auto key1 = static_cast<std::uint32_t>(rng.key() >> 32);
  for (int round = 0; round < 10; ++round) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      const Product p0 = MulWide(c0[v], mul0);
      const Product p1 = MulWide(c2[v], mul1);
      c0[v] = hn::Xor(hn::Xor(p1.high, c1[v]), hn::Set(d, key0));
      c1[v] = p1.low;
      c2[v] = hn::Xor(hn::Xor(p0.high, c3[v]), hn::Set(d, key1));
      c3[v] = p0.low;
    }
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  Blocks blocks;
  HWY_UNROLL(2)
  for (int v = 0; v < kVectors; ++v) {
    blocks.word[0][v] = c0[v];
    blocks.word[1][v] = c1[v];
    blocks.word[2][v] = c2[v];
    blocks.word[3][v] = c3[v];
  }
  return blocks;
}

// words[4 i + w] = word w of block first + i, `count` blocks: a multiple of kVectors vectors.
HWY_INLINE void FillWords(std::uint64_t first, const Rng& rng, std::int64_t count, std::uint32_t* HWY_RESTRICT words) {
  const U32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += kVectors * lanes) {
    const Blocks blocks = MakeBlocks(first + static_cast<std::uint64_t>(i), rng);
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreInterleaved4(blocks.word[0][v], blocks.word[1][v], blocks.word[2][v], blocks.word[3][v], d, words + 4 * (i + v * lanes));
    }
  }
}

}  // namespace philox
}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#endif
