// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/error.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bitwright {

/// A whole decimal number, digits only; nothing where the text is anything else. Numbers beyond int64 come back as its largest.
[[nodiscard]] inline std::optional<std::int64_t> integer_field(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return INT64_MAX;
  return value;
}

/// Refuses a text form that does not follow the format's syntax.
template <typename Format>
[[noreturn]] void fail_format_syntax(std::string_view whole_text) {
  fail(ErrorCode::usage, "format {}: does not follow the syntax (found {}, need {}); write for example {}.", whole_text, whole_text,
       Format::kSyntax, Format::kExample);
}

/// Refuses a field that is out of range.
inline void check_format_field(std::string_view spec, std::string_view field, std::int64_t found, std::int64_t low, std::int64_t high) {
  if (found >= low && found <= high) return;
  fail(ErrorCode::usage, "format {}: {} out of range (found {}, need {} to {}); choose a value in that range.", spec, field, found, low,
       high);
}

/// `:NUMBER` or `:NUMBER/BUCKET`.
struct BucketedFields {
  std::int64_t first = 0;
  std::optional<std::int64_t> bucket_size;
};

inline constexpr std::int64_t kLargestBucket = std::int64_t{1} << 31;

/// Nothing where the text has another form.
[[nodiscard]] inline std::optional<BucketedFields> bucketed_fields(std::string_view fields) {
  if (!fields.starts_with(':')) return std::nullopt;
  const std::size_t slash = fields.find('/');
  const auto first = integer_field(fields.substr(1, slash == std::string_view::npos ? slash : slash - 1));
  if (!first) return std::nullopt;
  if (slash == std::string_view::npos) return BucketedFields{.first = *first, .bucket_size = std::nullopt};
  const auto bucket_size = integer_field(fields.substr(slash + 1));
  if (!bucket_size) return std::nullopt;
  return BucketedFields{.first = *first, .bucket_size = bucket_size};
}

/// An out-of-range number as an int, so that `validate` sees that it is out of range.
[[nodiscard]] inline int clamped_int(std::int64_t value) { return value > INT32_MAX ? INT32_MAX : static_cast<int>(value); }

}  // namespace bitwright
