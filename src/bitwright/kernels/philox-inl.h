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
using V64 = hn::Vec<U64>;

constexpr std::uint32_t kMul0 = 0xD2511F53U;
constexpr std::uint32_t kMul1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;

// Vectors of blocks made at once, because each round waits for its products: as many as the registers hold.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kVectors = 4;
#else
constexpr int kVectors = 2;
#endif

// A block has one lane of 64 bits, and each of its words the lower half of that lane; the upper half is what the multiplication leaves and
// does not read. So a product needs no sorting of halves: its upper half is one shift away, its lower half is there.
struct Blocks {
  V64 word[4][kVectors];
};

// The upper half of each lane in the lower one. A shuffle, since shifts wait for the unit that multiplies.
HWY_INLINE V64 UpperHalf(V64 lanes) { return hn::BitCast(U64(), hn::DupOdd(hn::BitCast(U32(), lanes))); }

// Rounds kFrom to 9 on words as round kFrom - 1 leaves them.
template <int kFrom>
HWY_INLINE void FinishRounds(const Rng& rng, Blocks& c) {
  const U32 d;
  const U64 d64;
  const V32 mul0 = hn::Set(d, kMul0);
  const V32 mul1 = hn::Set(d, kMul1);
  V64 key0 = hn::Set(d64, rng.key() + kFrom * std::uint64_t{kWeyl0});
  V64 key1 = hn::Set(d64, (rng.key() >> 32) + kFrom * std::uint64_t{kWeyl1});
  HWY_UNROLL(10)
  for (int round = kFrom; round < 10; ++round) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      const V64 p0 = hn::MulEven(hn::BitCast(d, c.word[0][v]), mul0);
      const V64 p1 = hn::MulEven(hn::BitCast(d, c.word[2][v]), mul1);
      c.word[0][v] = hn::Xor(hn::Xor(UpperHalf(p1), c.word[1][v]), key0);
      c.word[1][v] = p1;
      c.word[2][v] = hn::Xor(hn::Xor(UpperHalf(p0), c.word[3][v]), key1);
      c.word[3][v] = p0;
    }
    key0 = hn::Add(key0, hn::Set(d64, kWeyl0));
    key1 = hn::Add(key1, hn::Set(d64, kWeyl1));
  }
}

// Blocks first + offsets[v], lane by lane, in word[w][v]. Requires: offsets below kVectors times the lanes; none carries out of 64 bits.
HWY_INLINE Blocks MakeBlocks(std::uint64_t first, const Rng& rng, const V64* offsets) {
  const U32 d;
  const U64 d64;
  Blocks c;
  const std::uint64_t last = first + kVectors * hn::Lanes(d64) - 1;
  if (HWY_UNLIKELY(first >> 32 != last >> 32)) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      c.word[0][v] = hn::Add(hn::Set(d64, first), offsets[v]);
      c.word[1][v] = hn::ShiftRight<32>(c.word[0][v]);
      c.word[2][v] = hn::Set(d64, rng.step());
      c.word[3][v] = hn::Set(d64, rng.step() >> 32);
    }
    FinishRounds<0>(rng, c);
    return c;
  }
  // Only the counter's lower word differs between these blocks: in the first round one product is the same for all, in the second the
  // other.
  const std::uint64_t key = rng.key();
  const std::uint64_t product1 = std::uint64_t{kMul1} * static_cast<std::uint32_t>(rng.step());
  const auto word0 = static_cast<std::uint32_t>((product1 >> 32) ^ (first >> 32) ^ key);
  const std::uint64_t product0 = std::uint64_t{kMul0} * word0;
  const V64 with_word2 = hn::Set(d64, (rng.step() >> 32) ^ (key >> 32));
  const V64 with_word0 = hn::Set(d64, product1 ^ (key + kWeyl0));
  const V64 with_word3 = hn::Set(d64, (product0 >> 32) ^ ((key >> 32) + kWeyl1));
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) {
    const V64 counter = hn::Add(hn::Set(d64, first), offsets[v]);
    const V64 p0 = hn::MulEven(hn::BitCast(d, counter), hn::Set(d, kMul0));
    const V64 p1 = hn::MulEven(hn::BitCast(d, hn::Xor(UpperHalf(p0), with_word2)), hn::Set(d, kMul1));
    c.word[0][v] = hn::Xor(UpperHalf(p1), with_word0);
    c.word[1][v] = p1;
    c.word[2][v] = hn::Xor(p0, with_word3);
    c.word[3][v] = hn::Set(d64, product0);
  }
  FinishRounds<2>(rng, c);
  return c;
}

// Words of `even` and `odd` in turn.
HWY_INLINE V32 Merge(V64 even, V64 odd) {
  const U32 d;
  return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
}

// words[4 i + w] = word w of block first + i, `count` blocks: a multiple of kVectors vectors of 64-bit lanes.
HWY_INLINE void FillWords(std::uint64_t first, const Rng& rng, std::int64_t count, std::uint32_t* HWY_RESTRICT words) {
  const U32 d;
  const U64 d64;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d64));
  // Even lanes hold the first half of a vector's blocks, odd lanes the second: interleaving words then leaves whole blocks in order.
  const V64 lane = hn::Iota(d64, 0);
  const V64 half = hn::Set(d64, static_cast<std::uint64_t>(lanes / 2));
  const V64 is_odd = hn::And(lane, hn::Set(d64, 1));
  const V64 place = hn::Add(hn::ShiftRight<1>(lane), hn::IfThenElseZero(hn::Ne(is_odd, hn::Zero(d64)), half));
  V64 offsets[kVectors];
  for (int v = 0; v < kVectors; ++v) offsets[v] = hn::Add(place, hn::Set(d64, static_cast<std::uint64_t>(v * lanes)));
  for (std::int64_t i = 0; i < count; i += kVectors * lanes) {
    const Blocks blocks = MakeBlocks(first + static_cast<std::uint64_t>(i), rng, offsets);
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      const V64 front = hn::BitCast(d64, Merge(blocks.word[0][v], blocks.word[1][v]));
      const V64 back = hn::BitCast(d64, Merge(blocks.word[2][v], blocks.word[3][v]));
      std::uint32_t* const to = words + 4 * (i + v * lanes);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, front, back)), d, to);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, front, back)), d, to + 2 * lanes);
    }
  }
}

// words[i] = word 0 of block first + i, `count` blocks as above.
HWY_INLINE void FillFirstWords(std::uint64_t first, const Rng& rng, std::int64_t count, std::uint32_t* HWY_RESTRICT words) {
  const U32 d;
  const U64 d64;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d64));
  // Two vectors, of the even and of the odd places, merge into one of words.
  V64 offsets[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const auto begin = static_cast<std::uint64_t>(v / 2 * 2 * lanes + v % 2);
    offsets[v] = hn::Add(hn::ShiftLeft<1>(hn::Iota(d64, 0)), hn::Set(d64, begin));
  }
  for (std::int64_t i = 0; i < count; i += kVectors * lanes) {
    const Blocks blocks = MakeBlocks(first + static_cast<std::uint64_t>(i), rng, offsets);
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; v += 2) hn::StoreU(Merge(blocks.word[0][v], blocks.word[0][v + 1]), d, words + i + v * lanes);
  }
}

}  // namespace philox
}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#endif
