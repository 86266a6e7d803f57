// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/number_format.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <array>
#include <type_traits>

namespace bitwright {
namespace {

template <typename Format>
constexpr RegisteredFormat registered(std::string_view name, std::uint8_t tag) {
  return {.name = name,
          .tag = tag,
          .syntax = Format::kSyntax,
          .example = Format::kExample,
          .samples = Format::kSamples,
          .code_bits = Format::kCodeBitsText,
          .parameters = Format::kParametersText,
          .bits_per_weight = Format::kBitsPerWeightText,
          .rounds_to_nearest = Format::kRoundsToNearest};
}

#define BITWRIGHT_FORMAT(type, name, tag) registered<type>(name, tag),
constexpr std::array kRegistered = {
#include "bitwright/formats/formats.inc"
};
#undef BITWRIGHT_FORMAT

constexpr bool tags_and_names_are_unique() {
  for (std::size_t i = 0; i < kRegistered.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (kRegistered[i].tag == kRegistered[j].tag || kRegistered[i].name == kRegistered[j].name) return false;
    }
  }
  return true;
}
static_assert(tags_and_names_are_unique(), "two lines of formats.inc share a name or a tag");

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const RegisteredFormat& entry : kRegistered) names.emplace_back(entry.name);
  return names;
}

}  // namespace

std::span<const RegisteredFormat> registered_formats() noexcept { return kRegistered; }

NumberFormat NumberFormat::parse(std::string_view text) {
  const std::size_t name_length = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
  const std::string_view name = text.substr(0, name_length);
  const std::string_view fields = text.substr(name.size());
#define BITWRIGHT_FORMAT(type, registered_name, tag) \
  if (name == registered_name) return type::parse(fields, text);
#include "bitwright/formats/formats.inc"
#undef BITWRIGHT_FORMAT
  const std::vector<std::string> names = known_names();
  fail(ErrorCode::usage, "format {}: unknown number format (found {}, need one of {}); did you mean {}?", text, name, join_names(names),
       nearest_name(name, names));
}

std::string NumberFormat::spec() const {
  return std::visit([](const auto& format) { return format.spec(); }, format_);
}

std::string_view NumberFormat::name() const noexcept { return kRegistered[format_.index()].name; }

std::uint8_t NumberFormat::tag() const noexcept { return kRegistered[format_.index()].tag; }

int NumberFormat::code_bits() const noexcept {
  return std::visit([](const auto& format) { return format.code_bits(); }, format_);
}

std::int64_t NumberFormat::code_count() const noexcept {
  return std::visit([](const auto& format) { return format.code_count(); }, format_);
}

CodeLayout NumberFormat::code_layout() const noexcept {
  return std::visit([](const auto& format) { return format.code_layout(); }, format_);
}

std::int64_t NumberFormat::parameter_bytes(std::int64_t element_count) const noexcept {
  return std::visit([element_count](const auto& format) { return format.parameter_bytes(element_count); }, format_);
}

}  // namespace bitwright
