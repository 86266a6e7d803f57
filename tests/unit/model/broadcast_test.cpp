// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/broadcast.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(Broadcast, ShapesAlignAtTheirLastAxes) {
  EXPECT_EQ(broadcast_shape(Shape{2, 3, 4}, Shape{4}), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast_shape(Shape{3, 1}, Shape{2, 1, 4}), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast_shape(Shape{}, Shape{2}), Shape{2});
  EXPECT_EQ(broadcast_shape(Shape{}, Shape{}), Shape{});
  EXPECT_EQ(broadcast_shape(Shape{1}, Shape{5}), Shape{5});
  EXPECT_EQ(broadcast_shape(Shape{2, 3}, Shape{2}), std::nullopt);
  EXPECT_EQ(broadcast_shape(Shape{2, 3}, Shape{3, 3}), std::nullopt);
}

TEST(Broadcast, RepeatedAxesDoNotMove) {
  EXPECT_EQ(broadcast_strides(Shape{3, 1, 5}, Shape{2, 3, 4, 5}), (std::vector<std::int64_t>{0, 5, 0, 1}));
  EXPECT_EQ(broadcast_strides(Shape{2, 3, 4, 5}, Shape{2, 3, 4, 5}), (std::vector<std::int64_t>{60, 20, 5, 1}));
  EXPECT_EQ(broadcast_strides(Shape{}, Shape{2, 3}), (std::vector<std::int64_t>{0, 0}));
}

TEST(Broadcast, LeadingOnes) { EXPECT_EQ(with_leading_ones(Shape{4, 5}, 4), (Shape{1, 1, 4, 5})); }

}  // namespace
}  // namespace bitwright
