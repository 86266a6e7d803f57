// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/nearest_name.h"

#include "bitwright/core/assert.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace bitwright {
namespace {

/// Insertions, deletions and replacements that turn one text into the other (Levenshtein), one row of the table at a time.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

}  // namespace

std::string nearest_name(std::string_view typed, std::span<const std::string> known) {
  BITWRIGHT_ASSERT(!known.empty());
  return *std::ranges::min_element(known, {}, [typed](const std::string& name) { return edit_distance(typed, name); });
}

std::string join_names(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace bitwright
