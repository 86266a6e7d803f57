// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/size.h"

#include "bitwright/core/rng.h"
#include "tests/support/assert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

std::vector<std::int32_t> codes_with_counts(const std::vector<std::int64_t>& counts) {
  std::vector<std::int32_t> codes;
  for (std::size_t code = 0; code < counts.size(); ++code) {
    codes.insert(codes.end(), static_cast<std::size_t>(counts[code]), static_cast<std::int32_t>(code));
  }
  return codes;
}

std::int64_t cost(const std::vector<std::int64_t>& counts, const std::vector<int>& lengths) {
  std::int64_t bits = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) bits += counts[i] * lengths[i];
  return bits;
}

/// Smallest cost of any prefix code, by trying all length assignments that Kraft's inequality allows.
std::int64_t optimal_cost(const std::vector<std::int64_t>& counts) {
  const int longest = static_cast<int>(counts.size()) - 1;  // an optimal tree of m leaves is at most m - 1 deep
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  std::vector<int> lengths(counts.size(), 1);
  while (true) {
    std::int64_t kraft = 0;
    for (const int length : lengths) kraft += std::int64_t{1} << (longest - length);
    if (kraft <= std::int64_t{1} << longest) best = std::min(best, cost(counts, lengths));
    std::size_t digit = 0;
    while (digit < lengths.size() && lengths[digit] == longest) lengths[digit++] = 1;
    if (digit == lengths.size()) return best;
    ++lengths[digit];
  }
}

TEST(Entropy, KnownValues) {
  EXPECT_EQ(entropy_bits_per_code({}), 0.0);
  EXPECT_EQ(entropy_bits_per_code(std::vector{5, 5, 5}), 0.0);
  EXPECT_EQ(entropy_bits_per_code(std::vector{0, 1, 2, 3}), 2.0);
  EXPECT_NEAR(entropy_bits_per_code(codes_with_counts({50, 25, 15, 10})), 1.74274, 5e-6);  // printed to 5 digits on the page
}

TEST(Entropy, OfTernaryCodes) {  // (T12), densities of the page, printed to 3 digits
  EXPECT_EQ(entropy_bits_per_code(codes_with_counts({2, 1, 1})), 1.5);
  EXPECT_NEAR(entropy_bits_per_code(codes_with_counts({1, 1, 1})), std::log2(3.0), 1e-12);
  EXPECT_NEAR(entropy_bits_per_code(codes_with_counts({1260, 370, 370})), 1.321, 1.5e-3);
}

TEST(Entropy, AcceptsNegativeCodes) { EXPECT_EQ(entropy_bits_per_code(std::vector{-3, 4, -3, 4}), 1.0); }

TEST(Huffman, ExampleOfThePage) {
  EXPECT_THAT(huffman_code_lengths(std::vector<std::int64_t>{50, 25, 15, 10}), ElementsAre(1, 2, 3, 3));
  EXPECT_EQ(huffman_size_bits(codes_with_counts({50, 25, 15, 10}), 4), 175 + 4 * 5);
}

TEST(Huffman, EdgeCases) {
  EXPECT_THAT(huffman_code_lengths({}), ElementsAre());
  EXPECT_THAT(huffman_code_lengths(std::vector<std::int64_t>{0, 0}), ElementsAre(0, 0));
  EXPECT_THAT(huffman_code_lengths(std::vector<std::int64_t>{0, 7, 0}), ElementsAre(0, 1, 0));  // one symbol needs one bit
  EXPECT_THAT(huffman_code_lengths(std::vector<std::int64_t>{3, 0, 9}), ElementsAre(1, 0, 1));
  EXPECT_EQ(huffman_size_bits({}, 16), 80);
  EXPECT_EQ(huffman_size_bits(std::vector{4, 4, 4}, 16), 83);
}

TEST(Huffman, IsOptimalForSmallAlphabets) {
  const Rng rng(31, "counts");
  std::uint64_t draw = 0;
  for (std::size_t symbols = 2; symbols <= 6; ++symbols) {
    for (int repeat = 0; repeat < 40; ++repeat) {
      std::vector<std::int64_t> counts;
      for (std::size_t i = 0; i < symbols; ++i) counts.push_back(1 + static_cast<std::int64_t>(rng.below(draw++, repeat < 20 ? 6 : 1000)));
      ASSERT_EQ(cost(counts, huffman_code_lengths(counts)), optimal_cost(counts)) << ::testing::PrintToString(counts);
    }
  }
}

TEST(Huffman, LengthsMakeAFullTreeWithinOneBitOfTheEntropy) {
  const Rng rng(32, "counts");
  std::vector<std::int64_t> counts;
  for (std::uint64_t i = 0; i < 300; ++i) counts.push_back(static_cast<std::int64_t>(rng.below(i, 1000)));
  const std::vector<int> lengths = huffman_code_lengths(counts);
  double kraft = 0.0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    EXPECT_EQ(lengths[i] == 0, counts[i] == 0);
    if (lengths[i] > 0) kraft += std::ldexp(1.0, -lengths[i]);
  }
  EXPECT_EQ(kraft, 1.0);
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const double entropy = entropy_bits_per_code(codes_with_counts(counts));
  const double mean = static_cast<double>(cost(counts, lengths)) / total;
  EXPECT_GE(mean, entropy);
  EXPECT_LT(mean, entropy + 1.0);
}

TEST(Huffman, TableHoldsEvenTheDeepestTree) {
  // Fibonacci counts make the deepest tree: 33 symbols, 9.2 million codes, 32 levels, which 5 bits cannot say.
  std::vector<std::int64_t> counts = {1, 1};
  while (counts.size() < 33) counts.push_back(counts[counts.size() - 1] + counts[counts.size() - 2]);
  EXPECT_EQ(std::ranges::max(huffman_code_lengths(counts)), 32);
  const std::int64_t bits = huffman_size_bits(codes_with_counts(counts), 33);
  const std::int64_t unlimited = cost(counts, huffman_code_lengths(counts)) + 33 * 5;
  EXPECT_GT(bits, unlimited);
  EXPECT_LT(static_cast<double>(bits), 1.001 * static_cast<double>(unlimited));  // one level less costs a few codes one bit
}

TEST(Huffman, NegativeCountIsADefect) {
  const test::ThrowingAsserts guard;
  EXPECT_THROW(static_cast<void>(huffman_code_lengths(std::vector<std::int64_t>{-1})), test::AssertionFailure);
}

TEST(ZeroFlagCode, MeanLengthsOfThePage) {  // (I11); the page prints 1.63 for 3 bits, from 68.4 % before rounding
  EXPECT_NEAR(zero_flag_bits_per_code(codes_with_counts({12, 988}), 5), 4.95, 0.005);
  EXPECT_NEAR(zero_flag_bits_per_code(codes_with_counts({197, 803}), 4), 3.41, 0.005);
  EXPECT_NEAR(zero_flag_bits_per_code(codes_with_counts({684, 316}), 3), 1.63, 0.005);
  EXPECT_NEAR(zero_flag_bits_per_code(codes_with_counts({95, 5}), 2), 1.05, 0.005);
  EXPECT_EQ(zero_flag_bits_per_code({}, 5), 0.0);
}

}  // namespace
}  // namespace bitwright
