// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/code_table.h"

#include "bitwright/core/assert.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>

namespace bitwright {
namespace {

template <typename Parameters>
std::int64_t bucket_count(const Parameters& parameters) {
  if constexpr (requires { parameters.buckets; }) {
    return static_cast<std::int64_t>(parameters.buckets.size());
  } else {
    return 1;
  }
}

std::int64_t bucket_size_of(const NumberFormat& format) {
  const auto* codebook = format.get_if<Codebook>();
  return codebook != nullptr ? *codebook->bucket_size : *format.get_if<Uniform>()->bucket_size;
}

// Levels before they are scaled, as the formats' decode computes them.
std::vector<float> unscaled_levels(const QuantizedTensor& tensor) {
  if (const auto* codebook = std::get_if<Codebook::Parameters>(&tensor.parameters())) return codebook->points;
  std::vector<float> levels(static_cast<std::size_t>(tensor.format().code_count()));
  const auto last = static_cast<float>(levels.size() - 1);
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i) / last;
  return levels;
}

void add_buckets(const QuantizedTensor& tensor, CodeTable& table) {
  std::visit(
      [&table](const auto& parameters) {
        if constexpr (requires { parameters.buckets; }) {
          for (const Bucket& bucket : parameters.buckets) {
            table.scales.push_back(bucket.scale);
            table.mins.push_back(bucket.min);
          }
        }
      },
      tensor.parameters());
}

// All codes, counted from `first`.
std::vector<std::uint8_t> codes_of(const QuantizedTensor& tensor, std::int32_t first) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(tensor.shape().element_count()));
  if (first == 0 && fits_bytes(tensor.format().code_layout(), tensor.format().code_bits())) {
    tensor.copy_codes(0, codes);
    return codes;
  }
  std::array<std::int32_t, 4000> part;
  for (std::size_t done = 0; done < codes.size();) {
    const std::span<std::int32_t> wide = std::span(part).first(std::min(part.size(), codes.size() - done));
    tensor.copy_codes(static_cast<std::int64_t>(done), wide);
    for (const std::int32_t code : wide) codes[done++] = static_cast<std::uint8_t>(code - first);
  }
  return codes;
}

}  // namespace

CodeTable code_table(const QuantizedTensor& tensor, std::int64_t max_levels) {
  CodeTable table;
  table.levels = tensor.format().code_count();
  table.buckets = std::visit([](const auto& parameters) { return bucket_count(parameters); }, tensor.parameters());
  if (table.buckets > 1) table.bucket_size = bucket_size_of(tensor.format());
  BITWRIGHT_ASSERT(max_levels <= 256);
  if (table.levels > max_levels) return table;
  if (table.buckets > 1) {
    table.values = unscaled_levels(tensor);
    table.codes = codes_of(tensor, 0);
    add_buckets(tensor, table);
    return table;
  }
  // Fixed-point codes are signed, from -levels / 2; all others begin at 0.
  const std::int32_t first = tensor.format().get_if<FixedPoint>() != nullptr ? static_cast<std::int32_t>(-table.levels / 2) : 0;
  std::vector<std::int32_t> all(static_cast<std::size_t>(table.levels));
  std::iota(all.begin(), all.end(), first);
  table.values = QuantizedTensor(tensor.format(), Shape{table.levels}, all, tensor.parameters()).dequantize();
  table.codes = codes_of(tensor, first);
  return table;
}

}  // namespace bitwright
