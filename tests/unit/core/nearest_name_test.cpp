// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace bitwright {
namespace {

const std::vector<std::string> kNames = {"inq", "ttq", "distill", "fixed"};

TEST(NearestName, FindsTheSmallestEditDistance) {
  EXPECT_EQ(nearest_name("inq", kNames), "inq");
  EXPECT_EQ(nearest_name("tqt", kNames), "ttq");
  EXPECT_EQ(nearest_name("distil", kNames), "distill");
  EXPECT_EQ(nearest_name("fixxed", kNames), "fixed");
  EXPECT_EQ(nearest_name("mixed", kNames), "fixed");
}

TEST(NearestName, TakesTheFirstOfEquallyNear) {
  EXPECT_EQ(nearest_name("xyz", kNames), "inq");  // 3 replacements, as for ttq
  EXPECT_EQ(nearest_name("", kNames), "inq");
}

TEST(NearestName, JoinsNames) {
  EXPECT_EQ(join_names(kNames), "inq, ttq, distill, fixed");
  EXPECT_EQ(join_names({}), "");
}

}  // namespace
}  // namespace bitwright
