// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace bitwright {

/// Whether the bytes are well-formed UTF-8 (no overlong forms, surrogates or code points above U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Well-formed UTF-8 without control characters: safe to print in a message, to write to JSON and to show on a terminal.
[[nodiscard]] bool is_printable_name(std::string_view text) noexcept;

/// The text with every byte outside printable ASCII as `\xNN`.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace bitwright
