// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/inq/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

namespace bitwright::inq {
namespace {

using ::testing::ElementsAre;

const Rng kRng(1, "test");

TEST(InqPartition, CountIsTheCeilingInIntegers) {
  // (I13): in double, ceil(0.07 * 100) is 8.
  EXPECT_EQ(frozen_count(100, 700), 7);
  EXPECT_EQ(frozen_count(8, 5000), 4);
  EXPECT_EQ(frozen_count(8, 7500), 6);
  EXPECT_EQ(frozen_count(8, 10000), 8);
  EXPECT_EQ(frozen_count(7, 5000), 4);
  EXPECT_EQ(frozen_count(1, 1), 1);
  EXPECT_EQ(frozen_count(0, 5000), 0);
  for (std::int64_t size = 0; size < 300; ++size) {
    for (std::int64_t e4 = 0; e4 <= 10000; e4 += 125) {
      const std::int64_t count = frozen_count(size, e4);
      EXPECT_GE(count * 10000, e4 * size);
      EXPECT_LT((count - 1) * 10000, e4 * size);
    }
  }
}

// Paper page section 4, "worked partition".
TEST(InqPartition, WorkedExampleKeepsFrozenWeightsFrozen) {
  std::vector<float> weights = {0.9F, -0.7F, 0.3F, 0.1F, -0.05F, 0.02F, 0.45F, -0.35F};
  std::vector<bool> is_free(8, true);
  EXPECT_THAT(select_to_freeze(weights, is_free, 4, Partition::magnitude, kRng), ElementsAre(0, 1, 6, 7));
  for (const std::size_t i : {0U, 1U, 6U, 7U}) is_free[i] = false;
  weights = {1.0F, -0.5F, 0.8F, 0.7F, -0.65F, 0.2F, 0.5F, -0.5F};
  EXPECT_THAT(select_to_freeze(weights, is_free, 6, Partition::magnitude, kRng), ElementsAre(2, 3));
}

TEST(InqPartition, TiesGoToTheLowerIndexAndSignsDoNotCount) {
  const std::vector<float> weights = {0.5F, -0.5F, 0.25F, 0.5F, -0.5F};
  const std::vector<bool> is_free(5, true);
  EXPECT_THAT(select_to_freeze(weights, is_free, 1, Partition::magnitude, kRng), ElementsAre(0));
  EXPECT_THAT(select_to_freeze(weights, is_free, 2, Partition::magnitude, kRng), ElementsAre(0, 1));
  EXPECT_THAT(select_to_freeze(weights, is_free, 4, Partition::magnitude, kRng), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(select_to_freeze(weights, is_free, 0, Partition::magnitude, kRng), ElementsAre());
}

TEST(InqPartition, AllZeroWeightsAreTakenInOrder) {
  const std::vector<float> weights(4, 0.0F);
  EXPECT_THAT(select_to_freeze(weights, std::vector<bool>(4, true), 3, Partition::magnitude, kRng), ElementsAre(0, 1, 2));
}

TEST(InqPartition, RandomTakesFreeWeightsOnlyAndDependsOnItsStreamOnly) {
  const std::vector<float> weights(100, 1.0F);
  std::vector<bool> is_free(100, true);
  for (std::size_t i = 0; i < 100; i += 2) is_free[i] = false;
  const auto chosen = select_to_freeze(weights, is_free, 75, Partition::random, kRng);
  EXPECT_EQ(chosen.size(), 25U);
  EXPECT_EQ(std::set<std::int64_t>(chosen.begin(), chosen.end()).size(), 25U);
  for (const std::int64_t i : chosen) EXPECT_TRUE(is_free[static_cast<std::size_t>(i)]);
  EXPECT_EQ(select_to_freeze(weights, is_free, 75, Partition::random, kRng), chosen);
  EXPECT_NE(select_to_freeze(weights, is_free, 75, Partition::random, kRng.at_step(1)), chosen);
}

TEST(InqPartition, RandomIsUniform) {
  // 4000 draws of 25 out of 100: each index is taken 1000 times in the mean, deviation sqrt(4000 * 0.25 * 0.75) = 27.4. Over 100 indices,
  // 5 deviations are passed by chance once in 17,000 such tests; the streams are fixed, so the outcome is too.
  std::vector<int> taken(100, 0);
  for (std::uint64_t draw = 0; draw < 4000; ++draw) {
    for (const std::int64_t i :
         select_to_freeze(std::vector<float>(100, 1.0F), std::vector<bool>(100, true), 25, Partition::random, kRng.at_step(draw))) {
      ++taken[static_cast<std::size_t>(i)];
    }
  }
  for (const int count : taken) EXPECT_NEAR(count, 1000, 5 * std::sqrt(4000 * 0.25 * 0.75));
}

}  // namespace
}  // namespace bitwright::inq
