// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/parameters.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(Parameters, BucketsCompareByBothFields) {
  EXPECT_EQ((Bucket{2.0F, 1.0F}), (Bucket{2.0F, 1.0F}));
  EXPECT_NE((Bucket{2.0F, 1.0F}), (Bucket{2.0F, 0.0F}));
  EXPECT_NE((Bucket{2.0F, 1.0F}), (Bucket{1.0F, 1.0F}));
  EXPECT_NE((CodeRange{0, 3}), (CodeRange{0, 2}));
}

}  // namespace
}  // namespace bitwright
