// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/uniform.h"

#include "bitwright/formats/quantized_tensor.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

const std::vector<float> kValues = {-0.5F, 0.25F, 0.0F, 1.5F, 0.75F, -0.25F};

/// Each entry within 3 float32 roundings (the division, the product, the sum) of intermediate results that are at most 2 here.
void expect_values(const QuantizedTensor& tensor, const std::vector<double>& expected) {
  const std::vector<float> values = tensor.dequantize();
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 3 * 2 * 0x1p-24) << i;
}

TEST(Uniform, WorkedExampleInBucketsOfFour) {  // (D1), (D2), (D4)
  const QuantizedTensor tensor = quantize(Uniform{.bits = 2, .bucket_size = 4}, {6}, kValues);
  EXPECT_THAT(std::get<Uniform::Parameters>(tensor.parameters()).buckets, ElementsAre(Bucket{2.0F, -0.5F}, Bucket{1.0F, -0.25F}));
  EXPECT_THAT(tensor.codes(), ElementsAre(0, 1, 1, 3, 3, 0));
  expect_values(tensor, {-0.5, 1.0 / 6, 1.0 / 6, 1.5, 0.75, -0.25});
}

TEST(Uniform, WorkedExampleInOneBucket) {
  const QuantizedTensor tensor = quantize(Uniform{.bits = 2, .bucket_size = std::nullopt}, {6}, kValues);
  EXPECT_THAT(tensor.codes(), ElementsAre(0, 1, 1, 3, 2, 0));
  expect_values(tensor, {-0.5, 1.0 / 6, 1.0 / 6, 1.5, 5.0 / 6, -0.5});
}

TEST(Uniform, TiesGoToEvenOrDownAsAsked) {
  const std::vector<float> values = {0.0F, 0.5F, 1.0F};
  const Uniform format{.bits = 2, .bucket_size = std::nullopt};
  EXPECT_THAT(quantize(format, {3}, values).codes(), ElementsAre(0, 2, 3));
  EXPECT_THAT(quantize(format, {3}, values, {.mode = Rounding::nearest_down, .rng = nullptr}).codes(), ElementsAre(0, 1, 3));
}

TEST(Uniform, ConstantBucketHasCodesZero) {  // (D3)
  const QuantizedTensor tensor = quantize(Uniform{.bits = 4, .bucket_size = std::nullopt}, {3}, std::vector{0.3F, 0.3F, 0.3F});
  EXPECT_THAT(tensor.codes(), ElementsAre(0, 0, 0));
  EXPECT_THAT(std::get<Uniform::Parameters>(tensor.parameters()).buckets, ElementsAre(Bucket{1.0F, 0.3F}));
  EXPECT_THAT(tensor.dequantize(), ElementsAre(0.3F, 0.3F, 0.3F));
}

TEST(Uniform, NearlyConstantBucketHasCodesZeroInEveryMode) {
  const Rng rng(1, "x");
  // 6e-6 levels of 16 bits: without the rule three of these half million draws would round up on average, and with this seed some do.
  std::vector<float> values(1000000, 0.0F);
  for (std::size_t i = 1; i < values.size(); i += 2) values[i] = 9e-11F;
  const QuantizedTensor tensor =
      quantize(Uniform{.bits = 16, .bucket_size = std::nullopt}, {1000000}, values, {.mode = Rounding::stochastic, .rng = &rng});
  EXPECT_THAT(tensor.codes(), ::testing::Each(0));
}

TEST(Uniform, OneOutlierWithoutBucketsFlattensTheRest) {  // why buckets
  std::vector<float> values;
  for (int i = -8; i <= 7; ++i) values.push_back(static_cast<float>(i) * 0.01F);
  values.push_back(4.0F);
  const QuantizedTensor tensor = quantize(Uniform{.bits = 4, .bucket_size = std::nullopt}, {17}, values);
  EXPECT_EQ(std::ranges::count(tensor.codes(), 0), 14);
  EXPECT_EQ(std::ranges::count(tensor.codes(), 1), 2);
  EXPECT_EQ(std::ranges::count(tensor.codes(), 15), 1);
}

TEST(Uniform, LevelsOfThePage) {
  for (const auto& [bits, levels] : {std::pair(1, 2), std::pair(2, 4), std::pair(4, 16), std::pair(8, 256)}) {
    const Uniform format{.bits = bits, .bucket_size = std::nullopt};
    ASSERT_EQ(format.code_count(), levels);
    for (int code = 0; code < levels; ++code) {
      const QuantizedTensor tensor(format, {1}, {code}, Uniform::Parameters{.buckets = {{1.0F, 0.0F}}});
      EXPECT_FLOAT_EQ(tensor.dequantize()[0], static_cast<float>(code) / static_cast<float>(levels - 1));
    }
  }
}

TEST(Uniform, EndsReproduceMinimumAndMaximum) {
  for (int bits = 1; bits <= 16; ++bits) {
    const QuantizedTensor tensor = quantize(Uniform{.bits = bits, .bucket_size = std::nullopt}, {3}, std::vector{-0.3F, 0.1F, 0.7F});
    const std::vector<float> values = tensor.dequantize();
    EXPECT_EQ(values[0], -0.3F);
    EXPECT_EQ(values[2], -0.3F + (0.7F - -0.3F));  // the one rounding of min + scale
  }
}

TEST(Uniform, ValuesOutsideTheRangeTakeItsEnds) {
  const Uniform format{.bits = 2, .bucket_size = std::nullopt};
  const Uniform::Parameters parameters{.buckets = {{1.0F, 0.0F}}};
  EXPECT_THAT(encode(format, parameters, std::vector{-5.0F, 7.0F, 1e38F}, {}), ElementsAre(0, 3, 3));
}

// (D6): alpha 2, s = 4, sc = 0.3: f = 0.9, variance 0.04 and bound 1/9. The draws of 100,000 elements are fixed by the seed.
TEST(Uniform, StochasticRoundingIsUnbiasedWithTheVarianceOfThePage) {  // (D5), (D6)
  const Uniform format{.bits = 2, .bucket_size = std::nullopt};
  const Rng rng(12, "qd");
  constexpr int kDraws = 100000;
  const std::vector<float> values(kDraws, 0.6F);
  const Uniform::Parameters parameters{.buckets = {{2.0F, 0.0F}}};
  const std::vector<std::int32_t> codes = encode(format, parameters, values, {.mode = Rounding::stochastic, .rng = &rng});
  const auto ups = static_cast<double>(std::ranges::count(codes, 1));
  EXPECT_EQ(std::ranges::count(codes, 0) + std::ranges::count(codes, 1), kDraws);
  const double f = 0.9;
  const double step = 2.0 / 3.0;
  EXPECT_DOUBLE_EQ(step * step * f * (1 - f), 0.04);
  const double sigma = std::sqrt(0.04 / kDraws);
  EXPECT_NEAR(step * ups / kDraws, 0.6, 5 * sigma);
}

TEST(Uniform, StochasticDrawIsTheElementsOwn) {
  const Rng rng(12, "qd");
  const RoundingContext context{.mode = Rounding::stochastic, .rng = &rng};
  const std::vector<float> values(64, 0.6F);
  const std::vector<std::int32_t> in_buckets =
      encode(Uniform{.bits = 2, .bucket_size = 8}, Uniform::Parameters{.buckets = std::vector<Bucket>(8, {2.0F, 0.0F})}, values, context);
  const std::vector<std::int32_t> in_one =
      encode(Uniform{.bits = 2, .bucket_size = std::nullopt}, Uniform::Parameters{.buckets = {{2.0F, 0.0F}}}, values, context);
  EXPECT_EQ(in_buckets, in_one);
}

TEST(Uniform, SavingsOfThePage) {  // (D9): float bits over code and bucket bits, printed to 3 digits
  for (const auto& [bits, bucket, saving] : {std::tuple(2, 256, 14.222), std::tuple(4, 256, 7.529), std::tuple(8, 256, 3.879),
                                             std::tuple(2, 512, 15.059), std::tuple(4, 512, 7.758), std::tuple(8, 512, 3.938)}) {
    const QuantizedTensor tensor = quantize(Uniform{.bits = bits, .bucket_size = bucket}, {4096}, std::vector<float>(4096, 0.5F));
    EXPECT_NEAR(4096.0 * 32 / static_cast<double>(tensor.code_size_bits() + tensor.parameter_size_bits()), saving, 0.0005);
  }
}

TEST(Uniform, SizesOfResNet20) {
  for (const auto& [bits, bytes] : {std::pair(2, 81020), std::pair(4, 148104), std::pair(8, 282272)}) {
    const Uniform format{.bits = bits, .bucket_size = 256};
    EXPECT_EQ(packed_code_bytes(format.code_layout(), bits, 268336) + format.parameter_bytes(268336) + 5544, bytes);
  }
}

TEST(Uniform, RefusesWhatIsNotFinite) {
  test::expect_error(ErrorCode::numerical,
                     "uniform:4/2: a value is not finite (found inf at index 2, need a finite number); look where the tensor was made.",
                     [] {
                       const std::vector values = {0.0F, 1.0F, std::numeric_limits<float>::infinity()};
                       EXPECT_EQ(quantize(Uniform{.bits = 4, .bucket_size = 2}, {3}, values).codes().size(), 0U);
                     });
}

}  // namespace
}  // namespace bitwright
