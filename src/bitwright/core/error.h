// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace bitwright {

/// What kind of failure ended an operation. Each code has exactly one exit code (`exit_code`).
enum class ErrorCode {
  check_failed,   ///< a check the user asked for said no               -> exit 1
  usage,          ///< the command, recipe or argument makes no sense   -> exit 2
  invalid_input,  ///< an input file or tensor is wrong                 -> exit 3
  corrupt_file,   ///< a file is damaged, truncated or from the future  -> exit 3
  unsupported,    ///< well formed, but nothing here can do it          -> exit 3
  io,             ///< the operating system refused to read or write    -> exit 4
  numerical,      ///< a loss or weight stopped being finite            -> exit 5
  internal,       ///< a defect in bitwright                            -> exit 70
};

/// The only exception bitwright's libraries throw.
///
/// The message is one line: `where: what is wrong (found X, need Y); how to fix.`
class Error : public std::exception {
 public:
  /// Names in a message are often a file's, and may hold anything: control characters become `\xNN`.
  Error(ErrorCode code, std::string_view message);

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

/// Exit code of the command line for a failure of this kind.
[[nodiscard]] int exit_code(ErrorCode code) noexcept;

/// Name of the code as it stands in the source, e.g. `corrupt_file`.
[[nodiscard]] std::string_view error_code_name(ErrorCode code) noexcept;

/// Throws `Error` with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace bitwright
