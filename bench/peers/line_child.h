// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// A child process that answers one line to every line it is given. It ends with this object, by the end of its input.
class LineChild {
 public:
  /// Starts a program found on PATH. Throws: `Error(io)` when it can't be started.
  explicit LineChild(const std::vector<std::string>& arguments);
  ~LineChild();
  LineChild(const LineChild&) = delete;
  LineChild& operator=(const LineChild&) = delete;

  /// Gives a line (without its end) and waits for the answer. Requires: a line that a pipe holds (64 KiB), so that nobody waits for the
  /// other. Throws: `Error(io)` when the child has ended.
  [[nodiscard]] std::string ask(std::string_view line);

 private:
  std::string program_;
  pid_t child_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace bitwright
