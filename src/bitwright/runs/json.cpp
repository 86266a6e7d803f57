// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runs/json.h"

#include "bitwright/core/error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <optional>

namespace bitwright {
namespace {

using Json = nlohmann::json;

std::string to_json_text(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);  // bytes that are not UTF-8 become U+FFFD
}

std::string to_json_number(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  std::string text = fmt::format("{}", value);  // the shortest text that reads back equal
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::optional<MetricValue> to_value(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number_float()) return json.get<double>();
  return std::nullopt;
}

Json parse_object(std::string_view text, std::string_view source) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) fail(ErrorCode::corrupt_file, "{}: this is no JSON; delete the file or the line.", source);
  if (!json.is_object()) {
    fail(ErrorCode::corrupt_file, "{}: this is no JSON object (found {}); delete the file or the line.", source, json.type_name());
  }
  return json;
}

[[noreturn]] void fail_value(std::string_view source, const std::string& key, const Json& value) {
  fail(ErrorCode::corrupt_file, "{}: `{}` has a value of the wrong kind (found {}, need a number or a text); correct it.", source, key,
       value.is_number() ? "a number that is too big" : value.type_name());
}

void flatten(const Json& json, const std::string& prefix, std::string_view source, Metrics& result) {
  for (const auto& [key, value] : json.items()) {
    const std::string path = prefix.empty() ? key : prefix + "." + key;
    if (value.is_structured()) {
      flatten(value, path, source, result);
    } else if (const std::optional<MetricValue> known = to_value(value)) {
      result.emplace(path, *known);
    } else {
      fail_value(source, path, value);
    }
  }
}

}  // namespace

std::string to_json_value(const MetricValue& value) {
  if (const auto* const number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* const number = std::get_if<double>(&value)) return to_json_number(*number);
  return to_json_text(std::get<std::string>(value));
}

std::string to_json_line(const Metrics& metrics) {
  std::string line = "{";
  for (const auto& [key, value] : metrics) {
    if (line.size() > 1) line += ", ";
    line += to_json_text(key) + ": " + to_json_value(value);
  }
  return line + "}";
}

std::string to_pretty_json(const Metrics& metrics) {
  std::string text = "{";
  for (const auto& [key, value] : metrics) {
    text += text.size() > 1 ? ",\n  " : "\n  ";
    text += to_json_text(key) + ": " + to_json_value(value);
  }
  return text + (metrics.empty() ? "}\n" : "\n}\n");
}

Metrics parse_json_line(std::string_view line, std::string_view source) {
  Metrics result;
  const Json json = parse_object(line, source);
  for (const auto& [key, value] : json.items()) {
    const std::optional<MetricValue> known = to_value(value);
    if (!known) fail_value(source, key, value);
    result.emplace(key, *known);
  }
  return result;
}

Metrics parse_nested_json(std::string_view text, std::string_view source) {
  Metrics result;
  flatten(parse_object(text, source), "", source, result);
  return result;
}

}  // namespace bitwright
