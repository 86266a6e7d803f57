// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/parameters.h"
#include "bitwright/formats/rounding.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// 2^bits evenly spaced levels between minimum and maximum of each bucket (Polino 2018). Equation: (D1)-(D5).
struct Uniform {
  static constexpr std::string_view kSyntax = "uniform:BITS or uniform:BITS/BUCKET";
  int bits = 4;                             ///< 1 to 16
  std::optional<std::int64_t> bucket_size;  ///< elements; nothing = one bucket per tensor

  struct Parameters {
    std::vector<Bucket> buckets;
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  [[nodiscard]] static Uniform parse(std::string_view fields, std::string_view whole_text);
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept { return bits; }
  [[nodiscard]] std::int64_t code_count() const noexcept { return std::int64_t{1} << bits; }
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const Uniform&, const Uniform&) = default;
};

}  // namespace bitwright
