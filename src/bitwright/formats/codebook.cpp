// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/codebook.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/formats/finite.h"
#include "bitwright/formats/spec_fields.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bitwright {
namespace {

/// Gives the points first .. last-1, which are equal, distinct places between the points beside them.
void spread_run(std::vector<double>& points, std::size_t first, std::size_t last) {
  const std::size_t length = last - first;
  const bool has_left = first > 0;
  const bool has_right = last < points.size();
  if (length < 2) return;
  const double value = points[first];
  const double low = has_left ? points[first - 1] : value;
  const double high = has_right ? points[last] : has_left ? value : value + 1.0;
  // A missing neighbor's place is taken by the run's own end.
  const double gaps = static_cast<double>(length) - 1.0 + (has_left ? 1.0 : 0.0) + (has_right ? 1.0 : 0.0);
  for (std::size_t i = 0; i < length; ++i) {
    points[first + i] = low + (high - low) * (static_cast<double>(i) + (has_left ? 1.0 : 0.0)) / gaps;
  }
}

}  // namespace

std::vector<float> quantile_points(std::vector<double> values, int levels) {
  BITWRIGHT_ASSERT(levels >= 2);
  std::vector<double> points(static_cast<std::size_t>(levels), 0.0);
  if (!values.empty()) {
    std::ranges::sort(values);
    for (std::size_t j = 0; j < points.size(); ++j) {
      const double rank = static_cast<double>(j) * static_cast<double>(values.size() - 1) / (levels - 1);
      const auto below = static_cast<std::size_t>(rank);
      const std::size_t above = std::min(below + 1, values.size() - 1);
      points[j] = values[below] + (values[above] - values[below]) * (rank - static_cast<double>(below));
    }
  }
  for (std::size_t first = 0; first < points.size();) {
    std::size_t last = first + 1;
    while (last < points.size() && points[last] == points[first]) ++last;
    spread_run(points, first, last);
    first = last;
  }
  std::vector<float> rounded(points.size());
  std::ranges::transform(points, rounded.begin(), [](double point) { return static_cast<float>(point); });
  return rounded;
}

Codebook Codebook::parse(std::string_view fields, std::string_view whole_text) {
  const std::optional<BucketedFields> read = bucketed_fields(fields);
  if (!read) fail_format_syntax<Codebook>(whole_text);
  const Codebook format{.levels = clamped_int(read->first), .bucket_size = read->bucket_size};
  format.validate();
  return format;
}

void Codebook::validate() const {
  check_format_field(spec(), "LEVELS", levels, 2, 65536);
  check_format_field(spec(), "BUCKET", bucket_size.value_or(1), 1, kLargestBucket);
}

std::string Codebook::spec() const {
  return bucket_size ? fmt::format("codebook:{}/{}", levels, *bucket_size) : fmt::format("codebook:{}", levels);
}

int Codebook::code_bits() const noexcept { return std::bit_width(static_cast<unsigned>(levels) - 1); }

std::string Codebook::parameter_problem(const Parameters& parameters, std::int64_t element_count) const {
  const std::vector<float>& points = parameters.points;
  if (points.size() != static_cast<std::size_t>(levels)) {
    return fmt::format("wrong number of points (found {}, need {})", points.size(), levels);
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!std::isfinite(points[i])) return fmt::format("point {} is wrong (found {}, need a finite number)", i, points[i]);
    if (i > 0 && points[i] < points[i - 1]) {
      return fmt::format("the points are not ascending (found {} after {}, need at least as much)", points[i], points[i - 1]);
    }
  }
  return bucket_problem(parameters.buckets, element_count, bucket_size);
}

std::int64_t Codebook::parameter_bytes(std::int64_t element_count) const noexcept {
  return 4 * std::int64_t{levels} + 8 * bucket_count(element_count, bucket_size);
}

void Codebook::write_parameters(const Parameters& parameters, ByteWriter& writer) const {
  for (const float point : parameters.points) writer.f32(point);
  write_buckets(parameters.buckets, writer);
}

Codebook::Parameters Codebook::read_parameters(ByteReader& reader, std::int64_t element_count) const {
  Parameters parameters;
  for (int i = 0; i < levels; ++i) parameters.points.push_back(reader.f32());
  parameters.buckets = read_buckets(reader, bucket_count(element_count, bucket_size));
  return parameters;
}

Codebook::Parameters Codebook::fit(std::span<const float> values) const {
  Parameters parameters{.points = {}, .buckets = fit_buckets(spec(), values, bucket_size)};
  std::vector<double> scaled(values.size());
  for_each_bucket(parameters.buckets, values.size(), bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    // (D3): what little a constant bucket spans must not become quantiles.
    if (is_constant_bucket(bucket, values.subspan(first, count))) return;
    for (std::size_t i = first; i < first + count; ++i) scaled[i] = scaled_value(values[i], bucket);
  });
  parameters.points = quantile_points(std::move(scaled), levels);
  return parameters;
}

void Codebook::encode(const Parameters& parameters, std::span<const float> values, const RoundingContext&,
                      std::span<std::int32_t> codes) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  check_finite(spec(), values);
  const std::vector<float>& points = parameters.points;
  std::vector<double> midpoints;
  for (std::size_t j = 1; j < points.size(); ++j) midpoints.push_back((static_cast<double>(points[j - 1]) + points[j]) / 2.0);
  for_each_bucket(parameters.buckets, values.size(), bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) {
      const auto above = std::ranges::upper_bound(midpoints, scaled_value(values[i], bucket));
      codes[i] = static_cast<std::int32_t>(above - midpoints.begin());
    }
  });
}

void Codebook::decode(const Parameters& parameters, std::span<const std::int32_t> codes, std::span<float> values) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  for_each_bucket(parameters.buckets, values.size(), bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) {
      values[i] = bucket.min + bucket.scale * parameters.points[static_cast<std::size_t>(codes[i])];
    }
  });
}

}  // namespace bitwright
