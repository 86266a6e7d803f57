// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/redistribution.h"

#include "bitwright/core/rng.h"
#include "bitwright/formats/layout.h"
#include "bitwright/formats/quantized_tensor.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace bitwright::dq {
namespace {

using test::expect_error;
using ::testing::ElementsAre;

TEST(PointsByGradientNorm, WorkedExamples) {
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{4, 1, 0.5, 2.5}, 4), ElementsAre(6, 3, 3, 4))
      << "a deficit to the first smallest";
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{4, 1, 0.5, 2.5}, 16), ElementsAre(24, 12, 10, 18));
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{3, 3, 1, 1}, 4), ElementsAre(5, 5, 3, 3));
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{0.5, 1, 4, 2.5}, 4), ElementsAre(3, 3, 6, 4));
  // 2 + [1.5, 1.5, 3] rounds to [4, 4, 5]: a surplus from the first largest.
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{1, 1, 2}, 4), ElementsAre(4, 4, 4));
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{0, 0}, 5), ElementsAre(5, 5)) << "no gradient, no reason to move a point";
  EXPECT_THAT(points_by_gradient_norm(std::vector<double>{7}, 9), ElementsAre(9));
}

TEST(PointsByGradientNorm, KeepsTheTotal) {
  const Rng rng(3, "norms");
  for (std::uint64_t trial = 0; trial < 100; ++trial) {
    std::vector<double> norms(1 + trial % 30);
    for (std::size_t i = 0; i < norms.size(); ++i) norms[i] = rng.uniform01(trial * 100 + i);
    const int levels = 8 + static_cast<int>(trial % 9);
    const std::vector<int> points = points_by_gradient_norm(norms, levels);
    EXPECT_EQ(std::accumulate(points.begin(), points.end(), 0), levels * static_cast<int>(norms.size()));
  }
}

TEST(CodebookBytes, AreCodesBucketsAndPoints) {
  EXPECT_EQ(codebook_bytes({.levels = 16, .bucket_size = 256}, 2304), 1152 + 8 * 9 + 4 * 16);
  EXPECT_EQ(codebook_bytes({.levels = 5, .bucket_size = std::nullopt}, 11), 5 + 8 + 20);
}

std::vector<float> drawn(std::size_t count, std::string_view stream) {
  const Rng rng(1, stream);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(0.1 * rng.normal(i));
  return values;
}

double error_of_levels(const std::vector<float>& values, const Codebook& format) {
  const QuantizedTensor quantized = quantize(format, Shape{static_cast<std::int64_t>(values.size())}, values);
  const std::vector<float> back = quantized.dequantize();
  double sum = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += (double{back[i]} - values[i]) * (double{back[i]} - values[i]);
  return std::sqrt(sum);
}

// The page's layers. Every combination of settings is looked at.
TEST(PointsAtEqualBytes, NoOtherSettingWithinTheBytesIsBetter) {
  const std::vector<std::vector<float>> values = {drawn(432, "a"), drawn(2304, "b"), drawn(36864, "c"), drawn(640, "d")};
  const std::vector<double> norms = {0.5, 1, 4, 2.5};
  const Codebook uniform{.levels = 4, .bucket_size = 256};
  const std::vector<int> bits = {2, 3, 4, 6};
  std::vector<Candidate> candidates;
  std::int64_t budget = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    candidates.push_back({values[i], norms[i], uniform});
    budget += codebook_bytes(uniform, static_cast<std::int64_t>(values[i].size()));
  }
  const auto cost_of = [&](const std::vector<int>& levels) {
    std::pair<double, std::int64_t> cost{0.0, 0};
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Codebook format{.levels = levels[i], .bucket_size = 256};
      cost.first += norms[i] * error_of_levels(values[i], format);
      cost.second += codebook_bytes(format, static_cast<std::int64_t>(values[i].size()));
    }
    return cost;
  };
  const std::vector<int> found = points_at_equal_bytes(candidates, bits);
  const auto [sum, bytes] = cost_of(found);
  EXPECT_LE(bytes, budget);
  double best = std::numeric_limits<double>::infinity();
  for (int number = 0; number < 256; ++number) {
    std::vector<int> levels;
    for (int l = 0, rest = number; l < 4; ++l, rest /= 4) levels.push_back(1 << bits[static_cast<std::size_t>(rest % 4)]);
    const auto [other_sum, other_bytes] = cost_of(levels);
    if (other_bytes <= budget) best = std::min(best, other_sum);
  }
  EXPECT_EQ(sum, best);
}

TEST(PointsAtEqualBytes, MovesBytesToWhereTheyHelp) {
  const std::vector<float> first = drawn(1024, "first");
  const std::vector<float> second = drawn(1024, "second");
  const Codebook uniform{.levels = 16, .bucket_size = 256};
  const std::vector<Candidate> candidates = {{first, 1000.0, uniform}, {second, 0.001, uniform}};
  const std::vector<int> bits = {2, 3, 4, 5};
  // 5 bits cost 128 + 64 bytes more than 4, 3 bits 128 + 32 less, 2 bits 256 + 48 less.
  EXPECT_THAT(points_at_equal_bytes(candidates, bits), ElementsAre(32, 4));
  // The plan's own setting is always a choice.
  EXPECT_THAT(points_at_equal_bytes(candidates, std::vector<int>{8}), ElementsAre(16, 16));
}

// Negative test 6 of the paper page.
TEST(EqualBytes, ALargerSettingIsRefused) {
  // The page's numbers, codes only: (D15) turns 2, 2, 2, 2 bits into 2, 2, 3, 2.
  const std::vector<int> points = points_by_gradient_norm(std::vector<double>{0.5, 1, 4, 2.5}, 4);
  const std::vector<std::int64_t> counts = {432, 2304, 36864, 640};
  std::int64_t bytes = 0;
  std::int64_t budget = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    bytes += packed_code_bytes(CodeLayout::unsigned_bits, Codebook{.levels = points[i], .bucket_size = {}}.code_bits(), counts[i]);
    budget += packed_code_bytes(CodeLayout::unsigned_bits, 2, counts[i]);
  }
  EXPECT_EQ(budget, 10060);
  EXPECT_NO_THROW(require_equal_bytes(budget, budget));
  expect_error(
      ErrorCode::usage,
      "bit allocation: the setting is larger than what it is compared with (found 14668 bytes, need at most 10060); compare at its "
      "own size.",
      [&] { require_equal_bytes(bytes, budget); });
}

}  // namespace
}  // namespace bitwright::dq
