// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/power_of_two.h"

#include "bitwright/formats/quantized_tensor.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

namespace bitwright {
namespace {

using ::testing::ElementsAre;
using Parameters = PowerOfTwo::Parameters;

TEST(PowerOfTwo, ExponentsOfThePage) {  // (I2)
  const auto n1 = &PowerOfTwo::exponent_for;
  EXPECT_EQ(n1(0.9F), 0);
  EXPECT_EQ(n1(0.74F), -1);
  EXPECT_EQ(n1(0.75F), 0);
  EXPECT_EQ(n1(1.4999999F), 0);
  EXPECT_EQ(n1(1.5F), 1);
  EXPECT_EQ(n1(0.3F), -2);
  EXPECT_EQ(n1(2.9F), 1);
  EXPECT_EQ(n1(3.0F), 2);
  EXPECT_EQ(n1(0.001F), -10);
}

TEST(PowerOfTwo, ExponentChangesExactlyAtThreeQuarters) {
  for (int k = -148; k <= 127; ++k) {  // down to denormals, where an ulp is 2^-149
    const float boundary = std::ldexp(0.75F, k);
    if (k > -147) {
      EXPECT_EQ(PowerOfTwo::exponent_for(boundary), k) << k;
    }
    const float below = std::nextafter(boundary, 0.0F);
    if (below >= std::ldexp(0.75F, k - 1) && k > -146) {
      EXPECT_EQ(PowerOfTwo::exponent_for(below), k - 1) << k;
    }
  }
}

TEST(PowerOfTwo, ParametersFollowTheTable) {  // (I3), (I6)
  struct Row {
    int bits, magnitudes;
    std::int64_t levels;
    int n2_of_n1_zero;
  };
  for (const auto& [bits, magnitudes, levels, n2] : {Row{5, 8, 17, -7}, Row{4, 4, 9, -3}, Row{3, 2, 5, -1}, Row{2, 1, 3, 0}}) {
    const PowerOfTwo format{.bits = bits};
    EXPECT_EQ(format.code_count(), levels);
    const Parameters parameters = format.parameters_for(1.0F);
    EXPECT_EQ(parameters, (Parameters{.exp_max = 0, .exp_min = n2}));
    EXPECT_EQ(parameters.exp_max - parameters.exp_min + 1, magnitudes);
    EXPECT_EQ(format.code_range(parameters).last, levels - 1);
  }
}

std::vector<float> quantized(const PowerOfTwo& format, const Parameters& parameters, const std::vector<float>& values) {
  std::vector<float> result;
  for (const float value : values) result.push_back(format.quantize_value(parameters, value));
  return result;
}

TEST(PowerOfTwo, WorkedExamplesOfThePage) {  // (I5)
  const PowerOfTwo three{.bits = 3};
  const Parameters low = {.exp_max = -1, .exp_min = -2};
  EXPECT_THAT(quantized(three, low, {0.1249F, 0.125F, 0.3749F, 0.375F, 0.7499F}), ElementsAre(0.0F, 0.25F, 0.25F, 0.5F, 0.5F));
  EXPECT_THAT(quantized(three, low, {0.75F, 0.8F, 1e30F, -0.8F}), ElementsAre(0.5F, 0.5F, 0.5F, -0.5F));  // saturates, never 0

  const PowerOfTwo five{.bits = 5};
  EXPECT_EQ(five.parameters_for(0.9F), (Parameters{.exp_max = 0, .exp_min = -7}));
  EXPECT_THAT(quantized(five, five.parameters_for(0.9F), {0.9F, -0.7F, 0.3F, 0.1F, -0.05F, 0.02F, 0.004F, 0.0039F, -0.001F}),
              ElementsAre(1.0F, -0.5F, 0.25F, 0.125F, -0.0625F, 0.015625F, 0.0078125F, 0.0F, 0.0F));
  EXPECT_THAT(quantized(three, three.parameters_for(0.9F), {0.9F, -0.7F, 0.3F, 0.1F, -0.05F, 0.02F}),
              ElementsAre(1.0F, -0.5F, 0.5F, 0.0F, 0.0F, 0.0F));
  const PowerOfTwo two{.bits = 2};
  EXPECT_THAT(quantized(two, {.exp_max = 0, .exp_min = 0}, {0.9F, -0.7F, 0.5F, 0.499F, 0.3F}), ElementsAre(1.0F, -1.0F, 1.0F, 0.0F, 0.0F));
}

TEST(PowerOfTwo, TensorAgreesWithSingleValues) {
  const PowerOfTwo five{.bits = 5};
  const std::vector<float> values = {0.9F, -0.7F, 0.3F, 0.1F, -0.05F, 0.02F, 0.004F, 0.0039F, -0.001F, 0.0F, -0.0F};
  const QuantizedTensor tensor = quantize(five, {11}, values);
  EXPECT_EQ(tensor.dequantize(), quantized(five, five.parameters_for(0.9F), values));
}

TEST(PowerOfTwo, CodesAndShiftsOfThePage) {  // (I12) and the integer realization
  const PowerOfTwo four{.bits = 4};
  const Parameters parameters = {.exp_max = -1, .exp_min = -4};
  const std::vector<float> weights = {0.5F, -0.25F, 0.0F, 0.125F};
  const std::vector<std::int32_t> codes = encode(four, parameters, weights, {});
  EXPECT_THAT(codes, ElementsAre(7, 6, 0, 3));
  const std::array x = {3, -2, 5, 7};
  int sum = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] == 0) continue;
    const int shifted = x[i] * (1 << ((codes[i] - 1) / 2));
    sum += codes[i] % 2 == 0 ? -shifted : shifted;
  }
  EXPECT_EQ(sum, 46);
  EXPECT_EQ(std::ldexp(sum, parameters.exp_min), 2.875);
}

TEST(PowerOfTwo, ExponentSurvivesQuantization) {  // (I7)
  for (int bits = 2; bits <= 8; ++bits) {
    const PowerOfTwo format{.bits = bits};
    for (float s = 1e-6F; s < 1e6F; s *= 1.07F) {
      const Parameters parameters = format.parameters_for(s);
      const float ratio = s / std::ldexp(1.0F, parameters.exp_max);
      ASSERT_GE(ratio, 0.75F);
      ASSERT_LT(ratio, 1.5F);
      ASSERT_EQ(format.parameters_for(format.quantize_value(parameters, s)), parameters);
    }
  }
}

TEST(PowerOfTwo, ScalingByAPowerOfTwoScalesTheResult) {
  const std::vector<float> weights = {0.9F, -0.7F, 0.31F, 0.1F, -0.05F, 0.02F, 0.004F};
  const std::vector<float> before = quantize(PowerOfTwo{.bits = 4}, {7}, weights).dequantize();
  for (const int m : {-40, -3, 5, 60}) {
    std::vector<float> scaled;
    std::vector<float> expected;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      scaled.push_back(std::ldexp(weights[i], m));
      expected.push_back(std::ldexp(before[i], m));
    }
    EXPECT_EQ(quantize(PowerOfTwo{.bits = 4}, {7}, scaled).dequantize(), expected);
  }
}

TEST(PowerOfTwo, AllZeroTensorHasBothExponentsZero) {  // (I8)
  const QuantizedTensor tensor = quantize(PowerOfTwo{.bits = 5}, {3}, std::vector{0.0F, -0.0F, 0.0F});
  EXPECT_THAT(tensor.codes(), ElementsAre(0, 0, 0));
  EXPECT_EQ(std::get<Parameters>(tensor.parameters()), (Parameters{.exp_max = 0, .exp_min = 0}));
  EXPECT_THAT(tensor.dequantize(), ElementsAre(0.0F, 0.0F, 0.0F));
}

TEST(PowerOfTwo, RefusesWhatIsNotFinite) {
  test::expect_error(ErrorCode::numerical,
                     "pow2:5: a value is not finite (found -inf at index 1, need a finite number); look where the tensor was made.", [] {
                       const std::vector values = {0.0F, -std::numeric_limits<float>::infinity()};
                       EXPECT_EQ(quantize(PowerOfTwo{.bits = 5}, {2}, values).codes().size(), 0U);
                     });
}

TEST(PowerOfTwo, ExponentsStayInFloatsNormalRange) {
  const PowerOfTwo five{.bits = 5};
  const float smallest = std::ldexp(0.75F, -119);
  EXPECT_EQ(five.fit(std::vector{smallest}), (Parameters{.exp_max = -119, .exp_min = -126}));
  test::expect_error(ErrorCode::numerical,
                     "pow2:5: the largest magnitude is 1.1284745e-36, so the exponents are out of range (found -127 to -120, need -126 to "
                     "127); scale the tensor.",
                     [&] { EXPECT_EQ(five.fit(std::vector{std::nextafter(smallest, 0.0F)}), Parameters{}); });
  EXPECT_EQ(five.fit(std::vector{std::nextafter(std::ldexp(1.5F, 127), 0.0F)}).exp_max, 127);
  EXPECT_TRUE(test::error_of([&] { EXPECT_EQ(five.fit(std::vector{std::ldexp(1.5F, 127)}), Parameters{}); }).has_value());
}

TEST(PowerOfTwo, ParametersTakeTwoBytes) {
  const QuantizedTensor tensor = quantize(PowerOfTwo{.bits = 5}, {1}, std::vector{0.9F});
  EXPECT_THAT(tensor.packed_parameters(), ElementsAre(std::byte{0}, std::byte{0xF9}));  // 0 and -7
}

TEST(PowerOfTwo, WrongParametersAreNamed) {
  const PowerOfTwo five{.bits = 5};
  EXPECT_EQ(five.parameter_problem({.exp_max = 3, .exp_min = -4}, 1), "");
  EXPECT_EQ(five.parameter_problem({.exp_max = 3, .exp_min = 3}, 1),
            "the exponents do not belong to pow2:5 (found 3 to 3, need a difference of 7)");
  EXPECT_EQ(five.parameter_problem({.exp_max = -120, .exp_min = -127}, 1),
            "the exponents are out of range (found -127 to -120, need -126 to 127)");
}

}  // namespace
}  // namespace bitwright
