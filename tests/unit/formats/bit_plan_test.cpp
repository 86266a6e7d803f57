// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/bit_plan.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(BitPlan, FirstMatchWins) {
  const BitPlan plan({{"conv1.weight", std::nullopt}, {"conv*", PowerOfTwo{.bits = 5}}, {"*", Ternary{}}});
  EXPECT_EQ(plan.format_for("conv1.weight"), std::nullopt);
  EXPECT_EQ(plan.format_for("conv2.weight"), NumberFormat(PowerOfTwo{.bits = 5}));
  EXPECT_EQ(plan.format_for("fc.weight"), NumberFormat(Ternary{}));
}

TEST(BitPlan, NoMatchStaysFloat) {
  EXPECT_EQ(BitPlan().format_for("fc.weight"), std::nullopt);
  EXPECT_EQ(BitPlan({{"conv?", Ternary{}}}).format_for("conv10"), std::nullopt);
}

struct PatternCase {
  const char* pattern;
  const char* name;
  bool matches;
};

class BitPlanPattern : public ::testing::TestWithParam<PatternCase> {};

TEST_P(BitPlanPattern, MatchesTheWholeName) {
  const auto& [pattern, name, matches] = GetParam();
  EXPECT_EQ(BitPlan({{pattern, Ternary{}}}).format_for(name).has_value(), matches) << pattern << " against " << name;
}

INSTANTIATE_TEST_SUITE_P(Table, BitPlanPattern,
                         ::testing::Values(PatternCase{"", "", true}, PatternCase{"", "a", false}, PatternCase{"*", "", true},
                                           PatternCase{"?", "", false}, PatternCase{"a", "ab", false}, PatternCase{"a*", "a", true},
                                           PatternCase{"*b", "aab", true}, PatternCase{"a?c", "abc", true}, PatternCase{"a?c", "ac", false},
                                           PatternCase{"*.weight", "layer1.0.conv1.weight", true},
                                           PatternCase{"*.weight", "a.weights", false}, PatternCase{"a*b*c", "axxbyybzzc", true},
                                           PatternCase{"a*b*c", "axxcyyb", false}, PatternCase{"**a**", "bab", true},
                                           PatternCase{"[a]", "a", false}));

TEST(BitPlan, ManyStarsAgainstALongNameEnds) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  EXPECT_EQ(BitPlan({{pattern + "b", Ternary{}}}).format_for(std::string(5000, 'a')), std::nullopt);
}

}  // namespace
}  // namespace bitwright
