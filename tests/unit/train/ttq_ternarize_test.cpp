// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/ttq/ternarize.h"

#include "bitwright/core/rng.h"
#include "bitwright/formats/ternary.h"
#include "bitwright/train/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace bitwright::ttq {
namespace {

using ::testing::ElementsAre;

const std::vector<float> kLatent = {0.75F, -0.5F, 0.0625F, -0.03125F, 0.25F, -1.0F, 0.125F, -0.125F};  // worked example 1
const std::vector<float> kGradient = {0.5F, -0.25F, 0.125F, 0.25F, -0.375F, 0.5F, 0.625F, -0.75F};

at::Tensor row(const std::vector<float>& values) { return to_tensor(Shape{static_cast<std::int64_t>(values.size())}, values); }

std::vector<float> normal_values(std::size_t count, std::uint64_t seed = 5) {
  std::vector<float> values(count);
  const Rng rng(seed, "ttq_test");
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(0.2 * rng.normal(i));
  return values;
}

class Ternarize : public ::testing::TestWithParam<Path> {};

TEST_P(Ternarize, GradientsOfTheWorkedExample) {
  const at::Tensor scales = row({1.25F, 0.75F});
  const at::Tensor threshold = ratio_threshold(row(kLatent), 0.125, GetParam());
  EXPECT_EQ(threshold.item<float>(), 0.125F);
  const TernaryGradient found = ternary_gradient(row(kLatent), scales, threshold, row(kGradient), LatentGradient::scaled, GetParam());
  EXPECT_THAT(tensor_values(found.scales), ElementsAre(0.125F, -0.25F));
  EXPECT_THAT(tensor_values(found.latent), ElementsAre(0.625F, -0.1875F, 0.125F, 0.25F, -0.46875F, 0.375F, 0.625F, -0.75F));
  // (T8), exactly
  const at::Tensor values = ternary_weights(row(kLatent), scales, threshold, LatentGradient::scaled, GetParam());
  EXPECT_EQ((scales * found.scales).sum().item<float>(), -0.03125F);
  EXPECT_EQ((values * row(kGradient)).sum().item<float>(), -0.03125F);
  // Finite differences of <g, w^t> in Wp and Wn: the printed sign of (T6) would give +0.25.
  for (const std::int64_t which : {0, 1}) {
    const auto at_offset = [&](float offset) {
      at::Tensor moved = scales.clone();
      float_span(moved)[static_cast<std::size_t>(which)] += offset;
      return (ternary_weights(row(kLatent), moved, threshold, LatentGradient::scaled, GetParam()) * row(kGradient)).sum().item<float>();
    };
    EXPECT_EQ((at_offset(0x1p-10F) - at_offset(-0x1p-10F)) / 0x1p-9F, found.scales[which].item<float>());
  }
  const TernaryGradient through =
      ternary_gradient(row(kLatent), scales, threshold, row(kGradient), LatentGradient::straight_through, GetParam());
  EXPECT_EQ(tensor_values(through.latent), kGradient);
}

TEST_P(Ternarize, BaselineOfTheWorkedExample) {  // (T13)
  const TwnFit fit = twn_fit(row(kLatent), GetParam());
  EXPECT_FLOAT_EQ(fit.threshold.item<float>(), 0.248828125F);
  EXPECT_THAT(tensor_values(fit.scales), ElementsAre(0.625F, 0.625F));
  EXPECT_THAT(tensor_values(twn_fit(row({0.0F, -0.0F}), GetParam()).scales), ElementsAre(1.0F, 1.0F));
}

// (T3) by brute force on 10^6 values; every value is one of three, with the sign of its weight.
TEST_P(Ternarize, AMillionWeightsByBruteForce) {
  constexpr std::size_t kCount = 1'000'003;  // no multiple of a chunk or of the lanes
  std::vector<float> values = normal_values(kCount);
  const float largest = std::abs(*std::ranges::max_element(values, {}, [](float v) { return std::abs(v); }));
  const auto need = static_cast<float>(0.05 * static_cast<double>(largest));
  values[17] = need;  // exactly at the threshold: zero
  values[18] = -need;
  values[19] = std::nextafter(need, 1.0F);
  values[20] = -std::nextafter(need, 1.0F);
  const at::Tensor threshold = ratio_threshold(row(values), 0.05, GetParam());
  ASSERT_EQ(threshold.item<float>(), need);
  ASSERT_EQ(threshold.item<float>(), Ternary::threshold_for_ratio(values, 0.05));
  const std::vector<float> found =
      tensor_values(ternary_weights(row(values), row({0.3F, 0.7F}), threshold, LatentGradient::scaled, GetParam()));
  for (std::size_t i = 0; i < kCount; ++i) {
    const float expected = values[i] > need ? 0.3F : values[i] < -need ? -0.7F : 0.0F;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(found[i]), std::bit_cast<std::uint32_t>(expected)) << i << ": " << values[i];
  }
  // A power of two in front changes no code (the threshold scales exactly, too).
  std::vector<float> scaled = values;
  for (float& value : scaled) value *= 0x1p-7F;
  const at::Tensor lower = ratio_threshold(row(scaled), 0.05, GetParam());
  EXPECT_EQ(tensor_values(ternary_weights(row(scaled), row({0.3F, 0.7F}), lower, LatentGradient::scaled, GetParam())), found);
}

// A million float32 terms summed in double: each addition errs by at most 2^-53 of the partial sum's size, the whole by less than
// 10^6 * 2^-53 * sum |g| < 2^-33 sum |g|; then one rounding to float32. In float32 alone the bound would be 2^29 times as large.
TEST_P(Ternarize, ScaleGradientsAreSumsInDouble) {
  constexpr std::size_t kCount = 1'000'003;
  const std::vector<float> values = normal_values(kCount);
  std::vector<float> g = normal_values(kCount, 6);
  for (float& value : g) value += 1.0F;  // a sum of one sign: float32 accumulation would lose digits
  const at::Tensor threshold = ratio_threshold(row(values), 0.05);
  const float delta = threshold.item<float>();
  long double pos = 0.0L;
  long double neg = 0.0L;
  double size = 0.0;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (values[i] > delta) pos += static_cast<long double>(g[i]);
    if (values[i] < -delta) neg += static_cast<long double>(g[i]);
    size += std::abs(static_cast<double>(g[i]));
  }
  const TernaryGradient found = ternary_gradient(row(values), row({0.3F, 0.7F}), threshold, row(g), LatentGradient::scaled, GetParam());
  const std::vector<float> sums = tensor_values(found.scales);
  EXPECT_NEAR(sums[0], static_cast<double>(pos), 0x1p-24 * static_cast<double>(pos) + 0x1p-33 * size);
  EXPECT_NEAR(sums[1], static_cast<double>(-neg), 0x1p-24 * static_cast<double>(neg) + 0x1p-33 * size);
}

TEST_P(Ternarize, WhatIsNotFiniteBecomesNaN) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const at::Tensor latent = row({0.5F, bad, -0.25F, 0.0F});
    const at::Tensor threshold = ratio_threshold(latent, 0.05, GetParam());
    EXPECT_FALSE(std::isfinite(threshold.item<float>()));
    const at::Tensor values = ternary_weights(latent, row({1.0F, 1.0F}), threshold, LatentGradient::scaled, GetParam());
    EXPECT_TRUE(values.isnan().any().item<bool>()) << "a weight of " << bad << " went by unseen";
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, Ternarize, ::testing::Values(Path::automatic, Path::operators),
                         [](const auto& param) { return param.param == Path::automatic ? "Fused" : "Operators"; });

TEST(TernarizeThreads, ResultsDoNotDependOnThreads) {
  const std::vector<float> values = normal_values(100'003);
  const std::vector<float> g = normal_values(100'003, 6);
  std::vector<std::vector<float>> found;
  for (const int threads : {1, 2, 8}) {
    at::set_num_threads(threads);
    const at::Tensor threshold = ratio_threshold(row(values), 0.05);
    const TernaryGradient gradient = ternary_gradient(row(values), row({0.3F, 0.7F}), threshold, row(g), LatentGradient::scaled);
    const TwnFit fit = twn_fit(row(values));
    found.push_back(tensor_values(at::cat({gradient.latent, gradient.scales, fit.scales, fit.threshold.reshape({1})})));
  }
  at::set_num_threads(1);
  EXPECT_EQ(found[0], found[1]);
  EXPECT_EQ(found[0], found[2]);
}

}  // namespace
}  // namespace bitwright::ttq
