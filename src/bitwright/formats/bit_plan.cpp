// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/bit_plan.h"

namespace bitwright {
namespace {

/// Whole-text match of `*` and `?`. On a mismatch the last star swallows one character more, so the cost is at most text times pattern.
bool matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t swallowed_to = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      swallowed_to = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++swallowed_to;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

std::optional<NumberFormat> BitPlan::format_for(std::string_view weight_name) const {
  for (const BitRule& rule : rules_) {
    if (matches(rule.pattern, weight_name)) return rule.format;
  }
  return std::nullopt;
}

}  // namespace bitwright
