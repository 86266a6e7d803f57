// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/format_concept.h"

#include "bitwright/formats/number_format.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

struct NearlyAFormat : FixedPoint {
  static constexpr std::string_view kExample = "nearly";
  static NearlyAFormat parse(std::string_view, std::string_view) { return {}; }
  void decode(const Parameters&) const {}  // hides the real one
};

TEST(FormatConcept, RefusesATypeThatLacksAMember) {
  EXPECT_FALSE(NumberFormatType<NearlyAFormat>);
  EXPECT_FALSE(NumberFormatType<int>);
  EXPECT_TRUE(NumberFormatType<FixedPoint>);
}

}  // namespace
}  // namespace bitwright
