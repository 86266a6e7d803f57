// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitwright {

/// Bounds of a number in a recipe.
template <typename Number>
struct RecipeRange {
  Number lowest;
  Number highest;
};

/// Reads one TOML table key by key; every key asked for becomes known, and `finish` refuses the others.
/// Throws: `Error(usage)` from every function: `SOURCE line N: train.batch is out of range (found 0, need 1 to 65536); change it.`
class RecipeTable {
 public:
  /// `prefix` is written before a key in messages, e.g. `train.`.
  RecipeTable(const toml::table& table, std::string prefix, std::string source)
      : table_(table), prefix_(std::move(prefix)), source_(std::move(source)) {}

  /// Each reads `key` into `value` when the table has it.
  void read(std::string_view key, std::string& value);
  void read(std::string_view key, bool& value);
  void read(std::string_view key, std::int64_t& value, RecipeRange<std::int64_t> range);
  void read(std::string_view key, double& value, RecipeRange<double> range);
  void read(std::string_view key, std::vector<double>& value);
  /// A name out of `names`; `value` becomes its index.
  void read_name(std::string_view key, std::size_t& value, std::span<const std::string> names);

  /// Throws: `Error(usage)` on the first key that nobody asked for; names the nearest known one.
  void finish() const;

  /// `SOURCE line N: train.lr`
  [[nodiscard]] std::string where(std::string_view key) const;

 private:
  const toml::node* find(std::string_view key);
  [[noreturn]] void fail_type(std::string_view key, const toml::node& found, std::string_view need) const;

  const toml::table& table_;
  std::string prefix_;
  std::string source_;
  std::vector<std::string> known_;
};

/// `SOURCE line N`, or only SOURCE for what did not come from a file.
[[nodiscard]] std::string toml_place(const std::string& source, const toml::node& node);

/// What a TOML value is, for messages: `a string`, `an integer`, …
[[nodiscard]] std::string_view toml_type_name(const toml::node& node) noexcept;

}  // namespace bitwright
