// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/rounding.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitwright {

/// {+Wp, 0, -Wn} (TTQ): codes 0 zero, 1 positive, 2 negative. Stored five digits a byte (1.6 bits a weight).
struct Ternary {
  static constexpr std::string_view kSyntax = "ternary";

  struct Parameters {
    float positive_scale = 1.0F;  ///< Wp > 0
    float negative_scale = 1.0F;  ///< Wn > 0
    /// |w| <= threshold -> 0. Not stored: 0 after reading a file.
    float threshold = 0.0F;
    friend bool operator==(const Parameters& a, const Parameters& b) {
      return a.positive_scale == b.positive_scale && a.negative_scale == b.negative_scale;
    }
  };

  [[nodiscard]] static Ternary parse(std::string_view fields, std::string_view whole_text);
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return 2; }
  [[nodiscard]] std::int64_t code_count() const noexcept { return 3; }
  /// Threshold and set means of the ternary weight networks baseline. Equation: (T13).
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const Ternary&, const Ternary&) = default;
};

}  // namespace bitwright
