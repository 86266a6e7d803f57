// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/shape.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(Shape, CountsElements) {
  EXPECT_EQ(Shape().element_count(), 1);
  EXPECT_EQ(Shape({20, 1, 5, 5}).element_count(), 500);
  EXPECT_EQ(Shape({3, 0}).element_count(), 0);
  EXPECT_EQ(Shape({std::int64_t{1} << 31, std::int64_t{1} << 31}).element_count(), std::int64_t{1} << 62);
}

TEST(Shape, RefusesTooManyElements) {
  test::expect_error(ErrorCode::invalid_input, "shape [4611686018427387904, 2]: too many elements (need at most 2^62); check the extents.",
                     [] {
                       EXPECT_EQ(Shape({std::int64_t{1} << 62, 2}).element_count(), 0);
                     });
}

TEST(Shape, RefusesUnknownAndNegativeExtents) {
  test::expect_error(ErrorCode::invalid_input,
                     "shape [?, 3]: an extent is not known or negative (found -1, need at least 0); give every extent.", [] {
                       EXPECT_EQ(Shape({Shape::kDynamic, 3}).element_count(), 0);
                     });
  test::expect_error(ErrorCode::invalid_input,
                     "shape [-7]: an extent is not known or negative (found -7, need at least 0); give every extent.",
                     [] { EXPECT_EQ(Shape({-7}).element_count(), 0); });
}

TEST(Shape, ReplacesOneExtent) {
  const Shape shape({Shape::kDynamic, 3});
  EXPECT_FALSE(shape.is_static());
  EXPECT_EQ(shape.with_dim(0, 8), Shape({8, 3}));
  EXPECT_TRUE(shape.with_dim(0, 8).is_static());
  EXPECT_EQ(shape.rank(), 2U);
  EXPECT_EQ(shape[1], 3);
}

TEST(Shape, PrintsAsText) {
  EXPECT_EQ(Shape().to_string(), "[]");
  EXPECT_EQ(Shape({Shape::kDynamic, 1, 28, 28}).to_string(), "[?, 1, 28, 28]");
}

}  // namespace
}  // namespace bitwright
