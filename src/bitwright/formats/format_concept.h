// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"
#include "bitwright/formats/layout.h"
#include "bitwright/formats/parameters.h"
#include "bitwright/formats/rounding.h"

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitwright {

// The formatter breaks requires-expressions apart.
// clang-format off

/// What the registry asks of a number format; a type that offers all this needs only its lines in formats.inc.
///
/// - `kSyntax`, `kExample`, `kSamples`: text form in general, one that parses, and some across the range of the fields, over which
///   conformance tests and benchmarks run; buckets of samples hold at least 64 elements.
/// - `kCodeBitsText`, `kParametersText`, `kBitsPerWeightText`: its cells of the table in docs/quantization.md.
/// - `kRoundsToNearest`: encoding takes the nearest value unless another rounding is asked for.
/// - `validate`: throws `Error(usage)` when a field is out of range. `parse`: reads what follows the name; throws `Error(usage)`.
/// - `code_range`: codes that mean something under these parameters. `code_layout`: how they lie in bytes.
/// - `parameter_problem`: empty, or what is wrong with parameters for this many elements (`what (found X, need Y)`).
/// - `parameter_bytes`, `write_parameters`, `read_parameters`: their form in the file; `read_parameters` checks nothing but the length.
/// - `fit`, `encode`, `decode`: see quantized_tensor.h.
template <typename Format>
concept NumberFormatType =
    std::equality_comparable<Format> && std::equality_comparable<typename Format::Parameters> &&
    requires(const Format& format, const typename Format::Parameters& parameters, std::string_view text, std::int64_t count,
             std::span<const float> values, std::span<float> values_out, std::span<const std::int32_t> codes,
             std::span<std::int32_t> codes_out, const RoundingContext& rounding, ByteWriter& writer, ByteReader& reader) {
      { Format::kSyntax } -> std::convertible_to<std::string_view>;
      { Format::kExample } -> std::convertible_to<std::string_view>;
      { Format::kSamples } -> std::convertible_to<std::span<const std::string_view>>;
      { Format::kCodeBitsText } -> std::convertible_to<std::string_view>;
      { Format::kParametersText } -> std::convertible_to<std::string_view>;
      { Format::kBitsPerWeightText } -> std::convertible_to<std::string_view>;
      { Format::kRoundsToNearest } -> std::convertible_to<bool>;
      { Format::parse(text, text) } -> std::same_as<Format>;
      { format.validate() } -> std::same_as<void>;
      { format.spec() } -> std::same_as<std::string>;
      { format.code_bits() } noexcept -> std::same_as<int>;
      { format.code_count() } noexcept -> std::same_as<std::int64_t>;
      { format.code_layout() } noexcept -> std::same_as<CodeLayout>;
      { format.code_range(parameters) } noexcept -> std::same_as<CodeRange>;
      { format.parameter_problem(parameters, count) } -> std::same_as<std::string>;
      { format.parameter_bytes(count) } noexcept -> std::same_as<std::int64_t>;
      { format.write_parameters(parameters, writer) } -> std::same_as<void>;
      { format.read_parameters(reader, count) } -> std::same_as<typename Format::Parameters>;
      { format.fit(values) } -> std::same_as<typename Format::Parameters>;
      { format.encode(parameters, values, rounding, codes_out) } -> std::same_as<void>;
      { format.decode(parameters, codes, values_out) } -> std::same_as<void>;
    };

// clang-format on

}  // namespace bitwright
