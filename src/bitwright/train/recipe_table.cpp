// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/recipe_table.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

std::string toml_place(const std::string& source, const toml::node& node) {
  const auto line = node.source().begin.line;
  return line == 0 ? source : fmt::format("{} line {}", source, line);
}

std::string_view toml_type_name(const toml::node& node) noexcept {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a number";
    case toml::node_type::boolean: return "true or false";
    default: return "a date or time";
  }
}

const toml::node* RecipeTable::find(std::string_view key) {
  known_.emplace_back(key);
  return table_.get(key);
}

std::string RecipeTable::where(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return fmt::format("{}: {}{}", toml_place(source_, node != nullptr ? *node : static_cast<const toml::node&>(table_)), prefix_, key);
}

void RecipeTable::fail_type(std::string_view key, const toml::node& found, std::string_view need) const {
  fail(ErrorCode::usage, "{} has the wrong type (found {}, need {}); change it.", where(key), toml_type_name(found), need);
}

void RecipeTable::read(std::string_view key, std::string& value) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_string()) fail_type(key, *node, "a string");
  value = node->as_string()->get();
}

void RecipeTable::read(std::string_view key, bool& value) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_boolean()) fail_type(key, *node, "true or false");
  value = node->as_boolean()->get();
}

void RecipeTable::read(std::string_view key, std::int64_t& value, RecipeRange<std::int64_t> range) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_integer()) fail_type(key, *node, "an integer");
  const std::int64_t found = node->as_integer()->get();
  if (found < range.lowest || found > range.highest) {
    fail(ErrorCode::usage, "{} is out of range (found {}, need {} to {}); change it.", where(key), found, range.lowest, range.highest);
  }
  value = found;
}

void RecipeTable::read(std::string_view key, double& value, RecipeRange<double> range) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_number()) fail_type(key, *node, "a number");
  const double found = *node->value<double>();
  if (!(found >= range.lowest && found <= range.highest)) {
    fail(ErrorCode::usage, "{} is out of range (found {}, need {} to {}); change it.", where(key), found, range.lowest, range.highest);
  }
  value = found;
}

void RecipeTable::read(std::string_view key, std::vector<double>& value) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_array()) fail_type(key, *node, "a list of numbers");
  std::vector<double> found;
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_number()) fail_type(key, element, "a list of numbers");
    found.push_back(*element.value<double>());
  }
  value = std::move(found);
}

void RecipeTable::read_name(std::string_view key, std::size_t& value, std::span<const std::string> names) {
  std::string found;
  read(key, found);
  if (table_.get(key) == nullptr) return;
  const auto name = std::ranges::find(names, found);
  if (name == names.end()) {
    fail(ErrorCode::usage, "{} is not known (found \"{}\", need one of: {}); nearest: {}.", where(key), found, join_names(names),
         nearest_name(found, names));
  }
  value = static_cast<std::size_t>(name - names.begin());
}

void RecipeTable::finish() const {
  for (const auto& [key, node] : table_) {
    if (std::ranges::find(known_, std::string_view(key.str())) != known_.end()) continue;
    fail(ErrorCode::usage, "{}: unknown key \"{}{}\" (nearest: {}{}); rename or remove it.", toml_place(source_, node), prefix_, key.str(),
         prefix_, nearest_name(key.str(), known_));
  }
}

}  // namespace bitwright
