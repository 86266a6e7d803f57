// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitwright {

/// Which of a program's streams `run_subprocess` keeps; a stream that is not kept goes where ours goes.
enum class KeptStreams { stdout_and_stderr, stdout_only };

struct SubprocessResult {
  int exit_status = 0;  ///< exit code, or 128 + signal
  std::string output;   ///< of the kept streams together, at most the last 64 KiB
};

/// Runs a program found on PATH, without a shell, and waits for it.
/// Throws: `Error(io)` when it can't be started (e.g. not installed).
[[nodiscard]] SubprocessResult run_subprocess(const std::vector<std::string>& arguments, const std::filesystem::path& working_folder,
                                              KeptStreams kept = KeptStreams::stdout_and_stderr);

}  // namespace bitwright
