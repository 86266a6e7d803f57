// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/exact_allocation.h"

#include "bitwright/core/rng.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace bitwright::dq {
namespace {

using test::expect_error;
using ::testing::ElementsAre;
using LayerTable = std::vector<std::vector<LayerChoice>>;

struct Total {
  double sensitivity = 0.0;
  std::int64_t bytes = 0;
};

Total total_of(const LayerTable& layers, const std::vector<std::size_t>& chosen) {
  Total total;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    total.sensitivity += layers[l][chosen[l]].sensitivity;
    total.bytes += layers[l][chosen[l]].bytes;
  }
  return total;
}

/// Of all selections within the budget the one with the smallest sum, then the fewest bytes.
Total best_by_enumeration(const LayerTable& layers, std::int64_t budget) {
  Total best{std::numeric_limits<double>::infinity(), 0};
  std::vector<std::size_t> chosen(layers.size(), 0);
  while (true) {
    const Total total = total_of(layers, chosen);
    const bool better = total.sensitivity < best.sensitivity || (total.sensitivity == best.sensitivity && total.bytes < best.bytes);
    if (total.bytes <= budget && better) best = total;
    std::size_t l = 0;
    while (l < layers.size() && ++chosen[l] == layers[l].size()) chosen[l++] = 0;
    if (l == layers.size()) return best;
  }
}

// Paper page, section 4.8: n = [400, 800, 1600], bits {2, 4, 8}, codes only. Greedy would end at [8, 4, 2] with 17.
TEST(ExactAllocation, WorkedExample) {
  const LayerTable layers = {{{100, 10}, {200, 5}, {400, 0}}, {{200, 14}, {400, 9}, {800, 0}}, {{400, 8}, {800, 5}, {1600, 0}}};
  const std::vector<std::size_t> chosen = allocate_exactly(layers, 1400);
  EXPECT_THAT(chosen, ElementsAre(1, 2, 0));
  EXPECT_EQ(total_of(layers, chosen).sensitivity, 13.0);
  EXPECT_EQ(total_of(layers, chosen).bytes, 1400);
}

TEST(ExactAllocation, EqualsFullEnumeration) {
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const Rng rng(trial, "allocation");
    std::uint64_t draw = 0;
    const auto below = [&](std::uint64_t bound) { return static_cast<std::int64_t>(rng.uniform01(draw++) * static_cast<double>(bound)); };
    const std::int64_t unit = 1 + below(7);
    LayerTable layers(static_cast<std::size_t>(1 + below(6)));
    std::int64_t least = 0;
    std::int64_t most = 0;
    for (auto& choices : layers) {
      std::int64_t bytes = 8 + below(40);
      least += bytes;
      const std::int64_t count = 1 + below(5);
      for (std::int64_t k = 0; k < count; ++k) {
        // Odd trials: small whole numbers, so that sums tie. Costs need not fall as bytes grow.
        choices.push_back({bytes, trial % 2 == 1 ? static_cast<double>(below(6)) : rng.uniform01(draw++)});
        bytes += unit * below(9);
      }
      most += choices.back().bytes;
    }
    const std::int64_t budget = least + below(static_cast<std::uint64_t>(most - least + 10));
    const Total found = total_of(layers, allocate_exactly(layers, budget));
    const Total best = best_by_enumeration(layers, budget);
    EXPECT_EQ(found.sensitivity, best.sensitivity) << "trial " << trial;
    EXPECT_EQ(found.bytes, best.bytes) << "trial " << trial;
    EXPECT_LE(found.bytes, budget);
  }
}

TEST(ExactAllocation, RefusesABudgetBelowTheSmallestSettings) {
  const LayerTable layers = {{{100, 1}, {200, 0}}, {{50, 1}}};
  EXPECT_THAT(allocate_exactly(layers, 150), ElementsAre(0, 0));
  EXPECT_THAT(allocate_exactly(layers, 249), ElementsAre(0, 0));
  EXPECT_THAT(allocate_exactly(layers, 250), ElementsAre(1, 0));
  EXPECT_THAT(allocate_exactly(layers, std::numeric_limits<std::int64_t>::max()), ElementsAre(1, 0)) << "memory goes by what is useful";
  expect_error(ErrorCode::usage, "bit allocation: the smallest settings do not fit (found 150 bytes, need at most 149); allow fewer bits.",
               [&] { (void)allocate_exactly(layers, 149); });
}

}  // namespace
}  // namespace bitwright::dq
