// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/ternary.h"

#include "bitwright/formats/quantized_tensor.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

// Worked example 1 of the TTQ page; all values are dyadic, so everything is exact.
const std::vector<float> kLatent = {0.75F, -0.5F, 0.0625F, -0.03125F, 0.25F, -1.0F, 0.125F, -0.125F};

TEST(Ternary, WorkedExampleAtAFixedRatio) {  // (T1), (T3)
  const float threshold = Ternary::threshold_for_ratio(kLatent, 0.125);
  EXPECT_EQ(threshold, 0.125F);
  const Ternary::Parameters parameters{.positive_scale = 1.25F, .negative_scale = 0.75F, .threshold = threshold};
  const std::vector<std::int32_t> codes = encode(Ternary{}, parameters, kLatent, {});
  EXPECT_THAT(codes, ElementsAre(1, 2, 0, 0, 1, 2, 0, 0));  // the last two lie at the threshold
  const QuantizedTensor tensor(Ternary{}, {8}, codes, parameters);
  EXPECT_THAT(tensor.dequantize(), ElementsAre(1.25F, -0.75F, 0.0F, 0.0F, 1.25F, -0.75F, 0.0F, 0.0F));
  EXPECT_THAT(tensor.packed_codes(), ElementsAre(std::byte{88}, std::byte{2}));
  EXPECT_EQ(tensor.code_size_bits() + tensor.parameter_size_bits(), 8 * (2 + 8));

  const std::array x = {3, -2, 5, 7, 1, 4, -6, 2};
  float y = 0.0F;
  for (std::size_t i = 0; i < x.size(); ++i) y += static_cast<float>(x[i]) * tensor.dequantize()[i];
  EXPECT_EQ(y, 3.5F);
}

TEST(Ternary, TwoBitLayoutHoldsTheSameTensorInFourCodesAByte) {  // (T10)
  const Ternary fast{.layout = TernaryLayout::two_bits};
  const Ternary::Parameters parameters{.positive_scale = 1.25F, .negative_scale = 0.75F, .threshold = 0.125F};
  const QuantizedTensor tensor(fast, {8}, encode(fast, parameters, kLatent, {}), parameters);
  EXPECT_THAT(tensor.packed_codes(), ElementsAre(std::byte{0x09}, std::byte{0x09}));
  EXPECT_THAT(tensor.dequantize(), ElementsAre(1.25F, -0.75F, 0.0F, 0.0F, 1.25F, -0.75F, 0.0F, 0.0F));
  const auto unpack = [&](std::byte second) {
    return QuantizedTensor::unpack(fast, {8}, std::array{std::byte{0x09}, second}, tensor.packed_parameters(), "net.bw");
  };
  EXPECT_EQ(unpack(std::byte{0x09}), tensor);
  test::expect_error(ErrorCode::corrupt_file,
                     "net.bw: a code lies outside ternary:2bit (found 3 at index 4, need 0 to 2); the file is damaged, get it again.",
                     [&] { (void)unpack(std::byte{0x0B}); });
  // The same values in the other layout are another tensor: a file says which it holds.
  EXPECT_FALSE(tensor == QuantizedTensor(Ternary{}, {8}, encode(fast, parameters, kLatent, {}), parameters));
}

TEST(Ternary, BitsPerWeightOfResNet20) {  // 18 layers of 3x3 convolutions: 16 channels (7 of them), 32 and 64
  std::int64_t small_bits = 0;
  std::int64_t fast_bits = 0;
  std::int64_t weights = 0;
  const auto add = [&](std::int64_t count, std::int64_t size) {
    const Shape shape{size};
    for (const TernaryLayout layout : {TernaryLayout::five_digits, TernaryLayout::two_bits}) {
      const QuantizedTensor tensor(Ternary{layout}, shape, std::vector<std::int32_t>(static_cast<std::size_t>(size), 1),
                                   Ternary::Parameters{});
      (layout == TernaryLayout::five_digits ? small_bits : fast_bits) += count * (tensor.code_size_bits() + tensor.parameter_size_bits());
    }
    weights += count * size;
  };
  add(6, 16 * 16 * 9);
  add(1, 32 * 16 * 9);
  add(5, 32 * 32 * 9);
  add(1, 64 * 32 * 9);
  add(5, 64 * 64 * 9);
  EXPECT_EQ(weights, 267264);
  EXPECT_EQ(small_bits, 8 * (53460 + 144));  // table of the paper page, section 3
  EXPECT_EQ(fast_bits, 8 * (66816 + 144));
  EXPECT_LE(static_cast<double>(small_bits), 1.69 * static_cast<double>(weights));
  EXPECT_LE(static_cast<double>(fast_bits), 2.07 * static_cast<double>(weights));
}

TEST(Ternary, SecondExampleAwayFromTheEdge) {
  const std::vector<float> latent = {0.90F, -0.40F, 0.04F, -0.03F, 0.25F, -1.20F, 0.05F, -0.07F};
  const Ternary::Parameters parameters{
      .positive_scale = 1.0F, .negative_scale = 1.0F, .threshold = Ternary::threshold_for_ratio(latent, 0.05)};
  EXPECT_THAT(encode(Ternary{}, parameters, latent, {}), ElementsAre(1, 2, 0, 0, 1, 2, 0, 2));
}

TEST(Ternary, FixedSparsityKeepsExactlyTheLargest) {  // (T2)
  const float threshold = Ternary::threshold_for_sparsity(kLatent, 0.5);
  EXPECT_EQ(threshold, 0.125F);
  const Ternary::Parameters parameters{.positive_scale = 1.0F, .negative_scale = 1.0F, .threshold = threshold};
  EXPECT_THAT(encode(Ternary{}, parameters, kLatent, {}), ElementsAre(1, 2, 0, 0, 1, 2, 0, 0));
  EXPECT_EQ(Ternary::threshold_for_sparsity(kLatent, 0.0), 0.0F);                              // only exact zeros are zero
  EXPECT_EQ(Ternary::threshold_for_sparsity(std::vector{1.0F, 1.0F, 1.0F, 1.0F}, 0.5), 1.0F);  // ties go to zero
}

TEST(Ternary, FitUsesTheBaselineThresholdAndOneMeanPerSign) {  // (T13)
  const Ternary::Parameters parameters = Ternary{}.fit(kLatent);
  // mean|w| = 2.84375 / 8, times 0.7; the page prints the real 0.248828125, the float is its nearest.
  EXPECT_FLOAT_EQ(parameters.threshold, 0.248828125F);
  EXPECT_EQ(parameters.positive_scale, 0.5F);
  EXPECT_EQ(parameters.negative_scale, 0.75F);
  EXPECT_THAT(encode(Ternary{}, parameters, kLatent, {}), ElementsAre(1, 2, 0, 0, 1, 2, 0, 0));
}

TEST(Ternary, EmptySetTakesTheOtherMeanOrOne) {
  const Ternary::Parameters positive = Ternary{}.fit(std::vector{1.0F, 3.0F});
  EXPECT_EQ(positive.positive_scale, 3.0F);  // threshold 1.4: only 3 survives
  EXPECT_EQ(positive.negative_scale, 3.0F);
  const Ternary::Parameters negative = Ternary{}.fit(std::vector{-1.0F, -3.0F});
  EXPECT_EQ(negative.positive_scale, 3.0F);
  EXPECT_EQ(negative.negative_scale, 3.0F);
  const Ternary::Parameters none = Ternary{}.fit(std::vector{0.0F, -0.0F});
  EXPECT_EQ(none.positive_scale, 1.0F);
  EXPECT_EQ(none.negative_scale, 1.0F);
  EXPECT_EQ(none.threshold, 0.0F);
  EXPECT_THAT(quantize(Ternary{}, {2}, std::vector{0.0F, -0.0F}).codes(), ElementsAre(0, 0));
  EXPECT_EQ(Ternary{}.fit({}).positive_scale, 1.0F);
}

TEST(Ternary, ScalingByAPowerOfTwoKeepsTheCodes) {
  const auto before = quantize(Ternary{}, {8}, kLatent);
  std::vector<float> scaled;
  for (const float value : kLatent) scaled.push_back(value * 0x1p-20F);
  const auto after = quantize(Ternary{}, {8}, scaled);
  EXPECT_THAT(after.codes(), ::testing::ElementsAreArray(before.codes()));
}

TEST(Ternary, ThresholdIsNotStored) {
  const QuantizedTensor tensor = quantize(Ternary{}, {8}, kLatent);
  const QuantizedTensor again =
      QuantizedTensor::unpack(tensor.format(), tensor.shape(), tensor.packed_codes(), tensor.packed_parameters(), "test");
  EXPECT_EQ(std::get<Ternary::Parameters>(again.parameters()).threshold, 0.0F);
  EXPECT_EQ(again, tensor);
  // With threshold 0 the values still encode to the same codes.
  EXPECT_THAT(encode(Ternary{}, again.parameters(), again.dequantize(), {}), ::testing::ElementsAreArray(tensor.codes()));
}

TEST(Ternary, RefusesWhatIsNotFinite) {
  const std::vector values = {0.0F, std::numeric_limits<float>::quiet_NaN()};
  const std::string message =
      "ternary: a value is not finite (found nan at index 1, need a finite number); look where the tensor was made.";
  test::expect_error(ErrorCode::numerical, message, [&] { EXPECT_EQ(Ternary{}.fit(values).threshold, 0.0F); });
  test::expect_error(ErrorCode::numerical, message, [&] { EXPECT_TRUE(encode(Ternary{}, Ternary::Parameters{}, values, {}).empty()); });
  test::expect_error(ErrorCode::numerical, message, [&] { EXPECT_EQ(Ternary::threshold_for_ratio(values, 0.05), 0.0F); });
  test::expect_error(ErrorCode::numerical, message, [&] { EXPECT_EQ(Ternary::threshold_for_sparsity(values, 0.5), 0.0F); });
}

}  // namespace
}  // namespace bitwright
