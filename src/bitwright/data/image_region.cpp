// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_region.h"

#include "bitwright/core/assert.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bitwright {
namespace {

constexpr double kMiddleShare = 7.0 / 8.0;
constexpr double kLeastRatio = 3.0 / 4.0;
constexpr double kLargestRatio = 4.0 / 3.0;
constexpr std::uint64_t kTries = 10;
constexpr double kWord = 0x1.0p-32;

/// The largest middle part with a ratio of width to height, times a share of each extent.
Region middle_part(double width, double height, double ratio, double share) {
  const double part_width = std::min(width, height * ratio) * share;
  const double part_height = std::min(height, width / ratio) * share;
  return {(width - part_width) / 2.0, (height - part_height) / 2.0, part_width, part_height};
}

/// For each target position the source pixels that it reads, and with what weights: `width` of them from `first` on.
struct Taps {
  std::size_t width = 0;
  std::vector<std::size_t> first;
  std::vector<float> weights;  ///< target by target
};

Taps make_taps(double begin, double extent, std::int64_t source_count, std::int64_t target_count) {
  const double step = extent / static_cast<double>(target_count);
  const double half = std::max(step, 1.0);
  const auto source = static_cast<std::size_t>(source_count);
  Taps taps;
  taps.width = std::min(source, static_cast<std::size_t>(std::ceil(2.0 * half)) + 1);
  std::vector<double> weights(taps.width);
  for (std::int64_t target = 0; target < target_count; ++target) {
    const double center = begin + (static_cast<double>(target) + 0.5) * step;
    const auto first = static_cast<std::size_t>(std::clamp(std::floor(center - half), 0.0, static_cast<double>(source - taps.width)));
    double sum = 0.0;
    for (std::size_t tap = 0; tap < taps.width; ++tap) {
      weights[tap] = std::max(0.0, 1.0 - std::abs(static_cast<double>(first + tap) + 0.5 - center) / half);
      sum += weights[tap];
    }
    taps.first.push_back(first);
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  }
  return taps;
}

}  // namespace

Region middle_region(std::int64_t width, std::int64_t height, const Shape& shape) {
  const double ratio = static_cast<double>(shape[2]) / static_cast<double>(shape[1]);
  return middle_part(static_cast<double>(width), static_cast<double>(height), ratio, kMiddleShare);
}

Region random_region(std::int64_t width, std::int64_t height, double min_area, const Rng& draws, std::int64_t sample) {
  BITWRIGHT_ASSERT(min_area > 0.0 && min_area <= 1.0);
  const auto columns = static_cast<double>(width);
  const auto rows = static_cast<double>(height);
  for (std::uint64_t attempt = 0; attempt < kTries; ++attempt) {
    const std::array<std::uint32_t, 4> words = draws.block(static_cast<std::uint64_t>(sample) * kTries + attempt);
    const double area = columns * rows * (min_area + (1.0 - min_area) * words[0] * kWord);
    const double ratio = kLeastRatio * std::pow(kLargestRatio / kLeastRatio, words[1] * kWord);
    const double part_width = std::sqrt(area * ratio);
    const double part_height = std::sqrt(area / ratio);
    if (part_width > columns || part_height > rows) continue;
    return {(columns - part_width) * (words[2] * kWord), (rows - part_height) * (words[3] * kWord), part_width, part_height};
  }
  return middle_part(columns, rows, std::clamp(columns / rows, kLeastRatio, kLargestRatio), 1.0);
}

void resample(const InterleavedImage& image, const Region& region, const Shape& shape, std::span<std::uint8_t> dst) {
  const auto channels = static_cast<std::size_t>(image.channels);
  const auto rows = static_cast<std::size_t>(shape[1]);
  const auto columns = static_cast<std::size_t>(shape[2]);
  BITWRIGHT_ASSERT(shape[0] == image.channels && dst.size() == channels * rows * columns);
  const Taps across = make_taps(region.left, region.width, image.width, shape[2]);
  const Taps down = make_taps(region.top, region.height, image.height, shape[1]);

  // Rows first, and only those that some output row reads; they lie as planes, so that the second pass runs along whole rows.
  const std::size_t first_row = down.first.front();
  const std::size_t row_count = down.first.back() + down.width - first_row;
  const std::size_t plane = row_count * columns;
  std::vector<float> narrowed(channels * plane);
  for (std::size_t row = 0; row < row_count; ++row) {
    const std::uint8_t* const src = image.pixels.data() + (first_row + row) * static_cast<std::size_t>(image.width) * channels;
    for (std::size_t x = 0; x < columns; ++x) {
      const float* const weights = across.weights.data() + x * across.width;
      std::array<float, 3> sums{};
      const std::uint8_t* pixel = src + across.first[x] * channels;
      for (std::size_t tap = 0; tap < across.width; ++tap, pixel += channels) {
        for (std::size_t channel = 0; channel < channels; ++channel) sums[channel] += weights[tap] * static_cast<float>(pixel[channel]);
      }
      for (std::size_t channel = 0; channel < channels; ++channel) narrowed[channel * plane + row * columns + x] = sums[channel];
    }
  }
  std::vector<float> sums(columns);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    for (std::size_t y = 0; y < rows; ++y) {
      std::ranges::fill(sums, 0.5F);
      const float* const weights = down.weights.data() + y * down.width;
      for (std::size_t tap = 0; tap < down.width; ++tap) {
        const float* const src = narrowed.data() + channel * plane + (down.first[y] - first_row + tap) * columns;
        for (std::size_t x = 0; x < columns; ++x) sums[x] += weights[tap] * src[x];
      }
      std::uint8_t* const out = dst.data() + (channel * rows + y) * columns;
      for (std::size_t x = 0; x < columns; ++x) out[x] = static_cast<std::uint8_t>(std::clamp(sums[x], 0.0F, 255.0F));
    }
  }
}

}  // namespace bitwright
