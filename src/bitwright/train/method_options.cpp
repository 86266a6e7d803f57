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

std::optional<bool> MethodOptions::boolean(std::string_view key) {
  const RecipeValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* truth = std::get_if<bool>(value)) return *truth;
  fail_type(key, "true or false");
}

std::optional<std::int64_t> MethodOptions::integer(std::string_view key, std::int64_t lowest, std::int64_t highest) {
  const std::optional<std::int64_t> value = integer(key);
  if (value && (*value < lowest || *value > highest)) {
    fail(ErrorCode::usage, "recipe: method {}: {} is out of range (found {}, need {} to {}); change it.", recipe_.name, key, *value, lowest,
         highest);
  }
  return value;
}

std::optional<double> MethodOptions::real(std::string_view key, double lowest, double highest) {
  const RecipeValue* found = find(key);
  if (found == nullptr) return std::nullopt;
  double value = 0.0;
  if (const auto* number = std::get_if<double>(found)) {
    value = *number;
  } else if (const auto* whole = std::get_if<std::int64_t>(found)) {
    value = static_cast<double>(*whole);
  } else {
    fail_type(key, "a number");
  }
  if (!(value >= lowest && value <= highest)) {
    fail(ErrorCode::usage, "recipe: method {}: {} is out of range (found {}, need {} to {}); change it.", recipe_.name, key, value, lowest,
         highest);
  }
  return value;
}

std::optional<std::string> MethodOptions::text(std::string_view key) {
  const RecipeValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  fail_type(key, "a string");
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

std::vector<BitRule> MethodOptions::plan(std::string_view format_name, std::string_view need) {
  std::vector<BitRule> plan;
  for (const std::string& rule : texts("plan")) {
    const auto equals = rule.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      fail(ErrorCode::usage, "recipe: method {}: plan has a rule that is not PATTERN=FORMAT (found \"{}\"); e.g. \"conv1.weight={}\".",
           recipe_.name, rule, need);
    }
    const std::string format = rule.substr(equals + 1);
    if (format == "float") {
      plan.push_back({rule.substr(0, equals), std::nullopt});
      continue;
    }
    const NumberFormat parsed = NumberFormat::parse(format);
    if (!format_name.empty() && parsed.name() != format_name) {
      fail(ErrorCode::usage,
           "recipe: method {}: plan asks for a format that this method does not make (found \"{}\", need {} or float); {}", recipe_.name,
           rule, need, "change the rule.");
    }
    plan.push_back({rule.substr(0, equals), parsed});
  }
  return plan;
}

void MethodOptions::finish() const {
  for (const auto& [key, value] : recipe_.options) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    fail(ErrorCode::usage, "recipe: method {}: unknown key \"{}\" (nearest: {}); rename or remove it.", recipe_.name, key,
         nearest_name(key, known_));
  }
}

}  // namespace bitwright
