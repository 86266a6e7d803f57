// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/parameters.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// A tensor, flattened row-major, is cut every `bucket_size` elements; the last bucket is simply shorter. Equation: (D2).
/// No bucket size means one bucket; an empty tensor has none.
[[nodiscard]] std::int64_t bucket_count(std::int64_t element_count, std::optional<std::int64_t> bucket_size) noexcept;

/// Range of every bucket. Equation: (D1), (D3): a bucket narrower than 1e-10 counts as constant and gets scale 1.
/// Throws: `Error(numerical)` when a value is not finite or a bucket's range overflows float32.
[[nodiscard]] std::vector<Bucket> fit_buckets(std::string_view spec, std::span<const float> values,
                                              std::optional<std::int64_t> bucket_size);

/// Where a value lies in its bucket: 0 at the minimum, 1 at the maximum. Equation: (D1). Exactness: in double, one rounding each.
[[nodiscard]] inline double scaled_value(float value, const Bucket& bucket) noexcept {
  return (static_cast<double>(value) - bucket.min) / bucket.scale;
}

/// True where (D3) makes every code of the bucket 0.
[[nodiscard]] bool is_constant_bucket(const Bucket& bucket, std::span<const float> values) noexcept;

/// Calls `visit(bucket, first element, number of elements)` for each bucket in order.
template <typename Visit>
void for_each_bucket(std::span<const Bucket> buckets, std::size_t element_count, std::optional<std::int64_t> bucket_size, Visit&& visit) {
  const std::size_t size = bucket_size ? static_cast<std::size_t>(*bucket_size) : element_count;
  std::size_t first = 0;
  for (const Bucket& bucket : buckets) {
    visit(bucket, first, std::min(size, element_count - first));
    first += size;
  }
}

/// Empty, or what is wrong with these buckets for a tensor of this many elements.
[[nodiscard]] std::string bucket_problem(std::span<const Bucket> buckets, std::int64_t element_count,
                                         std::optional<std::int64_t> bucket_size);

/// float32 scale, then float32 min, for each bucket.
void write_buckets(std::span<const Bucket> buckets, ByteWriter& writer);
[[nodiscard]] std::vector<Bucket> read_buckets(ByteReader& reader, std::int64_t count);

}  // namespace bitwright
