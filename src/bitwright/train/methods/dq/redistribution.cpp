// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/redistribution.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/train/methods/dq/exact_allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright::dq {
namespace {

/// Nearest integer, ties to even, whatever the rounding mode.
std::int64_t rint_even(double value) {
  const double below = std::floor(value);
  const double fraction = value - below;
  const auto whole = static_cast<std::int64_t>(below);
  if (fraction != 0.5) return whole + (fraction > 0.5 ? 1 : 0);
  return whole % 2 == 0 ? whole : whole + 1;
}

/// ||Q(w) - w||_2 with the points that training would start from.
double quantization_error(const Codebook& format, std::span<const float> values) {
  const Codebook::Parameters parameters = format.fit(values);
  std::vector<std::int32_t> codes(values.size());
  std::vector<float> quantized(values.size());
  format.encode(parameters, values, {}, codes);
  format.decode(parameters, codes, quantized);
  double sum = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = static_cast<double>(quantized[i]) - static_cast<double>(values[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

}  // namespace

std::vector<int> points_by_gradient_norm(std::span<const double> norms, int levels) {
  BITWRIGHT_ASSERT(!norms.empty() && levels >= 4);
  const auto tensors = static_cast<std::int64_t>(norms.size());
  const double sum = std::accumulate(norms.begin(), norms.end(), 0.0);
  if (sum == 0.0) return std::vector<int>(norms.size(), levels);
  const std::int64_t floor = levels / 2;
  const std::int64_t total = tensors * levels;
  const auto rest = static_cast<double>(total - tensors * floor);
  std::vector<std::int64_t> points;
  for (const double norm : norms) points.push_back(floor + rint_even(norm / sum * rest));
  const std::int64_t surplus = std::accumulate(points.begin(), points.end(), std::int64_t{0}) - total;
  if (surplus > 0) *std::ranges::max_element(points) -= surplus;
  if (surplus < 0) *std::ranges::min_element(points) -= surplus;
  for (const std::int64_t count : points) {
    if (count >= 2) continue;
    fail(ErrorCode::numerical,
         "method dq: redistribution by gradient norm leaves a tensor with {} points (need at least 2); use redistribute = \"equal_bytes\".",
         count);
  }
  return {points.begin(), points.end()};
}

std::int64_t codebook_bytes(const Codebook& format, std::int64_t count) {
  return packed_code_bytes(format.code_layout(), format.code_bits(), count) + format.parameter_bytes(count);
}

std::vector<int> points_at_equal_bytes(std::span<const Candidate> candidates, std::span<const int> bits) {
  std::int64_t budget = 0;
  std::vector<std::vector<int>> levels;
  std::vector<std::vector<LayerChoice>> choices;
  for (const Candidate& candidate : candidates) {
    const auto count = static_cast<std::int64_t>(candidate.values.size());
    budget += codebook_bytes(candidate.uniform, count);
    std::vector<int> own = {candidate.uniform.levels};
    for (const int b : bits) own.push_back(1 << b);
    std::ranges::sort(own);
    own.erase(std::unique(own.begin(), own.end()), own.end());
    std::vector<LayerChoice> costs;
    for (const int number : own) {
      const Codebook format{.levels = number, .bucket_size = candidate.uniform.bucket_size};
      costs.push_back({codebook_bytes(format, count), candidate.gradient_norm * quantization_error(format, candidate.values)});
    }
    levels.push_back(std::move(own));
    choices.push_back(std::move(costs));
  }
  const std::vector<std::size_t> chosen = allocate_exactly(choices, budget);
  std::vector<int> points;
  std::int64_t bytes = 0;
  for (std::size_t l = 0; l < chosen.size(); ++l) {
    points.push_back(levels[l][chosen[l]]);
    bytes += choices[l][chosen[l]].bytes;
  }
  require_equal_bytes(bytes, budget);
  return points;
}

void require_equal_bytes(std::int64_t bytes, std::int64_t byte_budget) {
  if (bytes <= byte_budget) return;
  fail(ErrorCode::usage, "bit allocation: the setting is larger than what it is compared with (found {} bytes, need at most {}); {}", bytes,
       byte_budget, "compare at its own size.");
}

}  // namespace bitwright::dq
