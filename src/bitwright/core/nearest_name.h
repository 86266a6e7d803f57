// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bitwright {

/// The known name with the smallest edit distance to what was typed, for "did you mean" messages. Requires: known is not empty.
[[nodiscard]] std::string nearest_name(std::string_view typed, std::span<const std::string> known);

/// Names joined for a message: `a, b, c`.
[[nodiscard]] std::string join_names(std::span<const std::string> names);

}  // namespace bitwright
