// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitwright {

struct SubprocessResult {
  int exit_status = 0;  ///< exit code, or 128 + signal
  std::string output;   ///< stdout and stderr together, at most the last 4096 bytes
};

/// Runs a program found on PATH, without a shell, and waits for it.
/// Throws: `Error(io)` when it can't be started (e.g. not installed).
[[nodiscard]] SubprocessResult run_subprocess(const std::vector<std::string>& arguments, const std::filesystem::path& working_folder);

}  // namespace bitwright
