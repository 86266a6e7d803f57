// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/integer_weights.h"

#include "tests/unit/runtime/small_models.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bitwright {
namespace {

QuantizedTensor powers(std::vector<std::int32_t> codes, Shape shape, int bits = 5) {
  const int exponents = 1 << (bits - 2);
  return {PowerOfTwo{bits}, std::move(shape), std::move(codes), PowerOfTwo::Parameters{.exp_max = -1, .exp_min = -exponents}};
}

/// Codes times scale against the values, and what the function says of itself.
void expect_honest(const Weight& weight) {
  const IntegerWeights integers = integer_weights(weight);
  const std::vector<float> values = weight_values(weight);
  ASSERT_EQ(integers.codes.size(), values.size());
  const std::size_t depth = values.size() / integers.scale.size();
  double largest = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double off = std::abs(integers.codes[i] * static_cast<double>(integers.scale[i / depth]) - static_cast<double>(values[i]));
    largest = std::max(largest, off);
  }
  double most = 0.0;
  for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  EXPECT_NEAR(integers.largest_error, largest, most * 0x1p-20);
  EXPECT_LE(largest, most / 127.0 * 0.51 + most * 0x1p-7 * 0.51);
}

TEST(IntegerWeights, BorrowedMemoryLeavesNothingBehind) {
  const auto same = [](const Weight& weight) {
    const IntegerWeights fresh = integer_weights(weight);
    const IntegerWeights borrowed = integer_weights(weight, std::vector<std::int8_t>(100, 99));
    EXPECT_EQ(borrowed.codes, fresh.codes);
    EXPECT_EQ(borrowed.scale, fresh.scale);
  };
  same(powers({0, 0, 0, 1, 15, 16}, Shape{2, 3}));  // a row of zeros
  same(quantize(NumberFormat::parse("ternary"), Shape{2, 3}, std::vector<float>{0.0F, 0.0F, 0.0F, 1.0F, -1.0F, 0.1F}));
  same(FloatTensor{.shape = Shape{2, 3}, .values = {0.0F, 0.0F, 0.0F, 1.0F, -0.5F, 0.25F}});
}

TEST(IntegerWeights, EightExponentsFitWhereTheLargestHasOneSign) {
  // Codes 1 + 2k + [negative]: 2^7 times the least is k = 7, codes 15 and 16.
  const IntegerWeights negative = integer_weights(powers({1, 2, 16, 0}, Shape{1, 4}));
  EXPECT_EQ(negative.codes, (std::vector<std::int8_t>{1, -1, -128, 0}));
  EXPECT_EQ(negative.scale, std::vector<float>{std::ldexp(1.0F, -8)});
  EXPECT_EQ(negative.largest_error, 0.0);
  EXPECT_EQ(negative.rounded, 0);
  const IntegerWeights positive = integer_weights(powers({1, 2, 15, 0}, Shape{1, 4}));
  EXPECT_EQ(positive.codes, (std::vector<std::int8_t>{-1, 1, -128, 0}));
  EXPECT_EQ(positive.scale, std::vector<float>{-std::ldexp(1.0F, -8)});
  EXPECT_EQ(positive.rounded, 0);
}

TEST(IntegerWeights, TheRarerSignOfTheLargestSaturates) {
  const IntegerWeights integers = integer_weights(powers({1, 15, 15, 16, 0, 3}, Shape{1, 6}));
  EXPECT_EQ(integers.codes, (std::vector<std::int8_t>{-1, -128, -128, 127, 0, -2}));
  EXPECT_EQ(integers.rounded, 1);
  EXPECT_EQ(integers.largest_error, std::ldexp(1.0, -8));  // one unit: 1/128 of that weight
}

// Long rows are counted in parts: the sign that is rarer in the last part is the more frequent one of the whole.
TEST(IntegerWeights, TheRarerSignIsThatOfTheWholeRow) {
  std::vector<std::int32_t> codes(500, 1);
  std::fill_n(codes.begin(), 300, 15);
  std::fill_n(codes.end() - 10, 10, 16);
  const IntegerWeights integers = integer_weights(powers(codes, Shape{1, 500}));
  EXPECT_EQ(integers.codes.front(), -128);
  EXPECT_EQ(integers.codes.back(), 127);
  EXPECT_EQ(integers.rounded, 10);
}

TEST(IntegerWeights, EachOutputHasTheUnitOfItsOwnLeastPower) {
  const IntegerWeights integers = integer_weights(powers({15, 16, 13, 0, 1, 3, 0, 0, 0}, Shape{3, 3}));
  EXPECT_EQ(integers.codes, (std::vector<std::int8_t>{2, -2, 1, 0, 1, 2, 0, 0, 0}));
  EXPECT_EQ(integers.scale, (std::vector<float>{std::ldexp(1.0F, -2), std::ldexp(1.0F, -8), 1.0F}));
}

TEST(IntegerWeights, FarApartPowersAreRoundedToTheNearest) {
  // k = 0 and k = 15 of pow2:6: 2^-15 of the largest is far below half a unit.
  const IntegerWeights integers = integer_weights(powers({1, 31, 19, 17}, Shape{1, 4}, 6));
  EXPECT_EQ(integers.codes, (std::vector<std::int8_t>{0, 64, 1, 0}));  // 2^-6 is one, 2^-7 a tie to even
  EXPECT_EQ(integers.rounded, 2);
}

TEST(IntegerWeights, TernaryOfEqualScalesIsPlusAndMinusOne) {
  const QuantizedTensor tensor(Ternary{}, Shape{2, 2}, {1, 2, 0, 1}, Ternary::Parameters{.positive_scale = 0.3F, .negative_scale = 0.3F});
  const IntegerWeights integers = integer_weights(tensor);
  EXPECT_EQ(integers.codes, (std::vector<std::int8_t>{1, -1, 0, 1}));
  EXPECT_EQ(integers.scale, (std::vector<float>{0.3F, 0.3F}));
  EXPECT_EQ(integers.rounded, 0);
}

TEST(IntegerWeights, TernaryOfUnequalScalesNearsTheirRatio) {
  for (const float ratio : {0.5F, 0.37F, 0.9999F, 0.123F, 0.004F}) {
    const QuantizedTensor tensor(Ternary{}, Shape{1, 3}, {1, 2, 0},
                                 Ternary::Parameters{.positive_scale = 1.7F, .negative_scale = 1.7F * ratio});
    const IntegerWeights integers = integer_weights(tensor);
    const double a = integers.codes[0];
    ASSERT_GT(a, 0.0);
    // Neighbouring fractions with denominators up to 127 lie at most 1/127 apart, so the nearest is off by at most half of that.
    EXPECT_NEAR(integers.codes[1] / a, -ratio, 1.0 / 254.0 + 1e-6) << ratio;
    if (ratio > 0.05F && ratio < 0.95F) {
      EXPECT_NEAR(integers.codes[1] / a, -ratio, 3e-4) << ratio;
    }
    expect_honest(tensor);
  }
}

TEST(IntegerWeights, EveryFormatIsHonestAboutItsError) {
  const Shape shape{6, 5, 3, 3};
  const FloatTensor values{.shape = shape, .values = test::normals("w", shape.element_count(), 0.0, 0.3)};
  expect_honest(values);
  for (const char* format : {"pow2:2", "pow2:3", "pow2:4", "pow2:5", "ternary", "uniform:2", "uniform:4", "uniform:8", "uniform:4/64",
                             "codebook:4", "codebook:16", "codebook:8/64", "fixed<2,3>", "fixed<1,6>"}) {
    SCOPED_TRACE(format);
    expect_honest(quantize(NumberFormat::parse(format), shape, values.values));
  }
}

TEST(IntegerWeights, FixedPointOfEightBitsIsExact) {
  const QuantizedTensor tensor(FixedPoint{2, 6}, Shape{1, 4}, {-128, 127, 1, 0}, FixedPoint::Parameters{});
  const IntegerWeights integers = integer_weights(tensor);
  EXPECT_EQ(integers.codes, (std::vector<std::int8_t>{-128, 127, 1, 0}));
  EXPECT_EQ(integers.rounded, 0);
}

TEST(IntegerWeights, NothingIsLostOfAnOutputOfZeros) {
  const IntegerWeights integers = integer_weights(FloatTensor{.shape = Shape{2, 2}, .values = {0.0F, 0.0F, 1.0F, -1.0F}});
  EXPECT_EQ(integers.codes, (std::vector<std::int8_t>{0, 0, 127, -127}));
  EXPECT_EQ(integers.scale.front(), 1.0F);
}

}  // namespace
}  // namespace bitwright
