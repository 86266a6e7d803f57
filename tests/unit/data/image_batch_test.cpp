// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_batch.h"

#include "tests/support/expect_error.h"
#include "tests/unit/data/data_test_support.h"

#include <gtest/gtest.h>

#include <map>

namespace bitwright {
namespace {

using test::expect_error;

/// One image of 1x3x4 with pixels 1 to 12.
class OneImage final : public Dataset {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "one"; }
  [[nodiscard]] std::int64_t size() const noexcept override { return 1000; }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return shape_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return class_names_; }
  int read(std::int64_t, std::span<std::uint8_t> pixels) const override {
    for (std::size_t p = 0; p < pixels.size(); ++p) pixels[p] = static_cast<std::uint8_t>(p + 1);
    return 0;
  }

 private:
  Shape shape_{1, 3, 4};
  std::vector<std::string> class_names_{"a"};
};

Batch filled(const LoaderOptions& options, std::vector<std::int64_t> samples, std::int64_t epoch) {
  const OneImage dataset;
  const BatchPreparer preparer(dataset, options);
  std::vector<std::uint8_t> pixels(preparer.pixel_count());
  Batch batch;
  batch.indices = std::move(samples);
  batch.size = static_cast<std::int64_t>(batch.indices.size());
  preparer.fill(batch, epoch, pixels);
  return batch;
}

TEST(BatchPreparerTest, NormalizesEachPixelWithOneRounding) {
  LoaderOptions options;
  options.mean = {0.1307F};
  options.std = {0.3081F};
  const Batch batch = filled(options, {0}, 0);
  for (int p = 0; p < 12; ++p) {
    const double exact = ((p + 1) / 255.0 - static_cast<double>(0.1307F)) / static_cast<double>(0.3081F);
    EXPECT_EQ(batch.images[static_cast<std::size_t>(p)], static_cast<float>(exact));
  }
}

TEST(BatchPreparerTest, WithoutMeanAndStdPixelsAreFractions) {
  const Batch batch = filled({}, {0}, 0);
  for (int p = 0; p < 12; ++p) EXPECT_EQ(batch.images[static_cast<std::size_t>(p)], static_cast<float>((p + 1) / 255.0));
}

// Every augmented image must be one of the crops of the padded image, mirrored or not, written out here by plain indexing.
TEST(BatchPreparerTest, AugmentedImagesAreTheDrawnCrops) {
  LoaderOptions options;
  options.seed = 9;
  options.augmentation = {.pad_crop = 2, .flip_probability = 0.5};
  options.mean = {0.5F};
  const float padding = -0.5F;
  std::vector<std::int64_t> samples(200);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<std::int64_t>(i);
  const Batch batch = filled(options, samples, 3);
  const Rng rng = Rng(9, "augmentation").at_step(3);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Placement placement = draw_placement(options.augmentation, rng, samples[i]);
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < 4; ++x) {
        const int row = y + placement.down;
        const int column = (placement.mirrored ? 3 - x : x) + placement.right;
        const bool inside = row >= 0 && row < 3 && column >= 0 && column < 4;
        const float need = inside ? static_cast<float>((row * 4 + column + 1) / 255.0 - 0.5) : padding;
        EXPECT_EQ(batch.images[i * 12 + static_cast<std::size_t>(y * 4 + x)], need) << i << " " << y << " " << x;
      }
    }
  }
}

TEST(BatchPreparerTest, AlwaysMirroredIsMirrored) {
  LoaderOptions options;
  options.augmentation = {.pad_crop = 0, .flip_probability = 1.0};
  const Batch batch = filled(options, {0}, 0);
  for (int y = 0; y < 3; ++y) {
    for (int x = 0; x < 4; ++x) {
      EXPECT_EQ(batch.images[static_cast<std::size_t>(y * 4 + x)], static_cast<float>((y * 4 + (3 - x) + 1) / 255.0));
    }
  }
}

TEST(PlacementTest, IsDrawnAnewForEverySampleAndEpoch) {
  const Augmentation augmentation{.pad_crop = 4, .flip_probability = 0.5};
  const Rng rng(1, "augmentation");
  const auto key = [&](std::uint64_t epoch, std::int64_t sample) {
    const Placement placement = draw_placement(augmentation, rng.at_step(epoch), sample);
    return std::tuple(placement.down, placement.right, placement.mirrored);
  };
  int same_epoch = 0;
  int same_sample = 0;
  for (int i = 0; i < 1000; ++i) {
    same_epoch += key(0, i) == key(1, i) ? 1 : 0;
    same_sample += key(0, i) == key(0, i + 1) ? 1 : 0;
  }
  // Two independent draws agree with probability 1/162: mean 6.2, sigma = sqrt(1000 / 162) = 2.5; 5 sigma above the mean is 18.7.
  EXPECT_LE(same_epoch, 18);
  EXPECT_LE(same_sample, 18);
}

// 20,000 draws. Each of 5 offsets has probability 1/5: mean 4000, sigma = sqrt(20000 * 0.2 * 0.8) = 56.6; 5 sigma = 283.
// Mirrored with probability 0.3: mean 6000, sigma = sqrt(20000 * 0.3 * 0.7) = 64.8; 5 sigma = 324.
TEST(PlacementTest, OffsetsAndMirroringHaveTheirProbabilities) {
  const Augmentation augmentation{.pad_crop = 2, .flip_probability = 0.3};
  const Rng rng(3, "augmentation");
  std::map<int, int> down;
  std::map<int, int> right;
  int mirrored = 0;
  for (int i = 0; i < 20000; ++i) {
    const Placement placement = draw_placement(augmentation, rng, i);
    ++down[placement.down];
    ++right[placement.right];
    mirrored += placement.mirrored ? 1 : 0;
  }
  ASSERT_EQ(down.size(), 5U);
  ASSERT_EQ(right.size(), 5U);
  for (int offset = -2; offset <= 2; ++offset) {
    EXPECT_NEAR(down[offset], 4000, 283);
    EXPECT_NEAR(right[offset], 4000, 283);
  }
  EXPECT_NEAR(mirrored, 6000, 324);
}

TEST(BatchPreparerTest, RefusesOptionsThatMakeNoSense) {
  const OneImage dataset;
  const auto preparing = [&](const LoaderOptions& options) {
    return [&dataset, options] { const BatchPreparer preparer(dataset, options); };
  };
  LoaderOptions options;
  options.mean = {0.1F, 0.2F};
  expect_error(ErrorCode::usage, "one: wrong number of values in mean (found 2, need 1); write one per channel.", preparing(options));
  options = {};
  options.std = {0.1F, 0.2F, 0.3F};
  expect_error(ErrorCode::usage, "one: wrong number of values in std (found 3, need 1); write one per channel.", preparing(options));
  options.std = {0.0F};
  expect_error(ErrorCode::usage,
               "one: wrong normalization of channel 0 (found mean 0, std 0; need finite values, std above 0); change them.",
               preparing(options));
  options = {};
  options.augmentation.pad_crop = -1;
  expect_error(ErrorCode::usage, "one: wrong padding (found -1, need 0 to 4); change pad_crop.", preparing(options));
  options.augmentation = {.pad_crop = 0, .flip_probability = 1.5};
  expect_error(ErrorCode::usage, "one: wrong flip probability (found 1.5, need 0 to 1); change flip_probability.", preparing(options));
}

}  // namespace
}  // namespace bitwright
