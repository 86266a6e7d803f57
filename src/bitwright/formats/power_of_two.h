// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/layout.h"
#include "bitwright/formats/parameters.h"
#include "bitwright/formats/rounding.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitwright {

/// Zero and signed powers of two, `pow2:b` (INQ). Equation: (I1)-(I6), codes by (I12).
struct PowerOfTwo {
  static constexpr std::string_view kSyntax = "pow2:BITS";
  static constexpr std::string_view kExample = "pow2:5";
  static constexpr std::array kSamples =
      std::to_array<std::string_view>({"pow2:2", "pow2:3", "pow2:4", "pow2:5", "pow2:6", "pow2:7", "pow2:8"});
  static constexpr std::string_view kCodeBitsText = "BITS";
  static constexpr std::string_view kParametersText = "int8 exp_max, int8 exp_min";
  static constexpr std::string_view kBitsPerWeightText = "BITS + 16/n";
  static constexpr bool kRoundsToNearest = true;
  int bits = 5;  ///< 2 to 8, the zero code included

  /// n1 and n2: every nonzero magnitude is 2^n with exp_min <= n <= exp_max. Both 0 for an all-zero tensor (I8).
  /// Both lie in [-126, 127], so that every value is a normal float32 and each takes one byte in the file.
  struct Parameters {
    int exp_max = 0;
    int exp_min = 0;
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  /// floor(log2(4 s / 3)) exactly. Equation: (I2). Requires: max_abs > 0 and finite.
  [[nodiscard]] static int exponent_for(float max_abs) noexcept;
  /// n1 and n2 for a tensor whose largest magnitude is `max_abs`. Equation: (I2), (I3); (I8) for 0; stable under quantization by (I7).
  [[nodiscard]] Parameters parameters_for(float max_abs) const noexcept;
  /// Nearest value of the codebook, ties to the larger magnitude, saturating. Equation: (I4) by (I5). Requires: value is finite.
  [[nodiscard]] float quantize_value(const Parameters&, float value) const noexcept;

  [[nodiscard]] static PowerOfTwo parse(std::string_view fields, std::string_view whole_text);
  void validate() const;
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return bits; }
  [[nodiscard]] std::int64_t code_count() const noexcept { return (std::int64_t{1} << (bits - 1)) + 1; }
  [[nodiscard]] CodeLayout code_layout() const noexcept { return CodeLayout::unsigned_bits; }
  /// Zero and two codes per exponent; so the range proves that each value is 0 or +-2^n with exp_min <= n <= exp_max.
  [[nodiscard]] CodeRange code_range(const Parameters& parameters) const noexcept {
    return {.first = 0, .last = 2 * (std::int64_t{parameters.exp_max} - parameters.exp_min + 1)};
  }
  [[nodiscard]] std::string parameter_problem(const Parameters&, std::int64_t element_count) const;
  [[nodiscard]] std::int64_t parameter_bytes(std::int64_t) const noexcept { return 2; }
  void write_parameters(const Parameters&, ByteWriter&) const;
  [[nodiscard]] Parameters read_parameters(ByteReader&, std::int64_t) const;
  /// Throws: `Error(numerical)` on NaN and infinity, and when an exponent would leave [-126, 127]: the largest magnitude must be at least
  /// 0.75 * 2^(2^(BITS-2) - 127), that is 0.75 * 2^-119 at 5 bits, and below 1.5 * 2^127.
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const PowerOfTwo&, const PowerOfTwo&) = default;
};

}  // namespace bitwright
