// SPDX-License-Identifier: Apache-2.0
#pragma once

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

  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key);
  [[nodiscard]] std::optional<std::vector<double>> numbers(std::string_view key);
  [[nodiscard]] std::vector<std::string> texts(std::string_view key);
  /// Index of the value in `names`; 0 when the key is absent.
  [[nodiscard]] std::size_t name(std::string_view key, std::span<const std::string> names);

  /// Throws: `Error(usage)` on a key that nobody asked for; names the nearest known one.
  void finish() const;

 private:
  const RecipeValue* find(std::string_view key);
  [[noreturn]] void fail_type(std::string_view key, std::string_view need) const;

  const MethodRecipe& recipe_;
  std::vector<std::string> known_;
};

}  // namespace bitwright
