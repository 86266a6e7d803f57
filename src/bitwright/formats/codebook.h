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

/// Free points per tensor, scaled per bucket (differentiable quantization). Equation: (D1), (D7), (D8).
struct Codebook {
  static constexpr std::string_view kSyntax = "codebook:LEVELS or codebook:LEVELS/BUCKET";
  int levels = 16;                          ///< 2 to 65536
  std::optional<std::int64_t> bucket_size;  ///< elements; nothing = one bucket per tensor

  struct Parameters {
    std::vector<float> points;  ///< ascending, `levels` of them
    std::vector<Bucket> buckets;
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };

  [[nodiscard]] static Codebook parse(std::string_view fields, std::string_view whole_text);
  [[nodiscard]] std::string spec() const;
  [[nodiscard]] int code_bits() const noexcept;
  [[nodiscard]] std::int64_t code_count() const noexcept { return levels; }
  /// Buckets' ranges and points at the quantiles of the scaled values (repeated quantiles are spread; page D, section 4.2).
  [[nodiscard]] Parameters fit(std::span<const float> values) const;
  void encode(const Parameters&, std::span<const float> values, const RoundingContext&, std::span<std::int32_t> codes) const;
  void decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const;
  friend bool operator==(const Codebook&, const Codebook&) = default;
};

}  // namespace bitwright
