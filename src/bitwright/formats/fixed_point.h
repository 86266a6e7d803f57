// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/rounding.h"

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
  int int_bits = 2;
  int frac_bits = 14;

  struct Parameters {
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  [[nodiscard]] int word_bits() const noexcept { return int_bits + frac_bits; }
  /// Smallest positive value, 2^-FL.
  [[nodiscard]] double step() const noexcept;
  [[nodiscard]] double min_value() const noexcept;  ///< -2^(IL-1)
  [[nodiscard]] double max_value() const noexcept;  ///< 2^(IL-1) - 2^-FL

  // The members below are what the registry asks of every format.
  [[nodiscard]] static FixedPoint parse(std::string_view fields, std::string_view whole_text);
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return word_bits(); }
  [[nodiscard]] std::int64_t code_count() const noexcept { return std::int64_t{1} << word_bits(); }
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const FixedPoint&, const FixedPoint&) = default;
};

}  // namespace bitwright
