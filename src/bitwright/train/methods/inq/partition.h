// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright::inq {

/// How many of `size` weights are frozen when the accumulated portion is `portion_e4` / 10000.
/// Equation: (I13) ceil(portion size) in integers. Requires: 0 <= portion_e4 <= 10000, size < 2^48.
[[nodiscard]] std::int64_t frozen_count(std::int64_t size, std::int64_t portion_e4) noexcept;

/// Which free weights are frozen next.
enum class Partition {
  magnitude,  ///< pruning-inspired: largest |w| first, equal ones by lower index
  random,     ///< uniform without replacement
};

/// Indices to freeze, ascending, so that `count` are frozen in all. Source: paper page section 4, step 3.
///
/// Requires: `is_free` has one entry per value, and not more than `count` weights are frozen already. Ensures: only free weights are
/// returned, so the frozen set only grows.
[[nodiscard]] std::vector<std::int64_t> select_to_freeze(std::span<const float> values, const std::vector<bool>& is_free,
                                                         std::int64_t count, Partition partition, const Rng& rng);

}  // namespace bitwright::inq
