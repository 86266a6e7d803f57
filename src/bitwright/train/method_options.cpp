// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/method_options.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <algorithm>

namespace bitwright {

const RecipeValue* MethodOptions::find(std::string_view key) {
  known_.emplace_back(key);
  const auto found = recipe_.options.find(key);
  return found == recipe_.options.end() ? nullptr : &found->second;
}

void MethodOptions::fail_type(std::string_view key, std::string_view need) const {
  static constexpr std::string_view kTypes[] = {"true or false", "an integer",        "a number",
                                                "a string",      "a list of numbers", "a list of strings"};
  fail(ErrorCode::usage, "recipe: method {}: {} has the wrong type (found {}, need {}); change it.", recipe_.name, key,
       kTypes[recipe_.options.find(key)->second.index()], need);
}

std::optional<std::int64_t> MethodOptions::integer(std::string_view key) {
  const RecipeValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<std::int64_t>(value)) return *number;
  fail_type(key, "an integer");
}

std::optional<std::vector<double>> MethodOptions::numbers(std::string_view key) {
  const RecipeValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* list = std::get_if<std::vector<double>>(value)) return *list;
  fail_type(key, "a list of numbers");
}

std::vector<std::string> MethodOptions::texts(std::string_view key) {
  const RecipeValue* value = find(key);
  if (value == nullptr) return {};
  if (const auto* list = std::get_if<std::vector<std::string>>(value)) return *list;
  if (const auto* list = std::get_if<std::vector<double>>(value); list != nullptr && list->empty()) return {};
  fail_type(key, "a list of strings");
}

std::size_t MethodOptions::name(std::string_view key, std::span<const std::string> names) {
  const RecipeValue* value = find(key);
  if (value == nullptr) return 0;
  const auto* text = std::get_if<std::string>(value);
  if (text == nullptr) fail_type(key, "a string");
  const auto found = std::ranges::find(names, *text);
  if (found == names.end()) {
    fail(ErrorCode::usage, "recipe: method {}: {} is not known (found \"{}\", need one of: {}); nearest: {}.", recipe_.name, key, *text,
         join_names(names), nearest_name(*text, names));
  }
  return static_cast<std::size_t>(found - names.begin());
}

void MethodOptions::finish() const {
  for (const auto& [key, value] : recipe_.options) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    fail(ErrorCode::usage, "recipe: method {}: unknown key \"{}\" (nearest: {}); rename or remove it.", recipe_.name, key,
         nearest_name(key, known_));
  }
}

}  // namespace bitwright
