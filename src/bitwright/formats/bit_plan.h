// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/number_format.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// One rule of a `BitPlan`: weights whose name matches `pattern` (`*` any run of characters, `?` one character) get `format`; no format
/// means "stays float".
struct BitRule {
  std::string pattern;
  std::optional<NumberFormat> format;
  friend bool operator==(const BitRule&, const BitRule&) = default;
};

/// Ordered rules "weight name pattern -> format"; the first match wins; no match means float.
class BitPlan {
 public:
  BitPlan() = default;
  explicit BitPlan(std::vector<BitRule> rules) : rules_(std::move(rules)) {}

  /// The format for a weight, or nothing when it stays float.
  [[nodiscard]] std::optional<NumberFormat> format_for(std::string_view weight_name) const;
  [[nodiscard]] const std::vector<BitRule>& rules() const noexcept { return rules_; }

 private:
  std::vector<BitRule> rules_;
};

}  // namespace bitwright
