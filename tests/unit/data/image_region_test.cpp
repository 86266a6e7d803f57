// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_region.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

const Shape kShape{3, 224, 224};

TEST(MiddleRegion, IsSevenEighthsOfTheLargestMiddlePart) {
  EXPECT_EQ(middle_region(400, 320, kShape), (Region{60.0, 20.0, 280.0, 280.0}));
  EXPECT_EQ(middle_region(320, 400, kShape), (Region{20.0, 60.0, 280.0, 280.0}));
  EXPECT_EQ(middle_region(400, 400, Shape{3, 100, 200}), (Region{25.0, 112.5, 350.0, 175.0}));
}

TEST(RandomRegion, KeepsAreaProportionsAndBorders) {
  const Rng draws(1, "draws", 3);
  double least = 1.0;
  double largest = 0.0;
  for (std::int64_t sample = 0; sample < 2000; ++sample) {
    const Region region = random_region(500, 375, 0.08, draws, sample);
    EXPECT_GE(region.left, 0.0);
    EXPECT_GE(region.top, 0.0);
    EXPECT_LE(region.left + region.width, 500.0 + 1e-9);
    EXPECT_LE(region.top + region.height, 375.0 + 1e-9);
    const double share = region.width * region.height / (500.0 * 375.0);
    // The area is a product of two square roots, each off by 2^-53 of itself at most.
    EXPECT_GE(share, 0.08 * (1.0 - 1e-12));
    EXPECT_GE(region.width / region.height, 0.75 * (1.0 - 1e-12));
    EXPECT_LE(region.width / region.height, 4.0 / 3.0 * (1.0 + 1e-12));
    least = std::min(least, share);
    largest = std::max(largest, share);
  }
  // 2000 even draws miss the lowest or highest 1 % of the range with a probability of 0.99^2000 < 2e-9 each; from the top, only draws whose
  // proportions fit count: those with ratios near 4/3, some tenth of them at 95 % of the area.
  EXPECT_LT(least, 0.09);
  EXPECT_GT(largest, 0.95);
}

TEST(RandomRegion, DependsOnStreamAndSampleOnly) {
  const Rng draws(1, "draws", 3);
  EXPECT_EQ(random_region(500, 375, 0.5, draws, 7), random_region(500, 375, 0.5, draws, 7));
  EXPECT_NE(random_region(500, 375, 0.5, draws, 7), random_region(500, 375, 0.5, draws, 8));
  EXPECT_NE(random_region(500, 375, 0.5, draws, 7), random_region(500, 375, 0.5, draws.at_step(4), 7));
}

TEST(RandomRegion, AnImageWithoutRoomForTheProportionsGivesItsMiddle) {
  // The whole area of a stripe of 1000x12 in proportions of at most 4/3 would be over 94 rows high.
  const Region region = random_region(1000, 12, 1.0, Rng(1, "draws"), 0);
  EXPECT_EQ(region, (Region{492.0, 0.0, 16.0, 12.0}));
}

InterleavedImage noise_image(std::int64_t width, std::int64_t height, std::int64_t channels) {
  InterleavedImage image{width, height, channels, {}};
  const Rng rng(5, "pixels");
  for (std::int64_t i = 0; i < width * height * channels; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(rng.below(static_cast<std::uint64_t>(i), 256)));
  }
  return image;
}

std::vector<std::uint8_t> resampled(const InterleavedImage& image, const Region& region, const Shape& shape) {
  std::vector<std::uint8_t> dst(static_cast<std::size_t>(shape.element_count()));
  resample(image, region, shape, dst);
  return dst;
}

TEST(Resample, TheWholeAtItsOwnSizeIsTheImage) {
  const InterleavedImage image = noise_image(9, 7, 3);
  const std::vector<std::uint8_t> dst = resampled(image, {0.0, 0.0, 9.0, 7.0}, {3, 7, 9});
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t i = 0; i < 63; ++i) EXPECT_EQ(dst[channel * 63 + i], image.pixels[i * 3 + channel]);
  }
}

/// Weights of the source pixels for one target position: a triangle around its center, by the definition.
std::vector<double> triangle_weights(double begin, double extent, std::int64_t source_count, std::int64_t target_count,
                                     std::int64_t target) {
  const double step = extent / static_cast<double>(target_count);
  const double half = std::max(step, 1.0);
  const double center = begin + (static_cast<double>(target) + 0.5) * step;
  std::vector<double> weights(static_cast<std::size_t>(source_count));
  double sum = 0.0;
  for (std::int64_t pixel = 0; pixel < source_count; ++pixel) {
    const double weight = std::max(0.0, 1.0 - std::abs(static_cast<double>(pixel) + 0.5 - center) / half);
    weights[static_cast<std::size_t>(pixel)] = weight;
    sum += weight;
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

TEST(Resample, IsTheTriangleFilterOfTheDefinition) {
  const InterleavedImage image = noise_image(40, 30, 1);
  for (const Region& region : {Region{0, 0, 40, 30}, Region{4, 3, 24, 20}, Region{7.25, 5.5, 9, 6.75}}) {
    const Shape shape{1, 12, 14};
    const std::vector<std::uint8_t> dst = resampled(image, region, shape);
    for (std::int64_t y = 0; y < 12; ++y) {
      const std::vector<double> down = triangle_weights(region.top, region.height, 30, 12, y);
      for (std::int64_t x = 0; x < 14; ++x) {
        const std::vector<double> across = triangle_weights(region.left, region.width, 40, 14, x);
        double value = 0.0;
        for (std::size_t i = 0; i < 30; ++i) {
          for (std::size_t j = 0; j < 40; ++j) value += down[i] * across[j] * image.pixels[i * 40 + j];
        }
        // Half a level of rounding, and less than 100 float operations on values of at most 256, each off by 2^-24 of them.
        EXPECT_NEAR(dst[static_cast<std::size_t>(y * 14 + x)], value, 0.5 + 100 * 256 * 0x1.0p-24) << y << ' ' << x << ' ' << region.width;
      }
    }
  }
}

}  // namespace
}  // namespace bitwright
