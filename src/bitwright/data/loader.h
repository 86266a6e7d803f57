// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// Changes drawn anew for every (seed, epoch, sample).
struct Augmentation {
  int pad_crop = 0;               ///< pad by this many zero pixels on each side, then crop the original size at random
  double flip_probability = 0.0;  ///< mirror left-right
  double random_crop = 0.0;       ///< scale a random part of at least this share of the area to the whole (`random_region`); 0: no
  friend bool operator==(const Augmentation&, const Augmentation&) = default;
};

struct LoaderOptions {
  std::int64_t batch = 64;
  std::uint64_t seed = 1;
  int workers = 1;  ///< threads that decode and augment; the batches are the same for any number
  Augmentation augmentation;
  std::vector<float> mean, std;  ///< per channel, on pixels / 255; empty = 0 / 1
  enum class Order { shuffled, as_stored } order = Order::shuffled;
  enum class LastBatch { keep, drop } last_batch = LastBatch::keep;
};

/// One batch, ready for a network. Padded pixels get the value of pixel 0 after normalization.
struct Batch {
  std::vector<float> images;  ///< NCHW
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> indices;  ///< of the samples in the data set
  std::int64_t size = 0;
};

/// Delivers batches in a deterministic order, prepared ahead by worker threads.
///
/// Order and augmentation depend on (seed, epoch, sample) only: same batches for any number of workers and after seeking.
class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  [[nodiscard]] std::int64_t batches_per_epoch() const noexcept;
  /// Goes to a batch of an epoch; the next `next()` delivers it.
  void seek(std::int64_t epoch, std::int64_t batch_index);
  /// The next batch; runs on into the following epoch. The reference is good until the next call.
  /// Throws: what the data set's `read` threw.
  const Batch& next();

  /// Sample order of one epoch (a Fisher-Yates shuffle drawn from `Rng(seed, "data_order", epoch)`).
  [[nodiscard]] std::vector<std::int64_t> epoch_order(std::int64_t epoch) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitwright
