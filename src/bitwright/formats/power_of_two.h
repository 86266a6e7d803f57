// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/rounding.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitwright {

/// Zero and signed powers of two, `pow2:b` (INQ). Equation: (I1)-(I5), codes by (I12).
struct PowerOfTwo {
  static constexpr std::string_view kSyntax = "pow2:BITS";
  int bits = 5;  ///< 2 to 8, the zero code included

  /// n1 and n2: every nonzero magnitude is 2^n with exp_min <= n <= exp_max. Both 0 for an all-zero tensor (I8).
  struct Parameters {
    int exp_max = 0;
    int exp_min = 0;
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  /// floor(log2(4 s / 3)) exactly. Equation: (I2). Requires: max_abs > 0 and finite.
  [[nodiscard]] static int exponent_for(float max_abs) noexcept;
  /// n1 and n2 for a tensor whose largest magnitude is `max_abs`. Equation: (I2), (I3).
  [[nodiscard]] Parameters parameters_for(float max_abs) const noexcept;
  /// Nearest value of the codebook, ties to the larger magnitude, saturating. Equation: (I5). Requires: value is finite.
  [[nodiscard]] float quantize_value(const Parameters&, float value) const noexcept;

  [[nodiscard]] static PowerOfTwo parse(std::string_view fields, std::string_view whole_text);
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return bits; }
  [[nodiscard]] std::int64_t code_count() const noexcept { return (std::int64_t{1} << (bits - 1)) + 1; }
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const PowerOfTwo&, const PowerOfTwo&) = default;
};

}  // namespace bitwright
