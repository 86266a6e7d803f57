// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_batch.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// The word scaled to [0, bound): off from uniform by less than bound * 2^-32.
int scaled(std::uint32_t word, int bound) {
  return static_cast<int>((static_cast<std::uint64_t>(word) * static_cast<std::uint64_t>(bound)) >> 32);
}

}  // namespace

Placement draw_placement(const Augmentation& augmentation, const Rng& epoch_rng, std::int64_t sample) noexcept {
  const std::array<std::uint32_t, 4> words = epoch_rng.block(static_cast<std::uint64_t>(sample));
  const int pad = augmentation.pad_crop;
  constexpr double kTwoTo32 = 4294967296.0;
  return {.down = scaled(words[0], 2 * pad + 1) - pad,
          .right = scaled(words[1], 2 * pad + 1) - pad,
          .mirrored = words[2] < augmentation.flip_probability * kTwoTo32};
}

BatchPreparer::BatchPreparer(const Dataset& dataset, const LoaderOptions& options)
    : dataset_(dataset), augmentation_(options.augmentation), rng_(options.seed, "augmentation") {
  const Shape& shape = dataset.image_shape();
  BITWRIGHT_ASSERT(shape.rank() == 3);
  channels_ = static_cast<int>(shape[0]);
  rows_ = static_cast<int>(shape[1]);
  columns_ = static_cast<int>(shape[2]);
  pixel_count_ = static_cast<std::size_t>(shape.element_count());

  const auto channels = static_cast<std::size_t>(channels_);
  for (const auto& [name, values] : {std::pair{"mean", &options.mean}, std::pair{"std", &options.std}}) {
    if (!values->empty() && values->size() != channels) {
      fail(ErrorCode::usage, "{}: wrong number of values in {} (found {}, need {}); write one per channel.", dataset.name(), name,
           values->size(), channels);
    }
  }
  if (augmentation_.pad_crop < 0 || augmentation_.pad_crop > std::max(rows_, columns_)) {
    fail(ErrorCode::usage, "{}: wrong padding (found {}, need 0 to {}); change pad_crop.", dataset.name(), augmentation_.pad_crop,
         std::max(rows_, columns_));
  }
  if (!(augmentation_.flip_probability >= 0.0 && augmentation_.flip_probability <= 1.0)) {
    fail(ErrorCode::usage, "{}: wrong flip probability (found {}, need 0 to 1); change flip_probability.", dataset.name(),
         augmentation_.flip_probability);
  }
  if (!(augmentation_.random_crop >= 0.0 && augmentation_.random_crop <= 1.0)) {
    fail(ErrorCode::usage, "{}: wrong share of the area (found {}, need 0 to 1); change random_crop.", dataset.name(),
         augmentation_.random_crop);
  }
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const double mean = options.mean.empty() ? 0.0 : options.mean[channel];
    const double std = options.std.empty() ? 1.0 : options.std[channel];
    if (!std::isfinite(mean) || !std::isfinite(std) || std <= 0.0) {
      fail(ErrorCode::usage, "{}: wrong normalization of channel {} (found mean {}, std {}; need finite values, std above 0); change them.",
           dataset.name(), channel, mean, std);
    }
    std::array<float, 256>& table = tables_.emplace_back();
    for (std::size_t pixel = 0; pixel < table.size(); ++pixel) {
      table[pixel] = static_cast<float>((static_cast<double>(pixel) / 255.0 - mean) / std);
    }
  }
}

void BatchPreparer::fill(Batch& batch, std::int64_t epoch, std::span<std::uint8_t> pixels) const {
  const bool augmented = augmentation_ != Augmentation{};
  const Rng epoch_rng = rng_.at_step(static_cast<std::uint64_t>(epoch));
  const Rng crop_rng = epoch_rng.split("random_crop");
  batch.images.resize(batch.indices.size() * pixel_count_);
  batch.labels.resize(batch.indices.size());
  for (std::size_t i = 0; i < batch.indices.size(); ++i) {
    const std::int64_t sample = batch.indices[i];
    batch.labels[i] = augmentation_.random_crop > 0.0
                          ? dataset_.read_random_crop(sample, augmentation_.random_crop, crop_rng, sample, pixels)
                          : dataset_.read(sample, pixels);
    const std::span<float> image = std::span(batch.images).subspan(i * pixel_count_, pixel_count_);
    place(pixels, augmented ? draw_placement(augmentation_, epoch_rng, sample) : Placement{}, image);
  }
}

void BatchPreparer::place(std::span<const std::uint8_t> pixels, const Placement& placement, std::span<float> image) const noexcept {
  const int plane = rows_ * columns_;
  // The columns of a row that come from inside the input; the others are padding.
  const int first = std::clamp(-placement.right, 0, columns_);
  const int last = std::clamp(columns_ - placement.right, first, columns_);
  for (int channel = 0; channel < channels_; ++channel) {
    const std::array<float, 256>& table = tables_[static_cast<std::size_t>(channel)];
    for (int y = 0; y < rows_; ++y) {
      float* const out = image.data() + channel * plane + y * columns_;
      const int source_row = y + placement.down;
      if (source_row < 0 || source_row >= rows_) {
        std::fill(out, out + columns_, table[0]);
        continue;
      }
      const std::ptrdiff_t begin = channel * plane + source_row * columns_ + placement.right;
      std::fill(out, out + first, table[0]);
      for (int x = first; x < last; ++x) out[x] = table[pixels[static_cast<std::size_t>(begin + x)]];
      std::fill(out + last, out + columns_, table[0]);
      if (placement.mirrored) std::reverse(out, out + columns_);
    }
  }
}

}  // namespace bitwright
