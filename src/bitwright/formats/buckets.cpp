// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/buckets.h"

#include "bitwright/core/error.h"
#include "bitwright/formats/finite.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {
constexpr float kNarrowest = 1e-10F;  // (D3)
}

std::int64_t bucket_count(std::int64_t element_count, std::optional<std::int64_t> bucket_size) noexcept {
  if (element_count == 0) return 0;
  return bucket_size ? (element_count - 1) / *bucket_size + 1 : 1;
}

std::vector<Bucket> fit_buckets(std::string_view spec, std::span<const float> values, std::optional<std::int64_t> bucket_size) {
  check_finite(spec, values);
  std::vector<Bucket> buckets(static_cast<std::size_t>(bucket_count(static_cast<std::int64_t>(values.size()), bucket_size)));
  std::size_t number = 0;
  for_each_bucket(buckets, values.size(), bucket_size, [&](const Bucket&, std::size_t first, std::size_t count) {
    const auto [low, high] = std::ranges::minmax(values.subspan(first, count));
    Bucket& bucket = buckets[number++];
    bucket.min = low;
    bucket.scale = high - low;
    if (!std::isfinite(bucket.scale)) {
      fail(ErrorCode::numerical,
           "{}: the range of bucket {} overflows float32 (found {} to {}, need a difference below 3.4e38); scale the values down.", spec,
           number - 1, low, high);
    }
    if (bucket.scale < kNarrowest) bucket.scale = 1.0F;
  });
  return buckets;
}

bool is_constant_bucket(const Bucket& bucket, std::span<const float> values) noexcept {
  if (bucket.scale != 1.0F) return false;  // what (D3) stores
  return std::ranges::all_of(values, [&](float value) { return value >= bucket.min && value - bucket.min < kNarrowest; });
}

std::string bucket_problem(std::span<const Bucket> buckets, std::int64_t element_count, std::optional<std::int64_t> bucket_size) {
  const std::int64_t needed = bucket_count(element_count, bucket_size);
  if (static_cast<std::int64_t>(buckets.size()) != needed)
    return fmt::format("wrong number of buckets (found {}, need {})", buckets.size(), needed);
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (!std::isfinite(buckets[i].scale) || buckets[i].scale <= 0.0F) {
      return fmt::format("the scale of bucket {} is wrong (found {}, need a finite number above 0)", i, buckets[i].scale);
    }
    if (!std::isfinite(buckets[i].min))
      return fmt::format("the minimum of bucket {} is wrong (found {}, need a finite number)", i, buckets[i].min);
  }
  return {};
}

void write_buckets(std::span<const Bucket> buckets, ByteWriter& writer) {
  for (const Bucket& bucket : buckets) {
    writer.f32(bucket.scale);
    writer.f32(bucket.min);
  }
}

std::vector<Bucket> read_buckets(ByteReader& reader, std::int64_t count) {
  std::vector<Bucket> buckets;
  for (std::int64_t i = 0; i < count; ++i) {
    const float scale = reader.f32();
    buckets.push_back({.scale = scale, .min = reader.f32()});
  }
  return buckets;
}

}  // namespace bitwright
