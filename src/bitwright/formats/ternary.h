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

/// How the codes of a ternary tensor lie in the file.
enum class TernaryLayout {
  five_digits,  ///< `ternary`: five base-3 digits a byte, 1.6 bits a weight. Equation: (T11)
  two_bits,     ///< `ternary:2bit`: four codes a byte, read with shifts and masks alone. Equation: (T10)
};

/// {+Wp, 0, -Wn} (TTQ): codes 0 zero, 1 positive, 2 negative; 3 is no code. Equation: (T3), (T10), (T11).
/// Two multiplications a dot product are enough (T9), and none per weight.
struct Ternary {
  static constexpr std::string_view kSyntax = "ternary or ternary:2bit";
  static constexpr std::string_view kExample = "ternary";
  static constexpr std::array kSamples = std::to_array<std::string_view>({"ternary", "ternary:2bit"});
  static constexpr std::string_view kCodeBitsText = "2 (five codes a byte; ternary:2bit four)";
  static constexpr std::string_view kParametersText = "float32 Wp, float32 Wn";
  static constexpr std::string_view kBitsPerWeightText = "1.6 + 64/n; 2 + 64/n";
  static constexpr bool kRoundsToNearest = false;

  TernaryLayout layout = TernaryLayout::five_digits;

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
  void validate() const {}
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return 2; }
  [[nodiscard]] std::int64_t code_count() const noexcept { return 3; }
  [[nodiscard]] CodeLayout code_layout() const noexcept {
    return layout == TernaryLayout::five_digits ? CodeLayout::base3 : CodeLayout::unsigned_bits;
  }
  [[nodiscard]] CodeRange code_range(const Parameters&) const noexcept { return {.first = 0, .last = 2}; }
  [[nodiscard]] std::string parameter_problem(const Parameters&, std::int64_t element_count) const;
  [[nodiscard]] std::int64_t parameter_bytes(std::int64_t) const noexcept { return 8; }
  void write_parameters(const Parameters&, ByteWriter&) const;
  [[nodiscard]] Parameters read_parameters(ByteReader&, std::int64_t) const;
  /// Threshold of the ternary weight networks baseline, but one mean per sign. Equation: (T13).
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  /// Scales for a threshold chosen elsewhere: Wp the mean of the values above it, Wn the mean magnitude of those below minus it. An empty
  /// set takes the other set's mean, 1 when both are empty. Exactness: means in double, rounded once to float32.
  [[nodiscard]] Parameters fit_scales(std::span<const float> values, float threshold) const;
  /// Threshold t * max|w|. Equation: (T1).
  [[nodiscard]] static float threshold_for_ratio(std::span<const float> values, double threshold_ratio);
  /// Threshold that leaves floor((1 - r) n) values nonzero, fewer where magnitudes repeat. Equation: (T2). Requires: 0 <= r < 1.
  [[nodiscard]] static float threshold_for_sparsity(std::span<const float> values, double sparsity_target);
  /// Equation: (T3); |w| equal to the threshold is zero.
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const Ternary&, const Ternary&) = default;
};

}  // namespace bitwright
