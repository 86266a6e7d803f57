// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/data/dataset.h"
#include "bitwright/data/loader.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// Where an augmented image is cut out and whether it is mirrored.
struct Placement {
  int down = 0;           ///< rows, -pad_crop to pad_crop: output row y is input row y + down
  int right = 0;          ///< columns likewise
  bool mirrored = false;  ///< after cutting
};

/// The draw for one sample in one epoch; it depends on (seed, epoch, sample) only.
[[nodiscard]] Placement draw_placement(const Augmentation& augmentation, const Rng& epoch_rng, std::int64_t sample) noexcept;

/// Turns samples into normalized floats: (pixel / 255 - mean) / std, computed in double and rounded once, from a table per channel.
class BatchPreparer {
 public:
  /// Throws: `Error(usage)` on a mean or std of wrong length, a std that is not positive, a negative padding or a probability outside [0,
  /// 1].
  BatchPreparer(const Dataset& dataset, const LoaderOptions& options);

  [[nodiscard]] std::size_t pixel_count() const noexcept { return pixel_count_; }

  /// Fills images and labels of the samples that `batch.indices` names. `pixels` is scratch of `pixel_count()`.
  void fill(Batch& batch, std::int64_t epoch, std::span<std::uint8_t> pixels) const;

 private:
  void place(std::span<const std::uint8_t> pixels, const Placement& placement, std::span<float> image) const noexcept;

  const Dataset& dataset_;
  Augmentation augmentation_;
  Rng rng_;
  int channels_;
  int rows_;
  int columns_;
  std::size_t pixel_count_;
  std::vector<std::array<float, 256>> tables_;  ///< per channel
};

}  // namespace bitwright
