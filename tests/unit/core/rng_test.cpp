// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace bitwright {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known-answer vectors published with the generator's reference code (philox4x32, 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, DrawDependsOnItsAddressOnly) {
  const Rng rng(7, "forward", 3);
  std::vector<std::uint32_t> forward;
  std::vector<std::uint32_t> backward(100);
  for (std::uint64_t i = 0; i < 100; ++i) forward.push_back(rng.bits32(i));
  for (std::uint64_t i = 100; i-- > 0;) backward[i] = rng.bits32(i);
  EXPECT_EQ(forward, backward);
  EXPECT_EQ(Rng(7, "forward", 3).bits64(5), rng.bits64(5));
  EXPECT_EQ(Rng(7, "forward").at_step(3).bits64(5), rng.bits64(5));
}

TEST(Rng, EveryPartOfTheAddressMatters) {
  std::set<std::uint64_t> draws;
  for (const std::uint64_t seed : {0, 1, 2}) {
    for (const char* purpose : {"", "a", "b", "ab", "ba"}) {
      for (const std::uint64_t step : {0ULL, 1ULL, 1ULL << 32}) {
        for (const std::uint64_t index : {0ULL, 1ULL, 1ULL << 32}) draws.insert(Rng(seed, purpose, step).bits64(index));
      }
    }
  }
  EXPECT_EQ(draws.size(), 3U * 5 * 3 * 3);
  EXPECT_NE(Rng(1, "a").split("x").bits64(0), Rng(1, "a").split("y").bits64(0));
  EXPECT_NE(Rng(1, "a").split("x").bits64(0), Rng(1, "b").split("x").bits64(0));
  EXPECT_EQ(Rng(1, "a", 9).split("x").bits64(0), Rng(1, "a").split("x").at_step(9).bits64(0));
}

TEST(Rng, WordsAgreeWithTheBlock) {
  const Rng rng(11, "x");
  const Words block = rng.block(42);
  EXPECT_EQ(rng.bits32(42), block[0]);
  EXPECT_EQ(rng.bits64(42), (std::uint64_t{block[1]} << 32) | block[0]);
  EXPECT_EQ(rng.uniform01(42), block[0] * 0x1.0p-32);
}

TEST(Rng, WordsOfConsecutiveIndicesAreThoseOfConsecutiveBlocks) {
  const Rng rng(11, "x", 5);
  for (std::uint64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(rng.word(i), rng.block(i / 4)[i % 4]);
    EXPECT_EQ(rng.word_pair(i), (std::uint64_t{rng.word(2 * i + 1)} << 32) | rng.word(2 * i));
  }
  EXPECT_EQ(rng.block(9), philox4x32({9, 0, 5, 0}, {static_cast<std::uint32_t>(rng.key()), static_cast<std::uint32_t>(rng.key() >> 32)}));
  EXPECT_EQ(rng.step(), 5U);
}

// Mean of n uniforms: standard deviation sqrt(1 / (12 n)); 5 of them is a chance of 6e-7, and the draws are fixed by the seed.
TEST(Rng, UniformLiesInTheUnitIntervalWithTheRightMean) {
  const Rng rng(3, "uniform");
  constexpr int kCount = 100000;
  double sum = 0.0;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const double u = rng.uniform01(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 5.0 * std::sqrt(1.0 / (12.0 * kCount)));
}

// Count per value is binomial: standard deviation sqrt(n p (1 - p)).
TEST(Rng, BelowIsInRangeAndEven) {
  const Rng rng(3, "below");
  constexpr int kCount = 70000;
  std::array<int, 7> counts{};
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const std::uint64_t value = rng.below(i, counts.size());
    ASSERT_LT(value, counts.size());
    ++counts[value];
  }
  const double p = 1.0 / counts.size();
  for (const int count : counts) EXPECT_NEAR(count, kCount * p, 5.0 * std::sqrt(kCount * p * (1.0 - p)));
  EXPECT_EQ(rng.below(0, 1), 0U);
}

// Of n normals the mean has standard deviation 1/sqrt(n), the mean square sqrt(2/n).
TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  const Rng rng(3, "normal");
  constexpr int kCount = 100000;
  double sum = 0.0;
  double square_sum = 0.0;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const double x = rng.normal(i);
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    square_sum += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 5.0 / std::sqrt(kCount));
  EXPECT_NEAR(square_sum / kCount, 1.0, 5.0 * std::sqrt(2.0 / kCount));
}

}  // namespace
}  // namespace bitwright
