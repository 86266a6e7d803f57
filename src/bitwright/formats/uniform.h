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

/// 2^bits evenly spaced levels between minimum and maximum of each bucket (Polino 2018). Equation: (D1)-(D6); size (D9).
struct Uniform {
  static constexpr std::string_view kSyntax = "uniform:BITS or uniform:BITS/BUCKET";
  static constexpr std::string_view kExample = "uniform:4/256";
  static constexpr std::array kSamples = std::to_array<std::string_view>(
      {"uniform:1", "uniform:2", "uniform:3/64", "uniform:4/256", "uniform:5", "uniform:8/256", "uniform:16", "uniform:16/256"});
  static constexpr std::string_view kCodeBitsText = "BITS";
  static constexpr std::string_view kParametersText = "float32 scale, float32 min per bucket";
  static constexpr std::string_view kBitsPerWeightText = "BITS + 64/BUCKET";
  static constexpr bool kRoundsToNearest = true;
  int bits = 4;                             ///< 1 to 16
  std::optional<std::int64_t> bucket_size;  ///< elements; nothing = one bucket per tensor

  struct Parameters {
    std::vector<Bucket> buckets;
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  [[nodiscard]] static Uniform parse(std::string_view fields, std::string_view whole_text);
  void validate() const;
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return bits; }
  [[nodiscard]] std::int64_t code_count() const noexcept { return std::int64_t{1} << bits; }
  [[nodiscard]] CodeLayout code_layout() const noexcept { return CodeLayout::unsigned_bits; }
  [[nodiscard]] CodeRange code_range(const Parameters&) const noexcept { return {.first = 0, .last = code_count() - 1}; }
  [[nodiscard]] std::string parameter_problem(const Parameters&, std::int64_t element_count) const;
  [[nodiscard]] std::int64_t parameter_bytes(std::int64_t element_count) const noexcept;
  void write_parameters(const Parameters&, ByteWriter&) const;
  [[nodiscard]] Parameters read_parameters(ByteReader&, std::int64_t element_count) const;
  /// Range of every bucket. Equation: (D1)-(D3).
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  /// Equation: (D4), (D5) by the rounding mode. Rounding and saturation: the scaled value is computed in double and rounded once; values
  /// outside the bucket's range take the nearest end; element i of the tensor draws with index i.
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  /// Exactness: min + scale * (code / (2^bits - 1)), each of the three operations rounded to float32.
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const Uniform&, const Uniform&) = default;
};

}  // namespace bitwright
