// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/inq/partition.h"

#include "bitwright/core/assert.h"

#include <algorithm>
#include <cmath>

namespace bitwright::inq {

std::int64_t frozen_count(std::int64_t size, std::int64_t portion_e4) noexcept { return (portion_e4 * size + 9999) / 10000; }

std::vector<std::int64_t> select_to_freeze(std::span<const float> values, const std::vector<bool>& is_free, std::int64_t count,
                                           Partition partition, const Rng& rng) {
  std::vector<std::int64_t> free;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (is_free[i]) free.push_back(static_cast<std::int64_t>(i));
  }
  const std::int64_t wanted = count - static_cast<std::int64_t>(values.size() - free.size());
  BITWRIGHT_ASSERT(wanted >= 0 && wanted <= static_cast<std::int64_t>(free.size()));
  switch (partition) {
    case Partition::magnitude:
      std::ranges::nth_element(free, free.begin() + wanted, [values](std::int64_t a, std::int64_t b) {
        const float left = std::abs(values[static_cast<std::size_t>(a)]);
        const float right = std::abs(values[static_cast<std::size_t>(b)]);
        return left != right ? left > right : a < b;
      });
      break;
    case Partition::random:
      for (std::int64_t i = 0; i < wanted; ++i) {  // the first `wanted` steps of a Fisher-Yates shuffle
        const auto rest = static_cast<std::uint64_t>(free.size()) - static_cast<std::uint64_t>(i);
        const auto other = i + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(i), rest));
        std::swap(free[static_cast<std::size_t>(i)], free[static_cast<std::size_t>(other)]);
      }
      break;
  }
  free.resize(static_cast<std::size_t>(wanted));
  std::ranges::sort(free);
  return free;
}

}  // namespace bitwright::inq
