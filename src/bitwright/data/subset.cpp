// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/rng.h"
#include "bitwright/data/dataset.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bitwright {
namespace {

class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices)
      : parent_(std::move(parent)), indices_(std::move(indices)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return parent_->name(); }
  [[nodiscard]] std::int64_t size() const noexcept override { return static_cast<std::int64_t>(indices_.size()); }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return parent_->image_shape(); }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return parent_->class_names(); }

  int read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    BITWRIGHT_ASSERT(index >= 0 && index < size());
    return parent_->read(indices_[static_cast<std::size_t>(index)], pixels);
  }

  int read_random_crop(std::int64_t index, double min_area, const Rng& draws, std::int64_t sample,
                       std::span<std::uint8_t> pixels) const override {
    BITWRIGHT_ASSERT(index >= 0 && index < size());
    return parent_->read_random_crop(indices_[static_cast<std::size_t>(index)], min_area, draws, sample, pixels);
  }

 private:
  std::shared_ptr<const Dataset> parent_;
  std::vector<std::int64_t> indices_;
};

}  // namespace

std::unique_ptr<Dataset> make_subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices) {
  BITWRIGHT_ASSERT(parent != nullptr);
  if (indices.empty()) {
    fail(ErrorCode::invalid_input, "{}: the subset is empty (found 0 images, need at least 1); choose at least one image.", parent->name());
  }
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= parent->size()) {
      fail(ErrorCode::invalid_input, "{}: the subset names an image that is not there (found {}, need 0 to {}); leave it out.",
           parent->name(), index, parent->size() - 1);
    }
  }
  return std::make_unique<Subset>(std::move(parent), std::move(indices));
}

HoldOut hold_out(std::int64_t size, std::int64_t held_out_count, std::uint64_t seed) {
  if (size < 1 || held_out_count < 0 || held_out_count >= size) {
    fail(ErrorCode::invalid_input, "hold-out: wrong number of held-out images (found {} of {}, need 0 to {}); hold out fewer.",
         held_out_count, size, std::max<std::int64_t>(size - 1, 0));
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const Rng rng(seed, "hold_out");
  // Fisher-Yates from the front: after `held_out_count` exchanges the first ones are a uniform draw without repetition.
  for (std::int64_t i = 0; i < held_out_count; ++i) {
    const auto left = static_cast<std::uint64_t>(size - i);
    const auto chosen = static_cast<std::size_t>(i) + static_cast<std::size_t>(rng.below(static_cast<std::uint64_t>(i), left));
    std::swap(order[static_cast<std::size_t>(i)], order[chosen]);
  }
  const auto middle = order.begin() + held_out_count;
  HoldOut result{.rest = {middle, order.end()}, .held_out = {order.begin(), middle}};
  std::sort(result.rest.begin(), result.rest.end());
  std::sort(result.held_out.begin(), result.held_out.end());
  return result;
}

}  // namespace bitwright
