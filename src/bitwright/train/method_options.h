// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/bit_plan.h"
#include "bitwright/train/recipe.h"

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Reads a `[[method]]` table key by key; every key asked for becomes known, and `finish` refuses the others.
/// Throws: `Error(usage)` from every function, beginning `recipe: method NAME: `.
class MethodOptions {
 public:
  explicit MethodOptions(const MethodRecipe& recipe) : recipe_(recipe) {}

  [[nodiscard]] std::optional<bool> boolean(std::string_view key);
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key);
  /// Both within the bounds. Throws: also when the value is out of them.
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key, std::int64_t lowest, std::int64_t highest);
  /// An integer in the recipe counts too.
  [[nodiscard]] std::optional<double> real(std::string_view key, double lowest, double highest);
  [[nodiscard]] std::optional<std::string> text(std::string_view key);
  [[nodiscard]] std::optional<std::vector<double>> numbers(std::string_view key);
  [[nodiscard]] std::vector<std::string> texts(std::string_view key);
  /// Index of the value in `names`; 0 when the key is absent.
  [[nodiscard]] std::size_t name(std::string_view key, std::span<const std::string> names);

  /// The key `plan`: rules `PATTERN=FORMAT`, FORMAT `float` or a text form of the format `format_name` (its name in formats.inc; empty:
  /// of any format); the first match wins. `need` describes them in messages, e.g. `pow2:BITS`.
  [[nodiscard]] std::vector<BitRule> plan(std::string_view format_name, std::string_view need);

  /// Throws: `Error(usage)` on a key that nobody asked for; names the nearest known one.
  void finish() const;

 private:
  const RecipeValue* find(std::string_view key);
  [[noreturn]] void fail_type(std::string_view key, std::string_view need) const;

  const MethodRecipe& recipe_;
  std::vector<std::string> known_;
};

}  // namespace bitwright
