// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/uniform.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/formats/finite.h"
#include "bitwright/formats/spec_fields.h"

#include <algorithm>

namespace bitwright {

Uniform Uniform::parse(std::string_view fields, std::string_view whole_text) {
  const std::optional<BucketedFields> read = bucketed_fields(fields);
  if (!read) fail_format_syntax<Uniform>(whole_text);
  const Uniform format{.bits = clamped_int(read->first), .bucket_size = read->bucket_size};
  format.validate();
  return format;
}

void Uniform::validate() const {
  check_format_field(spec(), "BITS", bits, 1, 16);
  check_format_field(spec(), "BUCKET", bucket_size.value_or(1), 1, kLargestBucket);
}

std::string Uniform::spec() const {
  return bucket_size ? fmt::format("uniform:{}/{}", bits, *bucket_size) : fmt::format("uniform:{}", bits);
}

std::string Uniform::parameter_problem(const Parameters& parameters, std::int64_t element_count) const {
  return bucket_problem(parameters.buckets, element_count, bucket_size);
}

std::int64_t Uniform::parameter_bytes(std::int64_t element_count) const noexcept { return 8 * bucket_count(element_count, bucket_size); }

void Uniform::write_parameters(const Parameters& parameters, ByteWriter& writer) const { write_buckets(parameters.buckets, writer); }

Uniform::Parameters Uniform::read_parameters(ByteReader& reader, std::int64_t element_count) const {
  return {.buckets = read_buckets(reader, bucket_count(element_count, bucket_size))};
}

Uniform::Parameters Uniform::fit(std::span<const float> values) const { return {.buckets = fit_buckets(spec(), values, bucket_size)}; }

void Uniform::encode(const Parameters& parameters, std::span<const float> values, const RoundingContext& rounding,
                     std::span<std::int32_t> codes) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  check_finite(spec(), values);
  const auto last = static_cast<double>(code_count() - 1);
  for_each_bucket(parameters.buckets, values.size(), bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    if (is_constant_bucket(bucket, values.subspan(first, count))) {
      std::ranges::fill(codes.subspan(first, count), 0);
      return;
    }
    for (std::size_t i = first; i < first + count; ++i) {
      const double scaled = (static_cast<double>(values[i]) - bucket.min) / bucket.scale * last;
      codes[i] = static_cast<std::int32_t>(round_scaled(std::clamp(scaled, 0.0, last), rounding, i));
    }
  });
}

void Uniform::decode(const Parameters& parameters, std::span<const std::int32_t> codes, std::span<float> values) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  const auto last = static_cast<float>(code_count() - 1);
  for_each_bucket(parameters.buckets, values.size(), bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) {
      const float level = static_cast<float>(codes[i]) / last;
      values[i] = bucket.min + bucket.scale * level;
    }
  });
}

}  // namespace bitwright
