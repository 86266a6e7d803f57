// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/buckets.h"

#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

TEST(Buckets, AreCutEveryBucketSizeElements) {  // (D2)
  EXPECT_EQ(bucket_count(0, 256), 0);
  EXPECT_EQ(bucket_count(1, 256), 1);
  EXPECT_EQ(bucket_count(256, 256), 1);
  EXPECT_EQ(bucket_count(257, 256), 2);
  EXPECT_EQ(bucket_count(1000, std::nullopt), 1);
  EXPECT_EQ(bucket_count(0, std::nullopt), 0);
  EXPECT_EQ(bucket_count(268336, 256), 1049);  // ResNet-20
}

TEST(Buckets, LastOneIsShorter) {
  const std::vector<float> values = {-0.5F, 0.25F, 0.0F, 1.5F, 0.75F, -0.25F};
  const std::vector<Bucket> buckets = fit_buckets("x", values, 4);
  EXPECT_THAT(buckets, ElementsAre(Bucket{2.0F, -0.5F}, Bucket{1.0F, -0.25F}));
  std::vector<std::pair<std::size_t, std::size_t>> visited;
  for_each_bucket(buckets, values.size(), 4,
                  [&](const Bucket&, std::size_t first, std::size_t count) { visited.emplace_back(first, count); });
  EXPECT_THAT(visited, ElementsAre(std::pair(0, 4), std::pair(4, 2)));
}

TEST(Buckets, NarrowOneCountsAsConstant) {  // (D3)
  EXPECT_THAT(fit_buckets("x", std::vector{0.3F, 0.3F, 0.3F}, std::nullopt), ElementsAre(Bucket{1.0F, 0.3F}));
  EXPECT_THAT(fit_buckets("x", std::vector{0.0F, 9e-11F}, std::nullopt), ElementsAre(Bucket{1.0F, 0.0F}));
  EXPECT_THAT(fit_buckets("x", std::vector{0.0F, 2e-10F}, std::nullopt), ElementsAre(Bucket{2e-10F, 0.0F}));
  EXPECT_TRUE(is_constant_bucket({1.0F, 0.3F}, std::vector{0.3F, 0.3F}));
  EXPECT_FALSE(is_constant_bucket({1.0F, 0.0F}, std::vector{0.0F, 1.0F}));
  EXPECT_FALSE(is_constant_bucket({1.0F, 0.0F}, std::vector{-1.0F, 0.0F}));
}

TEST(Buckets, RefuseWhatHasNoRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  test::expect_error(ErrorCode::numerical,
                     "uniform:4: a value is not finite (found inf at index 1, need a finite number); look where the tensor was made.", [] {
                       EXPECT_TRUE(fit_buckets("uniform:4", std::vector{0.0F, kInfinity}, std::nullopt).empty());
                     });
  const auto error = test::error_of([] { EXPECT_TRUE(fit_buckets("x", std::vector{-3e38F, 3e38F}, std::nullopt).empty()); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
  EXPECT_THAT(error->message(), ::testing::HasSubstr("the range of bucket 0 overflows float32"));
}

TEST(Buckets, ProblemsAreNamed) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(bucket_problem(std::vector<Bucket>(2), 5, 4), "");
  EXPECT_EQ(bucket_problem(std::vector<Bucket>(1), 5, 4), "wrong number of buckets (found 1, need 2)");
  EXPECT_EQ(bucket_problem(std::vector{Bucket{0.0F, 0.0F}}, 5, std::nullopt),
            "the scale of bucket 0 is wrong (found 0, need a finite number above 0)");
  EXPECT_EQ(bucket_problem(std::vector{Bucket{kNan, 0.0F}}, 5, std::nullopt),
            "the scale of bucket 0 is wrong (found nan, need a finite number above 0)");
  EXPECT_EQ(bucket_problem(std::vector{Bucket{1.0F, kNan}}, 5, std::nullopt),
            "the minimum of bucket 0 is wrong (found nan, need a finite number)");
}

TEST(Buckets, AreStoredAsScaleThenMin) {
  const std::vector<Bucket> buckets = {{2.0F, -0.5F}, {1.0F, -0.25F}};
  ByteWriter writer;
  write_buckets(buckets, writer);
  EXPECT_EQ(writer.size(), 16U);
  ByteReader scale_of_first(writer.view(), "x");
  EXPECT_EQ(scale_of_first.f32(), 2.0F);
  ByteReader reader(writer.view(), "x");
  EXPECT_EQ(read_buckets(reader, 2), buckets);
}

}  // namespace
}  // namespace bitwright
