// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/loader.h"

#include "tests/support/expect_error.h"
#include "tests/unit/data/data_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

namespace bitwright {
namespace {

using test::expect_error;

/// Images of 2 channels of 4x5; pixel p of image i is (7 i + p) mod 256, the label i mod 3. Says how often it was read; may throw.
class CountingImages final : public Dataset {
 public:
  explicit CountingImages(std::int64_t size, std::int64_t damaged = -1) : size_(size), damaged_(damaged) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "counting"; }
  [[nodiscard]] std::int64_t size() const noexcept override { return size_; }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return shape_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return class_names_; }
  int read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    ++reads;
    if (index == damaged_) fail(ErrorCode::corrupt_file, "image {}: damaged (found x, need y); get it again.", index);
    for (std::size_t p = 0; p < pixels.size(); ++p) pixels[p] = static_cast<std::uint8_t>(7 * index + static_cast<std::int64_t>(p));
    return static_cast<int>(index % 3);
  }
  mutable std::atomic<int> reads{0};

 private:
  std::int64_t size_;
  std::int64_t damaged_;
  Shape shape_{2, 4, 5};
  std::vector<std::string> class_names_{"a", "b", "c"};
};

std::shared_ptr<const Dataset> images(std::int64_t size) { return std::make_shared<CountingImages>(size); }

LoaderOptions options(std::int64_t batch, int workers) {
  LoaderOptions options;
  options.batch = batch;
  options.workers = workers;
  options.seed = 5;
  options.augmentation = {.pad_crop = 2, .flip_probability = 0.5};
  options.mean = {0.5F, 0.25F};
  options.std = {0.25F, 0.5F};
  return options;
}

std::vector<Batch> take(Loader& loader, int count) {
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) batches.push_back(loader.next());
  return batches;
}

void expect_equal(const std::vector<Batch>& found, const std::vector<Batch>& need) {
  ASSERT_EQ(found.size(), need.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].size, need[i].size) << i;
    EXPECT_EQ(found[i].indices, need[i].indices) << i;
    EXPECT_EQ(found[i].labels, need[i].labels) << i;
    EXPECT_EQ(found[i].images, need[i].images) << i;
  }
}

TEST(LoaderTest, TheBatchesAreTheSameForAnyNumberOfWorkers) {
  Loader one(images(53), options(8, 1));
  const std::vector<Batch> need = take(one, 30);  // 4 epochs and a bit
  for (const int workers : {2, 3, 4, 9}) {
    Loader several(images(53), options(8, workers));
    expect_equal(take(several, 30), need);
  }
}

TEST(LoaderTest, SeekingGivesTheSameBatchesAsRunningThere) {
  Loader straight(images(53), options(8, 2));
  const std::vector<Batch> need = take(straight, 30);
  ASSERT_EQ(straight.batches_per_epoch(), 7);
  Loader seeking(images(53), options(8, 3));
  for (const int start : {25, 0, 7, 6, 13, 1, 2}) {
    seeking.seek(start / 7, start % 7);
    expect_equal(take(seeking, 4), {need.begin() + start, need.begin() + start + 4});
  }
  seeking.seek(0, 7);  // past the last batch is the first of the next epoch
  expect_equal(take(seeking, 1), {need[7]});
}

/// Waits (10 s at most) until so many images have been read, and a little longer to see that it stays at that.
void wait_for_reads(const CountingImages& dataset, int reads) {
  for (int i = 0; i < 10000 && dataset.reads < reads; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(dataset.reads, reads);
}

TEST(LoaderTest, PreparesOnlyAFewBatchesAhead) {
  const auto dataset = std::make_shared<CountingImages>(1000);
  LoaderOptions plain;
  plain.batch = 10;
  plain.workers = 2;
  Loader loader(dataset, plain);
  static_cast<void>(loader.next());
  wait_for_reads(*dataset, 4 * 10);  // the ring has workers + 2 slots
}

TEST(LoaderTest, SeekingToWhereItStandsKeepsWhatIsPrepared) {
  const auto dataset = std::make_shared<CountingImages>(64);
  LoaderOptions plain;
  plain.batch = 8;
  Loader loader(dataset, plain);
  static_cast<void>(take(loader, 8));
  // The batch delivered last keeps its slot, the other two of the ring are filled ahead.
  wait_for_reads(*dataset, (8 + 2) * 8);
  loader.seek(1, 0);
  static_cast<void>(take(loader, 8));
  wait_for_reads(*dataset, (16 + 2) * 8);
}

TEST(LoaderTest, EverySampleComesOncePerEpoch) {
  for (const int workers : {1, 4}) {
    Loader loader(images(53), options(8, workers));
    for (int epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::int64_t> seen;
      for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
        const Batch& batch = loader.next();
        EXPECT_EQ(batch.size, i == 6 ? 5 : 8);
        ASSERT_EQ(batch.indices.size(), static_cast<std::size_t>(batch.size));
        ASSERT_EQ(batch.labels.size(), static_cast<std::size_t>(batch.size));
        ASSERT_EQ(batch.images.size(), static_cast<std::size_t>(batch.size) * 40);
        for (std::size_t k = 0; k < batch.indices.size(); ++k) EXPECT_EQ(batch.labels[k], batch.indices[k] % 3);
        seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
      }
      EXPECT_EQ(seen, loader.epoch_order(epoch));
      std::sort(seen.begin(), seen.end());
      std::vector<std::int64_t> all(53);
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(seen, all);
    }
  }
}

TEST(LoaderTest, TheLastBatchCanBeDropped) {
  LoaderOptions dropping = options(8, 2);
  dropping.last_batch = LoaderOptions::LastBatch::drop;
  Loader loader(images(53), dropping);
  EXPECT_EQ(loader.batches_per_epoch(), 6);
  for (int i = 0; i < 13; ++i) EXPECT_EQ(loader.next().size, 8);
  Loader exact(images(48), dropping);
  EXPECT_EQ(exact.batches_per_epoch(), 6);
}

TEST(LoaderTest, StoredOrderIsTheDataSets) {
  LoaderOptions stored = options(8, 3);
  stored.order = LoaderOptions::Order::as_stored;
  Loader loader(images(20), stored);
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (const auto& [begin, size] : {std::pair{0, 8}, std::pair{8, 8}, std::pair{16, 4}}) {
      std::vector<std::int64_t> need(static_cast<std::size_t>(size));
      std::iota(need.begin(), need.end(), begin);
      EXPECT_EQ(loader.next().indices, need);
    }
  }
}

TEST(LoaderTest, TheOrderIsADifferentPermutationEachEpochAndSeed) {
  Loader loader(images(100), options(8, 1));
  LoaderOptions other = options(8, 1);
  other.seed = 6;
  Loader reseeded(images(100), other);
  EXPECT_NE(loader.epoch_order(0), loader.epoch_order(1));
  EXPECT_NE(loader.epoch_order(0), reseeded.epoch_order(0));
  EXPECT_EQ(loader.epoch_order(3), loader.epoch_order(3));
}

TEST(LoaderTest, TheOrderIsFrozen) {
  // A changed order would make every recorded run irreproducible.
  EXPECT_THAT(Loader(images(10), options(8, 1)).epoch_order(2), testing::ElementsAre(8, 5, 2, 6, 7, 4, 9, 3, 1, 0));
}

// Over 3000 epochs each of 4 samples is first with probability 1/4: mean 750, sigma = sqrt(3000 / 4 * 3 / 4) = 23.7; 5 sigma = 118.
TEST(LoaderTest, EverySampleIsFirstEquallyOften) {
  Loader loader(images(4), options(4, 1));
  std::array<int, 4> counts{};
  for (int epoch = 0; epoch < 3000; ++epoch) ++counts.at(static_cast<std::size_t>(loader.epoch_order(epoch)[0]));
  for (const int count : counts) EXPECT_NEAR(count, 750, 118);
}

TEST(LoaderTest, AugmentationDependsOnSampleAndEpochOnly) {
  // The same sample in batches of different size, place and stored order.
  Loader small(images(53), options(3, 2));
  LoaderOptions stored = options(16, 1);
  stored.order = LoaderOptions::Order::as_stored;
  Loader large(images(53), stored);
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<std::vector<float>> by_sample(53);
    for (std::int64_t i = 0; i < large.batches_per_epoch(); ++i) {
      const Batch& batch = large.next();
      for (std::size_t k = 0; k < batch.indices.size(); ++k) {
        const auto begin = batch.images.begin() + static_cast<std::ptrdiff_t>(k * 40);
        by_sample[static_cast<std::size_t>(batch.indices[k])] = {begin, begin + 40};
      }
    }
    for (std::int64_t i = 0; i < small.batches_per_epoch(); ++i) {
      const Batch& batch = small.next();
      for (std::size_t k = 0; k < batch.indices.size(); ++k) {
        const auto begin = batch.images.begin() + static_cast<std::ptrdiff_t>(k * 40);
        EXPECT_EQ(by_sample[static_cast<std::size_t>(batch.indices[k])], std::vector<float>(begin, begin + 40));
      }
    }
  }
}

TEST(LoaderTest, AWorkersErrorComesOutWhereItsBatchIsDue) {
  const auto dataset = std::make_shared<CountingImages>(40, 21);
  LoaderOptions stored;
  stored.batch = 10;
  stored.workers = 4;
  stored.order = LoaderOptions::Order::as_stored;
  Loader loader(dataset, stored);
  EXPECT_EQ(loader.next().indices[0], 0);
  EXPECT_EQ(loader.next().indices[0], 10);
  for (int attempt = 0; attempt < 2; ++attempt) {
    expect_error(ErrorCode::corrupt_file, "image 21: damaged (found x, need y); get it again.", [&] { static_cast<void>(loader.next()); });
  }
  loader.seek(0, 3);
  EXPECT_EQ(loader.next().indices[0], 30);
}

TEST(LoaderTest, MayBeDroppedAtAnyMoment) {
  for (int taken = 0; taken < 20; ++taken) {
    Loader loader(images(1000), options(4, 4));
    static_cast<void>(take(loader, taken));
  }
}

TEST(LoaderTest, RefusesWhatItCannotDeliver) {
  const auto loading = [](std::int64_t size, const LoaderOptions& wanted) {
    return [size, wanted] { const Loader loader(images(size), wanted); };
  };
  expect_error(ErrorCode::invalid_input, "counting: the data set is empty (found 0 images, need at least 1); choose another one.",
               loading(0, options(8, 1)));
  expect_error(ErrorCode::usage, "counting: wrong batch size for the loader (found 0, need at least 1); change the recipe.",
               loading(10, options(0, 1)));
  expect_error(ErrorCode::usage, "counting: wrong number of workers for the loader (found 0, need 1 to 256); change the recipe.",
               loading(10, options(8, 0)));
  LoaderOptions dropping = options(11, 1);
  dropping.last_batch = LoaderOptions::LastBatch::drop;
  expect_error(ErrorCode::usage,
               "counting: wrong batch size for the loader (found 11, need at most 10 when the last batch is dropped); change the recipe.",
               loading(10, dropping));
  Loader loader(images(10), options(4, 1));
  expect_error(ErrorCode::invalid_input,
               "counting: the loader can't go to epoch 0, batch 4 (need at least 0, at most 3 batches); start anew.",
               [&] { loader.seek(0, 4); });
  expect_error(ErrorCode::invalid_input,
               "counting: the loader can't go to epoch -1, batch 0 (need at least 0, at most 3 batches); start anew.",
               [&] { loader.seek(-1, 0); });
}

}  // namespace
}  // namespace bitwright
