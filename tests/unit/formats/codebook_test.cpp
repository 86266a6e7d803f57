// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/codebook.h"

#include "bitwright/formats/quantized_tensor.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

namespace bitwright {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

// The page's example of (D7): midpoints 0.125, 0.375, 0.75.
TEST(Codebook, TakesTheNearestPointAndTheLargerOnAMidpoint) {
  const Codebook format{.levels = 4, .bucket_size = std::nullopt};
  const Codebook::Parameters parameters{.points = {0.0F, 0.25F, 0.5F, 1.0F}, .buckets = {{1.0F, 0.0F}}};
  const std::vector<float> scaled = {0.1F, 0.125F, 0.3F, 0.375F, 0.74F, 0.75F, 0.9F};
  EXPECT_THAT(encode(format, parameters, scaled, {}), ElementsAre(0, 1, 1, 2, 2, 3, 3));
}

TEST(Codebook, ScalesPerBucketAndSharesThePoints) {  // (D8)
  const Codebook format{.levels = 3, .bucket_size = 2};
  const Codebook::Parameters parameters{.points = {0.0F, 0.25F, 1.0F}, .buckets = {{2.0F, -1.0F}, {4.0F, 8.0F}}};
  const std::vector<float> values = {-0.5F, 1.0F, 9.0F, 8.0F};
  EXPECT_THAT(encode(format, parameters, values, {}), ElementsAre(1, 2, 1, 0));
  const QuantizedTensor tensor(format, {4}, {1, 2, 1, 0}, parameters);
  EXPECT_EQ(tensor.dequantize(), values);
}

TEST(Codebook, EqualPointsSendValuesToTheLastOfThem) {
  const Codebook format{.levels = 3, .bucket_size = std::nullopt};
  const Codebook::Parameters parameters{.points = {0.5F, 0.5F, 0.5F}, .buckets = {{1.0F, 0.0F}}};
  EXPECT_THAT(encode(format, parameters, std::vector{0.4F, 0.5F, 0.6F}, {}), ElementsAre(0, 2, 2));
}

TEST(QuantilePoints, InterpolateLinearly) {
  EXPECT_THAT(quantile_points({0, .1, .2, .3, .5, .6, .9, 1}, 4), ElementsAre(0.0F, FloatEq(0.7F / 3.0F), FloatEq(1.7F / 3.0F), 1.0F));
  EXPECT_THAT(quantile_points({1, 0, 0.5}, 3), ElementsAre(0.0F, 0.5F, 1.0F));  // sorts
}

TEST(QuantilePoints, SpreadRepeatedOnesBetweenTheirNeighbors) {
  // The page's example [0, 0, 0, 1] has two dead points; the run's own start is the missing left neighbor.
  EXPECT_THAT(quantile_points({0, 0, 0, 0, 0, .5, 1}, 4), ElementsAre(0.0F, FloatEq(1.0F / 3.0F), FloatEq(2.0F / 3.0F), 1.0F));
  EXPECT_THAT(quantile_points({0, .9, .9, .9, 1}, 5), ElementsAre(0.0F, 0.25F, 0.5F, 0.75F, 1.0F));                    // both neighbors
  EXPECT_THAT(quantile_points({0, 1, 1, 1}, 4), ElementsAre(0.0F, FloatEq(1.0F / 3.0F), FloatEq(2.0F / 3.0F), 1.0F));  // no right neighbor
  EXPECT_THAT(quantile_points({0, 0, 1, 1}, 4), ElementsAre(0.0F, 0.5F, 0.75F, 1.0F));  // the left run was spread before
}

TEST(QuantilePoints, ConstantAndEmptyInputsGiveEvenPoints) {
  EXPECT_THAT(quantile_points({0, 0, 0}, 3), ElementsAre(0.0F, 0.5F, 1.0F));
  EXPECT_THAT(quantile_points({}, 3), ElementsAre(0.0F, 0.5F, 1.0F));
  EXPECT_THAT(quantile_points({0.5}, 2), ElementsAre(0.5F, 1.5F));
}

TEST(Codebook, FitTakesQuantilesOfTheScaledValues) {
  const Codebook format{.levels = 3, .bucket_size = 3};
  const Codebook::Parameters parameters = format.fit(std::vector{0.0F, 1.0F, 2.0F, -4.0F, 4.0F, 4.0F});
  EXPECT_THAT(parameters.buckets, ElementsAre(Bucket{2.0F, 0.0F}, Bucket{8.0F, -4.0F}));
  EXPECT_THAT(parameters.points, ElementsAre(0.0F, 0.75F, 1.0F));  // of 0, 0, .5, 1, 1, 1: rank 2.5 lies between .5 and 1
}

TEST(Codebook, ConstantTensorIsReproduced) {  // (D3)
  const Codebook format{.levels = 16, .bucket_size = std::nullopt};
  const std::vector<float> values(7, 0.3F);
  const QuantizedTensor tensor = quantize(format, {7}, values);
  EXPECT_EQ(tensor.dequantize(), values);
  EXPECT_THAT(tensor.codes(), ::testing::Each(0));
}

TEST(Codebook, CodeBitsHoldAllLevels) {
  EXPECT_EQ((Codebook{.levels = 2, .bucket_size = {}}.code_bits()), 1);
  EXPECT_EQ((Codebook{.levels = 3, .bucket_size = {}}.code_bits()), 2);
  EXPECT_EQ((Codebook{.levels = 16, .bucket_size = {}}.code_bits()), 4);
  EXPECT_EQ((Codebook{.levels = 17, .bucket_size = {}}.code_bits()), 5);
  EXPECT_EQ((Codebook{.levels = 65536, .bucket_size = {}}.code_bits()), 16);
}

TEST(Codebook, ParametersTakeFourBytesAPointAndEightABucket) {
  EXPECT_EQ((Codebook{.levels = 16, .bucket_size = 256}.parameter_bytes(1000)), 4 * 16 + 8 * 4);
  EXPECT_EQ((Codebook{.levels = 5, .bucket_size = {}}.parameter_bytes(1000)), 4 * 5 + 8);
}

TEST(Codebook, WrongParametersAreNamed) {
  const Codebook format{.levels = 2, .bucket_size = std::nullopt};
  const auto problem = [&](std::vector<float> points) { return format.parameter_problem({std::move(points), {Bucket{}}}, 3); };
  EXPECT_EQ(problem({0.0F, 1.0F}), "");
  EXPECT_EQ(problem({0.0F}), "wrong number of points (found 1, need 2)");
  EXPECT_EQ(problem({1.0F, 0.0F}), "the points are not ascending (found 0 after 1, need at least as much)");
  EXPECT_EQ(problem({0.0F, std::numeric_limits<float>::infinity()}), "point 1 is wrong (found inf, need a finite number)");
}

}  // namespace
}  // namespace bitwright
