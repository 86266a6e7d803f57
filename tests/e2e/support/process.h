// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::test {

struct ProcessOptions {
  std::filesystem::path working_folder = {};             ///< empty = ours
  std::map<std::string, std::string> environment = {};   ///< set on top of ours
  std::optional<std::uint64_t> largest_file_bytes = {};  ///< a write past it fails with EFBIG, as one on a full disk fails with ENOSPC
  std::filesystem::path stdout_path = {};                ///< empty = captured
  /// Whether root keeps its power to write where permissions say no. Others never have it.
  enum class Permissions { as_they_are, obeyed } permissions = Permissions::as_they_are;
};

struct ProcessResult {
  int exit_code = 0;  ///< 128 + signal when one ended it
  std::string out;
  std::string err;
};

/// A started program whose output is captured.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  /// Kills what still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const;
  /// True when the program has ended.
  [[nodiscard]] bool ended();
  /// Waits until it ends, at most so long. Returns whether it ended.
  bool wait_for(std::chrono::milliseconds time);
  /// Waits for the end and returns what it said.
  ProcessResult finish();

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::optional<int> status_;
};

/// Runs a program to its end.
[[nodiscard]] ProcessResult run_process(const std::vector<std::string>& arguments, const ProcessOptions& options = {});

/// Runs the built `bitwright`.
[[nodiscard]] ProcessResult bitwright(std::vector<std::string> arguments, const ProcessOptions& options = {});

/// Path of the built `bitwright`.
[[nodiscard]] std::string bitwright_path();

/// Every file below a folder with its bytes; folders are there with the text `folder`. For "nothing half-written".
[[nodiscard]] std::map<std::string, std::string> folder_content(const std::filesystem::path& folder);

[[nodiscard]] std::string read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::string& content);

}  // namespace bitwright::test
