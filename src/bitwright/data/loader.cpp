// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/loader.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/rng.h"
#include "bitwright/data/image_batch.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

namespace bitwright {
namespace {

constexpr int kMaxWorkers = 256;
constexpr std::size_t kKeptOrders = 4;

void check_options(const Dataset& dataset, const LoaderOptions& options) {
  const auto refuse = [&](std::string_view what, const auto& found, std::string_view need) {
    fail(ErrorCode::usage, "{}: wrong {} for the loader (found {}, need {}); change the recipe.", dataset.name(), what, found, need);
  };
  if (dataset.size() < 1) {
    fail(ErrorCode::invalid_input, "{}: the data set is empty (found 0 images, need at least 1); choose another one.", dataset.name());
  }
  if (options.batch < 1) refuse("batch size", options.batch, "at least 1");
  if (options.workers < 1 || options.workers > kMaxWorkers) refuse("number of workers", options.workers, "1 to 256");
  if (options.last_batch == LoaderOptions::LastBatch::drop && options.batch > dataset.size()) {
    refuse("batch size", options.batch, fmt::format("at most {} when the last batch is dropped", dataset.size()));
  }
}

}  // namespace

/// A ring of prepared batches.
///
/// Batches are numbered through all epochs (`sequence`). Workers take numbers in turn and fill the slot `sequence % slots`; a slot may be
/// filled again once the consumer has moved past it. What a batch holds depends on its number only, so the number of workers and
/// their speed can't show.
class Loader::Impl {
 public:
  Impl(std::shared_ptr<const Dataset> dataset, LoaderOptions options)
      : dataset_(std::move(dataset)), options_((check_options(*dataset_, options), std::move(options))), preparer_(*dataset_, options_) {
    const std::int64_t size = dataset_->size();
    const bool keep = options_.last_batch == LoaderOptions::LastBatch::keep;
    batches_per_epoch_ = keep ? (size - 1) / options_.batch + 1 : size / options_.batch;
    slots_.resize(static_cast<std::size_t>(options_.workers) + 2);
  }
  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] std::int64_t batches_per_epoch() const noexcept { return batches_per_epoch_; }

  void seek(std::int64_t epoch, std::int64_t batch_index) {
    if (epoch < 0 || batch_index < 0 || batch_index > batches_per_epoch_) {
      fail(ErrorCode::invalid_input, "{}: the loader can't go to epoch {}, batch {} (need at least 0, at most {} batches); start anew.",
           dataset_->name(), epoch, batch_index, batches_per_epoch_);
    }
    const std::int64_t target = epoch * batches_per_epoch_ + batch_index;
    if (target == position_) return;  // what is prepared already is right
    stop();
    position_ = next_ticket_ = first_held_ = target;
  }

  const Batch& next() {
    std::unique_lock lock(mutex_);
    first_held_ = position_;  // the caller is done with the batch before
    space_.notify_all();
    if (threads_.empty()) start();
    Slot& slot = slot_of(position_);
    filled_.wait(lock, [&] { return slot.sequence == position_; });
    if (slot.error) std::rethrow_exception(slot.error);
    ++position_;
    return slot.batch;
  }

  [[nodiscard]] std::vector<std::int64_t> epoch_order(std::int64_t epoch) const {
    std::vector<std::int64_t> order(static_cast<std::size_t>(dataset_->size()));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    if (options_.order == LoaderOptions::Order::as_stored) return order;
    const Rng rng(options_.seed, "data_order", static_cast<std::uint64_t>(epoch));
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[rng.below(i, i + 1)]);
    return order;
  }

 private:
  using Order = std::shared_ptr<const std::vector<std::int64_t>>;

  struct Slot {
    Batch batch;
    std::exception_ptr error;
    std::int64_t sequence = -1;  ///< of the batch that is ready here
  };

  [[nodiscard]] Slot& slot_of(std::int64_t sequence) { return slots_[static_cast<std::size_t>(sequence) % slots_.size()]; }

  void start() {
    try {
      for (int i = 0; i < options_.workers; ++i) threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    } catch (const std::system_error& error) {
      // One worker is enough to go on.
      if (threads_.empty()) {
        fail(ErrorCode::io, "{}: cannot start a thread to load images ({}); free some memory or processes.", dataset_->name(),
             error.what());
      }
    }
  }

  void stop() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();  // joins
    for (Slot& slot : slots_) {
      slot.sequence = -1;
      slot.error = nullptr;
    }
  }

  void work(const std::stop_token& stop) {
    std::vector<std::uint8_t> pixels(preparer_.pixel_count());
    while (true) {
      std::unique_lock lock(mutex_);
      space_.wait(lock, stop, [&] { return next_ticket_ < first_held_ + static_cast<std::int64_t>(slots_.size()); });
      if (stop.stop_requested()) return;
      const std::int64_t sequence = next_ticket_++;
      Slot& slot = slot_of(sequence);
      slot.error = nullptr;
      const std::int64_t epoch = sequence / batches_per_epoch_;
      try {
        const Order order = order_of(epoch);
        lock.unlock();
        prepare(slot.batch, *order, epoch, sequence % batches_per_epoch_, pixels);
      } catch (...) {
        slot.error = std::current_exception();
      }
      if (!lock.owns_lock()) lock.lock();
      slot.sequence = sequence;
      filled_.notify_all();
    }
  }

  /// Requires: the lock is held, so that an epoch's order is drawn once.
  [[nodiscard]] Order order_of(std::int64_t epoch) {
    for (const auto& [known_epoch, order] : orders_) {
      if (known_epoch == epoch || options_.order == LoaderOptions::Order::as_stored) return order;
    }
    orders_.emplace_back(epoch, std::make_shared<const std::vector<std::int64_t>>(epoch_order(epoch)));
    if (orders_.size() > kKeptOrders) orders_.pop_front();
    return orders_.back().second;
  }

  void prepare(Batch& batch, const std::vector<std::int64_t>& order, std::int64_t epoch, std::int64_t batch_index,
               std::vector<std::uint8_t>& pixels) const {
    const std::int64_t begin = batch_index * options_.batch;
    batch.size = std::min(options_.batch, dataset_->size() - begin);
    batch.indices.assign(order.begin() + begin, order.begin() + begin + batch.size);
    preparer_.fill(batch, epoch, pixels);
  }

  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
  BatchPreparer preparer_;
  std::int64_t batches_per_epoch_ = 0;

  std::mutex mutex_;
  std::condition_variable_any space_;
  std::condition_variable filled_;
  std::vector<Slot> slots_;
  std::deque<std::pair<std::int64_t, Order>> orders_;
  std::int64_t position_ = 0;     ///< sequence that `next()` delivers
  std::int64_t next_ticket_ = 0;  ///< sequence that the next free worker takes
  std::int64_t first_held_ = 0;   ///< slots of sequences before this one may be filled again
  std::vector<std::jthread> threads_;
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options) {
  BITWRIGHT_ASSERT(dataset != nullptr);
  impl_ = std::make_unique<Impl>(std::move(dataset), std::move(options));
}

Loader::~Loader() = default;

std::int64_t Loader::batches_per_epoch() const noexcept { return impl_->batches_per_epoch(); }

void Loader::seek(std::int64_t epoch, std::int64_t batch_index) { impl_->seek(epoch, batch_index); }

const Batch& Loader::next() { return impl_->next(); }

std::vector<std::int64_t> Loader::epoch_order(std::int64_t epoch) const { return impl_->epoch_order(epoch); }

}  // namespace bitwright
