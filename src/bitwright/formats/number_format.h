// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/format_concept.h"
#include "bitwright/formats/formats.inc"
#include "bitwright/formats/rounding.h"

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace bitwright {

namespace registry {

// The first argument swallows the comma before the first line of formats.inc.
template <typename Nothing, NumberFormatType... Formats>
struct FormatList {
  using Format = std::variant<Formats...>;
  using Parameters = std::variant<typename Formats::Parameters...>;
};

#define BITWRIGHT_FORMAT(type, name, tag) , type
using Formats = FormatList<void
#include "bitwright/formats/formats.inc"
                           >;
#undef BITWRIGHT_FORMAT

}  // namespace registry

/// Parameters that turn the codes of one tensor into values (exponents, scales, buckets, points); alternative i belongs to format i.
using FormatParameters = registry::Formats::Parameters;

/// One line of formats.inc with its cells of the table in docs/quantization.md.
struct RegisteredFormat {
  std::string_view name;
  std::uint8_t tag = 0;
  std::string_view syntax;
  std::string_view example;                   ///< a text form that parses
  std::span<const std::string_view> samples;  ///< text forms across the range of the fields, for conformance tests and benchmarks
  std::string_view code_bits;                 ///< width of one code, as a formula of the fields
  std::string_view parameters;                ///< what is stored beside the codes
  std::string_view bits_per_weight;           ///< codes and parameters, n the number of weights
  bool rounds_to_nearest = true;              ///< encoding without stochastic rounding takes the nearest value
};

/// All of formats.inc, in its order.
[[nodiscard]] std::span<const RegisteredFormat> registered_formats() noexcept;

/// One of the number formats, as a value whose fields are in range.
class NumberFormat {
 public:
  using Variant = registry::Formats::Format;

  /// Implicit on purpose: a format is usable wherever a NumberFormat is asked for. Throws: `Error(usage)` when a field is out of range.
  template <typename Format>
  requires std::constructible_from<Variant, Format> NumberFormat(Format format)
      : format_(std::move(format)) {  // NOLINT(google-explicit-constructor)
    std::visit([](const auto& chosen) { chosen.validate(); }, format_);
  }

  /// Parses the text form, e.g. `fixed<2,14>`, `pow2:5`, `ternary`, `uniform:4/256`, `codebook:16/256`.
  /// Ensures: parse(f.spec()) == f. Throws: `Error(usage)`: unknown name (names the nearest) or fields out of range.
  [[nodiscard]] static NumberFormat parse(std::string_view text);
  [[nodiscard]] std::string spec() const;

  /// Name in formats.inc.
  [[nodiscard]] std::string_view name() const noexcept;
  /// Tag in the packed file.
  [[nodiscard]] std::uint8_t tag() const noexcept;

  /// Width of one code in bits, and the number of different codes (0 .. code_count-1, but two's complement for `FixedPoint`).
  [[nodiscard]] int code_bits() const noexcept;
  [[nodiscard]] std::int64_t code_count() const noexcept;
  /// How the codes lie in bytes; `packed_code_bytes(code_layout(), code_bits(), n)` is their size.
  [[nodiscard]] CodeLayout code_layout() const noexcept;
  /// Bytes that the parameters of a tensor of this many elements take.
  [[nodiscard]] std::int64_t parameter_bytes(std::int64_t element_count) const noexcept;

  [[nodiscard]] const Variant& variant() const noexcept { return format_; }
  template <typename Format>
  [[nodiscard]] const Format* get_if() const noexcept {
    return std::get_if<Format>(&format_);
  }

  friend bool operator==(const NumberFormat&, const NumberFormat&) = default;

 private:
  Variant format_;
};

}  // namespace bitwright
