// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/fixed/update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

namespace bitwright::fixed {
namespace {

using ::testing::ElementsAre;
using Gradient = std::vector<std::int64_t>;

const Rng kRng(1, "fixed_update_test");

ParameterCodes parameter_of(const FixedPoint& format, std::vector<std::int32_t> codes, std::vector<std::int32_t> updates = {}) {
  ParameterCodes parameter;
  parameter.name = "w";
  parameter.format = parameter.update_format = format;
  parameter.codes = std::move(codes);
  parameter.updates = std::move(updates);
  parameter.updates.resize(parameter.codes.size());
  return parameter;
}

// In steps of 2^-12: 0.5 * 100 - 0.125 * (2^22 * 2^-20 / 4 + 0.5 * 1) * 4096 = 50 - 768 = -718.
TEST(FixedUpdate, FollowsG15AndG16ByHand) {
  ParameterCodes parameter = parameter_of({4, 12}, {4096}, {100});
  UpdateRule rule{.lr = 0.125, .momentum = 0.5, .weight_decay = 0.5, .gradient_frac_bits = 20, .batch = 4};
  for (const Rounding rounding : {Rounding::nearest_down, Rounding::stochastic}) {  // a whole number of steps: no draw moves it
    parameter = parameter_of({4, 12}, {4096}, {100});
    rule.rounding = rounding;
    (void)update(parameter, Gradient{std::int64_t{1} << 22}, rule, kRng);
    EXPECT_THAT(parameter.updates, ElementsAre(-718));
    EXPECT_THAT(parameter.codes, ElementsAre(4096 - 718));
  }
  // The next step begins from -718 as its momentum: -359 - 0.125 * 0.5 * (3378 / 4096) * 4096 = -359 - 211.125 = -570.125.
  rule.rounding = Rounding::nearest_down;
  (void)update(parameter, Gradient{0}, rule, kRng);
  EXPECT_THAT(parameter.updates, ElementsAre(-570));
  EXPECT_THAT(parameter.codes, ElementsAre(3378 - 570));
}

TEST(FixedUpdate, TiesGoDownAtBothSigns) {
  ParameterCodes parameter = parameter_of({4, 12}, {0, 0, 0, 0});
  const UpdateRule rule{.lr = 0x1.0p-13, .gradient_frac_bits = 0, .rounding = Rounding::nearest_down};
  (void)update(parameter, Gradient{1, -1, 3, -3}, rule, kRng);  // -0.5, 0.5, -1.5, 1.5 steps
  EXPECT_THAT(parameter.updates, ElementsAre(-1, 0, -2, 1));
}

TEST(FixedUpdate, GradientsAbove24BitsKeepTheirLastBit) {
  // 2^40 + 1 against 2^40: one step apart, which float32 could not tell.
  const UpdateRule rule{.lr = 1.0, .gradient_frac_bits = 50, .rounding = Rounding::nearest_down};
  ParameterCodes parameter = parameter_of({4, 12}, {0, 0});
  const std::int64_t half = std::int64_t{1} << 37;  // half a step of 2^-12 at 50 fraction bits
  (void)update(parameter, Gradient{-half, -half - 1}, rule, kRng);
  EXPECT_THAT(parameter.updates, ElementsAre(0, 1));
}

TEST(FixedUpdate, SaturatesTheUpdateAndThenTheCode) {
  ParameterCodes parameter = parameter_of({4, 4}, {100, -100, 0, 127});
  const UpdateRule rule{.lr = 1.0, .gradient_frac_bits = 4, .rounding = Rounding::nearest_down};
  const UpdateCounts counts = update(parameter, Gradient{-200, 200, 0, -1}, rule, kRng);
  EXPECT_THAT(parameter.updates, ElementsAre(127, -128, 0, 1));
  EXPECT_THAT(parameter.codes, ElementsAre(127, -128, 0, 127));
  EXPECT_EQ(counts.saturated_updates, 2);
  EXPECT_EQ(counts.saturated_codes, 3);
  EXPECT_EQ(counts.zero_updates, 1);
}

// The whole paper in one test: half a step and less is nothing to nearest rounding, and right on average to stochastic rounding.
TEST(FixedUpdate, SmallStepsVanishWhenRoundedToNearestAndSurviveStochasticRounding) {
  constexpr std::size_t kCount = 100000;
  const FixedPoint format{8, 8};
  for (const double share : {0.25, 0.4375, -0.25}) {
    const Gradient gradient(kCount, -static_cast<std::int64_t>(share * 1024.0));
    UpdateRule rule{.lr = 1.0, .gradient_frac_bits = 18, .rounding = Rounding::nearest_down};  // share * 2^10 * 2^-18 = share steps
    ParameterCodes parameter = parameter_of(format, std::vector<std::int32_t>(kCount, 77));
    const UpdateCounts counts = update(parameter, gradient, rule, kRng);
    EXPECT_EQ(parameter.codes, std::vector<std::int32_t>(kCount, 77));
    EXPECT_EQ(counts.zero_updates, static_cast<std::int64_t>(kCount));
    rule.rounding = Rounding::stochastic;
    (void)update(parameter, gradient, rule, kRng);
    double sum = 0.0;
    for (const std::int32_t code : parameter.codes) {
      EXPECT_LE(std::abs(code - 77), 1);
      sum += code - 77;
    }
    const double p = std::abs(share);
    EXPECT_NEAR(sum / kCount, share, 5.0 * std::sqrt(p * (1.0 - p) / kCount));  // five standard deviations
  }
}

TEST(FixedUpdate, FewRandomBitsRoundDownMoreOften) {
  // (G13) with 2 bits: 0.7 goes up for U in {0.5, 0.75}, half of the draws.
  constexpr std::size_t kCount = 100000;
  ParameterCodes parameter = parameter_of({8, 8}, std::vector<std::int32_t>(kCount, 0));
  const UpdateRule rule{.lr = 0.7 * 0x1.0p-8, .rounding = Rounding::stochastic, .random_bits = 2};
  (void)update(parameter, Gradient(kCount, -1), rule, kRng);
  double sum = 0.0;
  for (const std::int32_t code : parameter.codes) sum += code;
  EXPECT_NEAR(sum / kCount, 0.5, 5.0 * 0.5 / std::sqrt(kCount));
}

TEST(FixedUpdate, TheBitsDoNotDependOnThreads) {
  constexpr std::size_t kCount = 50003;
  const UpdateRule rule{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-3, .gradient_frac_bits = 20, .batch = 7};
  std::vector<std::vector<std::int32_t>> results;
  const int threads_before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    ParameterCodes parameter = parameter_of({2, 14}, std::vector<std::int32_t>(kCount));
    for (std::size_t i = 0; i < kCount; ++i) parameter.codes[i] = static_cast<std::int32_t>(kRng.below(i, 20000)) - 10000;
    Gradient gradient(kCount);
    for (std::size_t i = 0; i < kCount; ++i) gradient[i] = static_cast<std::int64_t>(kRng.below(i + kCount, 1U << 20)) - (1 << 19);
    for (int step = 0; step < 3; ++step) (void)update(parameter, gradient, rule, kRng.at_step(static_cast<std::uint64_t>(step)));
    results.push_back(parameter.codes);
    results.back().insert(results.back().end(), parameter.updates.begin(), parameter.updates.end());
  }
  at::set_num_threads(threads_before);
  EXPECT_EQ(results[0], results[1]);
}

TEST(FixedUpdate, ChangeOfFormatKeepsEveryValue) {
  ParameterCodes parameter = parameter_of({4, 12}, {-12345, 0, 32767, -32768}, {-1, 2, 3, -4});
  change_format(parameter, {4, 16});
  EXPECT_THAT(parameter.codes, ElementsAre(-197520, 0, 524272, -524288));  // the first: (G14)'s worked example
  EXPECT_THAT(parameter.updates, ElementsAre(-16, 32, 48, -64));
  EXPECT_EQ(parameter.format, (FixedPoint{4, 16}));
  EXPECT_EQ(parameter.update_format, (FixedPoint{4, 16}));
}

}  // namespace
}  // namespace bitwright::fixed
