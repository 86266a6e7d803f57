// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/layout.h"
#include "bitwright/formats/parameters.h"
#include "bitwright/formats/rounding.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Free points per tensor, scaled per bucket (differentiable quantization). Equation: (D1), (D7), (D8).
struct Codebook {
  static constexpr std::string_view kSyntax = "codebook:LEVELS or codebook:LEVELS/BUCKET";
  static constexpr std::string_view kExample = "codebook:16/256";
  static constexpr std::array kSamples = std::to_array<std::string_view>(
      {"codebook:2", "codebook:3", "codebook:5/256", "codebook:16/256", "codebook:16", "codebook:256", "codebook:65536"});
  static constexpr std::string_view kCodeBitsText = "ceil(log2 LEVELS)";
  static constexpr std::string_view kParametersText = "float32 per point; float32 scale, float32 min per bucket";
  static constexpr std::string_view kBitsPerWeightText = "ceil(log2 LEVELS) + 64/BUCKET + 32 LEVELS/n";
  static constexpr bool kRoundsToNearest = true;
  int levels = 16;                          ///< 2 to 65536
  std::optional<std::int64_t> bucket_size;  ///< elements; nothing = one bucket per tensor

  struct Parameters {
    std::vector<float> points;  ///< ascending, `levels` of them
    std::vector<Bucket> buckets;
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  [[nodiscard]] static Codebook parse(std::string_view fields, std::string_view whole_text);
  void validate() const;
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept;
  [[nodiscard]] std::int64_t code_count() const noexcept { return levels; }
  [[nodiscard]] CodeLayout code_layout() const noexcept { return CodeLayout::unsigned_bits; }
  [[nodiscard]] CodeRange code_range(const Parameters&) const noexcept { return {.first = 0, .last = levels - 1}; }
  [[nodiscard]] std::string parameter_problem(const Parameters&, std::int64_t element_count) const;
  [[nodiscard]] std::int64_t parameter_bytes(std::int64_t element_count) const noexcept;
  void write_parameters(const Parameters&, ByteWriter&) const;
  [[nodiscard]] Parameters read_parameters(ByteReader&, std::int64_t element_count) const;
  /// Buckets' ranges and points at the quantiles of the scaled values (repeated quantiles are spread; page D, section 4.2).
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  /// Equation: (D7); a value on a midpoint takes the larger point. Exactness: scaled values and midpoints in double.
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  /// Equation: (D8). Exactness: min + scale * point, both operations rounded to float32.
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const Codebook&, const Codebook&) = default;
};

/// `levels` points at equally spaced ranks of the sorted values, linear between neighbors; a run of equal points is spread evenly between
/// its distinct neighbors, and an end of the run without a neighbor keeps its value. All values equal: evenly spaced from that value to 1
/// above it. Requires: levels >= 2.
[[nodiscard]] std::vector<float> quantile_points(std::vector<double> values, int levels);

}  // namespace bitwright
