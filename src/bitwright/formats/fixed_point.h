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
#include <vector>

namespace bitwright {

/// Two's-complement fixed point `fixed<IL,FL>`; the sign bit counts in IL, as in Gupta 2015.
/// Equation: (G1) value = code * 2^-FL; (G2) range. Rounding and saturation: (G8), saturates in every mode.
struct FixedPoint {
  static constexpr std::string_view kSyntax = "fixed<IL,FL>";
  static constexpr std::string_view kExample = "fixed<2,14>";
  static constexpr std::array kSamples = std::to_array<std::string_view>(
      {"fixed<2,14>", "fixed<8,8>", "fixed<6,10>", "fixed<1,15>", "fixed<16,0>", "fixed<2,6>", "fixed<2,3>", "fixed<1,1>", "fixed<4,16>"});
  static constexpr std::string_view kCodeBitsText = "IL + FL";
  static constexpr std::string_view kParametersText = "none";
  static constexpr std::string_view kBitsPerWeightText = "IL + FL";
  static constexpr bool kRoundsToNearest = true;
  int int_bits = 2;    ///< IL, at least 1
  int frac_bits = 14;  ///< FL, at least 0; IL + FL is 2 to 32

  struct Parameters {
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  [[nodiscard]] int word_bits() const noexcept { return int_bits + frac_bits; }
  /// Smallest positive value, 2^-FL.
  [[nodiscard]] double step() const noexcept;
  [[nodiscard]] double min_value() const noexcept;  ///< -2^(IL-1)
  [[nodiscard]] double max_value() const noexcept;  ///< 2^(IL-1) - 2^-FL
  [[nodiscard]] std::int32_t min_code() const noexcept { return static_cast<std::int32_t>(-(std::int64_t{1} << (word_bits() - 1))); }
  [[nodiscard]] std::int32_t max_code() const noexcept { return static_cast<std::int32_t>((std::int64_t{1} << (word_bits() - 1)) - 1); }

  // The members below are what the registry asks of every format (format_concept.h).
  [[nodiscard]] static FixedPoint parse(std::string_view fields, std::string_view whole_text);
  void validate() const;
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return word_bits(); }
  [[nodiscard]] std::int64_t code_count() const noexcept { return std::int64_t{1} << word_bits(); }
  [[nodiscard]] CodeLayout code_layout() const noexcept { return CodeLayout::signed_bits; }
  [[nodiscard]] CodeRange code_range(const Parameters&) const noexcept { return {.first = min_code(), .last = max_code()}; }
  [[nodiscard]] std::string parameter_problem(const Parameters&, std::int64_t) const { return {}; }
  [[nodiscard]] std::int64_t parameter_bytes(std::int64_t) const noexcept { return 0; }
  void write_parameters(const Parameters&, ByteWriter&) const {}
  [[nodiscard]] Parameters read_parameters(ByteReader&, std::int64_t) const { return {}; }
  /// The format is static, so there is nothing to fit; NaN is refused. Throws: `Error(numerical)`.
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  /// Infinity saturates. Throws: `Error(numerical)` on NaN.
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  /// Exactness: exact up to 25 word bits; wider codes round once to float32.
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const FixedPoint&, const FixedPoint&) = default;
};

/// Code of a real number; `index` addresses the draw of stochastic rounding. Equation: (G3)-(G6) by mode, then (G8).
/// Rounding and saturation: one rounding of the exact value, infinity saturates, -0 is code 0.
/// Throws: `Error(numerical)` on NaN, naming `index`.
[[nodiscard]] std::int32_t convert(double value, const FixedPoint& format, const RoundingContext& rounding, std::uint64_t index);

/// Code of an exact integer accumulator whose value is acc * 2^-acc_frac_bits, e.g. a dot product (G9).
/// Equation: (G11) for nearest, (G12) for stochastic; the floor and truncation of the same shift for the other modes; then (G8).
/// Draws: with k = acc_frac_bits - FL, R is Rng::word(index) >> (32 - k) for k <= 32 and Rng::word_pair(index) >> (64 - k) beyond.
/// Exactness: integer arithmetic in 128 bits; (G12) rounds up for exactly acc mod 2^k of the 2^k values of R.
/// Requires: 0 <= acc_frac_bits <= 62.
[[nodiscard]] std::int32_t convert_acc(std::int64_t acc, int acc_frac_bits, const FixedPoint& format, const RoundingContext& rounding,
                                       std::uint64_t index);

/// Stochastic rounding of an accumulator with only `random_bits` random bits, as narrow hardware generators do.
/// Equation: (G13) with u = Rng::word(index) >> (32 - random_bits). Where the shift drops no more than `random_bits` bits this is (G12).
/// Requires: 1 <= random_bits <= 32, 0 <= acc_frac_bits <= 62.
[[nodiscard]] std::int32_t convert_acc_with_random_bits(std::int64_t acc, int acc_frac_bits, const FixedPoint& format, const Rng& rng,
                                                        std::uint64_t index, int random_bits);

/// The code in format `to` of the value that `code` has in format `from`. Equation: (G14); lossless when no field shrinks.
[[nodiscard]] std::int32_t change_format(std::int32_t code, const FixedPoint& from, const FixedPoint& to, const RoundingContext& rounding,
                                         std::uint64_t index);

/// Bits that hold every dot product of depth `depth` of two vectors of `word_bits`-bit codes. Equation: (G10). Requires: depth >= 1.
[[nodiscard]] int accumulator_bits(int word_bits, std::int64_t depth) noexcept;

}  // namespace bitwright
