// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bitwright {

/// Called when `BITWRIGHT_ASSERT` fails; it must not return. Tests install one that throws.
using AssertHandler = void (*)(const char* expression, const char* file, int line);

/// Installs a handler and returns the one before it.
AssertHandler set_assert_handler(AssertHandler handler) noexcept;

/// Reports a failed assertion to the installed handler.
[[noreturn]] void assert_failed(const char* expression, const char* file, int line);

}  // namespace bitwright

/// States what no input can make false. What input can make false is an `Error`, not an assertion.
#define BITWRIGHT_ASSERT(expression) ((expression) ? static_cast<void>(0) : ::bitwright::assert_failed(#expression, __FILE__, __LINE__))
