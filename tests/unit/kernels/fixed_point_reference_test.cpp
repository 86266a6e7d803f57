// SPDX-License-Identifier: Apache-2.0
// The references of the fixed-point kernels against examples worked by hand and against each other; the kernels are tested against them.
#include "bitwright/kernels/fixed_point/fixed_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

TEST(FixedDigits, TakeTheFewestThatLeaveThirtyOneSteps) {
  EXPECT_EQ(fixed_digits(16, 16), (FixedDigits{.count = 2, .bits = 8, .max_pairs = 255}));
  EXPECT_EQ(fixed_digits(16, 20), (FixedDigits{.count = 2, .bits = 10, .max_pairs = 63}));
  EXPECT_EQ(fixed_digits(16, 22), (FixedDigits{.count = 2, .bits = 11, .max_pairs = 31}));
  EXPECT_EQ(fixed_digits(16, 24), (FixedDigits{.count = 3, .bits = 8, .max_pairs = 255}));
  EXPECT_EQ(fixed_digits(12, 12), (FixedDigits{.count = 1, .bits = 12, .max_pairs = 255}));
  EXPECT_EQ(fixed_digits(8, 8), (FixedDigits{.count = 1, .bits = 8, .max_pairs = 65535}));
}

TEST(FixedDigits, NeverOverflowAnInt32) {
  for (int a = 2; a <= 16; ++a) {
    for (int b = 2; b <= 24; ++b) {
      const FixedDigits digits = fixed_digits(a, b);
      EXPECT_LE(digits.count, 3);
      EXPECT_GE(digits.count * digits.bits, b);
      EXPECT_GE(digits.max_pairs, 31);
      EXPECT_LE(digits.bits, 16);
      // Two products of the largest magnitudes per step, in exact integers.
      const std::int64_t pair = 2 * (std::int64_t{1} << (a - 1)) * (std::int64_t{1} << (digits.bits - 1));
      EXPECT_LE(digits.max_pairs * pair, std::int64_t{2147483647}) << a << " x " << b;
    }
  }
}

// The page's dot product: z = -51498906, k = 14, z mod 2^14 = 12390.
TEST(FixedRound, RoundsTheDotProductOfThePage) {
  const std::array<std::int16_t, 4> a = {2048, -1024, 7169, 12698};
  const std::array<std::int16_t, 4> b = {6144, 8191, -512, -4097};
  std::int64_t acc = 0;
  fixed_product_reference({.a = a.data(), .a_stride = 4, .rows = 1, .columns = 1, .depth = 4, .last_column = 1}, {.narrow = b.data()}, 4, 1,
                          &acc, 1);
  ASSERT_EQ(acc, -51498906);
  std::int16_t code = 0;
  EXPECT_EQ(fixed_round_reference({.acc = &acc, .count = 1, .change = {.shift = 14}, .dst = &code}), 0);
  EXPECT_EQ(code, -3143);  // (G11)
  const Rng rng(9, "forward");
  for (std::uint64_t index = 0; index < 300; ++index) {
    (void)fixed_round_reference({.acc = &acc,
                                 .count = 1,
                                 .first_index = index,
                                 .change = {.shift = 14, .rounding = FixedRounding::stochastic, .rng = &rng},
                                 .dst = &code});
    ASSERT_EQ(code, (rng.word(index) >> 18) >= 16384 - 12390 ? -3143 : -3144);  // (G12)
  }
}

TEST(FixedRound, TiesGoDownAndTheEndsSaturate) {
  const std::array<std::int64_t, 8> acc = {1, -1, 3, -3, 65534, 65535, -65537, -65538};  // halves
  std::array<std::int16_t, 8> codes{};
  // 32767.5 ties down to 32767 and -32768.5 down to -32769, which saturates; so do -32769.
  EXPECT_EQ(fixed_round_reference({.acc = acc.data(), .count = 8, .change = {.shift = 1}, .dst = codes.data()}), 2);
  EXPECT_THAT(codes, ElementsAre(0, -1, 1, -2, 32767, 32767, -32768, -32768));
  EXPECT_EQ(fixed_round_reference({.acc = acc.data(), .count = 4, .change = {.shift = -2, .word_bits = 4}, .dst = codes.data()}), 2);
  EXPECT_THAT(std::vector<int>(codes.begin(), codes.begin() + 4), ElementsAre(4, -4, 7, -8));
}

TEST(FixedRound, FewRandomBitsAreTheHighOnes) {  // (G13): z = 12345, k = 14, r = 8
  const Rng rng(4, "narrow");
  const std::int64_t acc = 12345;
  int ups = 0;
  std::int16_t code = 0;
  for (std::uint64_t index = 0; index < 500; ++index) {
    (void)fixed_round_reference({.acc = &acc,
                                 .count = 1,
                                 .first_index = index,
                                 .change = {.shift = 14, .rounding = FixedRounding::stochastic, .rng = &rng, .random_bits = 8},
                                 .dst = &code});
    ASSERT_EQ(code, (rng.word(index) >> 24) >= 64 ? 1 : 0);
    ups += code;
  }
  EXPECT_GT(ups, 300);
}

// 2 x 2 image, 2 x 2 kernel, padding 1 at the top and left: every sum by hand.
TEST(FixedConvolve, MatchesASmallExample) {
  const FixedConvShape shape{.channels = 1,
                             .height = 2,
                             .width = 2,
                             .outputs = 1,
                             .kernel_height = 2,
                             .kernel_width = 2,
                             .pad_top = 1,
                             .pad_left = 1,
                             .out_height = 2,
                             .out_width = 2};
  const std::array<std::int16_t, 4> src = {1, 2, 3, 4};
  const std::array<std::int16_t, 4> weights = {10, -20, 30, 40};
  const std::int64_t bias = -50;
  std::array<std::int16_t, 4> codes{};
  std::array<std::uint8_t, 4> positive{};
  const FixedConvCall call{.shape = shape, .src = src.data(), .src_image_stride = 4, .first_row = 0, .last_row = 2};
  EXPECT_EQ(fixed_convolve_reference(call, shape, FixedConvWeights::forward, {.narrow = weights.data()}, {.bias = &bias, .change = {}},
                                     {.codes = codes.data(), .positive = positive.data()}, 4),
            0);
  EXPECT_THAT(codes, ElementsAre(40 - 50, 30 + 80 - 50, -20 + 120 - 50, 10 - 40 + 90 + 160 - 50));
  EXPECT_THAT(positive, ElementsAre(0, 1, 1, 1));
  (void)fixed_convolve_reference(call, shape, FixedConvWeights::forward, {.narrow = weights.data()},
                                 {.bias = &bias, .activation = FixedEpilogue::Activation::relu, .change = {}}, {.codes = codes.data()}, 4);
  EXPECT_EQ(codes[0], 0);
}

// <error, conv(src)> = <input_error(error), src> = <weight_gradient(error, src), weights>: the three are one trilinear form.
TEST(FixedConvolve, GradientsAreAdjoint) {
  for (const std::int64_t stride : {1, 2}) {
    for (const std::int64_t pad : {0, 1, 3}) {
      FixedConvShape layer{.channels = 2,
                           .height = 6,
                           .width = 5,
                           .outputs = 3,
                           .kernel_height = 3,
                           .kernel_width = 2,
                           .stride_y = stride,
                           .stride_x = stride,
                           .dilation_y = 1,
                           .dilation_x = 2,
                           .pad_top = pad,
                           .pad_left = 1};
      layer.out_height = (layer.height + 2 * pad - 3) / stride + 1;
      layer.out_width = (layer.width + 1 - 3) / stride + 1;
      const auto draw = [](std::int64_t count, std::string_view name) {
        const Rng rng(1, name);
        std::vector<std::int16_t> codes(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int16_t>(rng.below(i, 15)) - 7;
        return codes;
      };
      const auto src = draw(2 * 2 * 6 * 5, "src");
      const auto weights = draw(3 * 2 * 3 * 2, "weights");
      const std::int64_t outputs = 3 * layer.out_height * layer.out_width;
      const auto errors = draw(2 * outputs, "errors");
      std::vector<std::int16_t> dst(errors.size());
      (void)fixed_convolve_reference({.shape = layer, .src = src.data(), .src_image_stride = 60, .images = 2, .last_row = layer.out_height},
                                     layer, FixedConvWeights::forward, {.narrow = weights.data()}, {}, {.codes = dst.data()}, outputs);
      std::vector<std::int16_t> input_errors(src.size());
      const FixedConvShape backward = fixed_input_error_shape(layer);
      (void)fixed_convolve_reference(
          {.shape = backward, .src = errors.data(), .src_image_stride = outputs, .images = 2, .last_row = layer.height}, layer,
          FixedConvWeights::input_error, {.narrow = weights.data()}, {}, {.codes = input_errors.data()}, 60);
      std::vector<std::int64_t> gradient(weights.size());
      fixed_weight_gradient_reference({.layer = layer,
                                       .src = src.data(),
                                       .src_image_stride = 60,
                                       .errors = errors.data(),
                                       .error_image_stride = outputs,
                                       .images = 2,
                                       .dst = gradient.data()});
      const auto dot = [](const auto& x, const auto& y) {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) sum += std::int64_t{x[i]} * y[i];
        return sum;
      };
      EXPECT_NE(dot(errors, dst), 0);
      EXPECT_EQ(dot(errors, dst), dot(input_errors, src)) << stride << " " << pad;
      EXPECT_EQ(dot(errors, dst), dot(gradient, weights)) << stride << " " << pad;
    }
  }
}

}  // namespace
}  // namespace bitwright
