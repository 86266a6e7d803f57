// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <functional>
#include <string>
#include <vector>

namespace bitwright::test {

/// One way to use bitwright wrongly and everything it may say about it.
struct BadInput {
  std::string name;
  /// Puts the bad thing into the empty folder; returns the arguments. The program runs inside that folder.
  std::function<std::vector<std::string>(const std::filesystem::path& folder)> prepare;
  int exit_code;
  /// The one line on stderr, after `bitwright`; `{folder}` stands for the folder.
  std::string message;
  ProcessOptions options = {};
};

/// Runs it: exit code and whole message are right, stdout is empty, and no file or folder came, went or changed.
void expect_refusal(const BadInput& row);

/// So that a failing case prints its name only.
inline void PrintTo(const BadInput& row, std::ostream* stream) { *stream << row.name; }

}  // namespace bitwright::test
