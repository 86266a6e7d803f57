// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/codebook.h"
#include "bitwright/formats/fixed_point.h"
#include "bitwright/formats/power_of_two.h"
#include "bitwright/formats/rounding.h"
#include "bitwright/formats/ternary.h"
#include "bitwright/formats/uniform.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitwright {

/// Parameters that turn the codes of one tensor into values (exponents, scales, buckets, points); alternative i belongs to format i.
using FormatParameters =
    std::variant<FixedPoint::Parameters, PowerOfTwo::Parameters, Ternary::Parameters, Uniform::Parameters, Codebook::Parameters>;

/// One of the number formats, as a value.
class NumberFormat {
 public:
  using Variant = std::variant<FixedPoint, PowerOfTwo, Ternary, Uniform, Codebook>;

  // Implicit on purpose: a format is usable wherever a NumberFormat is asked for.
  template <typename Format>
    requires std::constructible_from<Variant, Format>
  NumberFormat(Format format) : format_(std::move(format)) {}  // NOLINT(google-explicit-constructor)

  /// Parses the text form, e.g. `fixed<2,14>`, `pow2:5`, `ternary`, `uniform:4/256`, `codebook:16/256`.
  /// Ensures: parse(f.spec()) == f. Throws: `Error(usage)`: unknown name (names the nearest) or fields out of range.
  [[nodiscard]] static NumberFormat parse(std::string_view text);
  [[nodiscard]] std::string spec() const;

  /// Name in formats.inc.
  [[nodiscard]] std::string_view name() const noexcept;
  /// Tag in the packed file.
  [[nodiscard]] std::uint8_t tag() const noexcept;

  /// Width of one stored code in bits, and the number of different codes (codes are 0 .. code_count-1 in the file).
  [[nodiscard]] int code_bits() const noexcept;
  [[nodiscard]] std::int64_t code_count() const noexcept;

  [[nodiscard]] const Variant& variant() const noexcept { return format_; }
  template <typename Format>
  [[nodiscard]] const Format* get_if() const noexcept { return std::get_if<Format>(&format_); }

  friend bool operator==(const NumberFormat&, const NumberFormat&) = default;

 private:
  Variant format_;
};

}  // namespace bitwright
