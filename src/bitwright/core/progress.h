// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace bitwright {

/// Progress of long work on a stream: a bar with rate and time left on a terminal, a plain line every few seconds otherwise.
///
/// Libraries never print; a `Progress` is made by an app and handed down.
class Progress {
 public:
  /// `total` in `unit`s; `min_interval` limits how often the stream is written.
  Progress(std::FILE* stream, std::string title, std::int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Sets how much is done; `note` is shown behind it (loss, accuracy).
  void update(std::int64_t done, std::string_view note);
  /// Ends the bar with a last line.
  void finish(std::string_view note);

 private:
  enum class Line { more, last };
  void draw(Line which);
  std::FILE* stream_;
  std::string title_;
  std::int64_t total_;
  std::string unit_;
  std::int64_t done_ = 0;
  std::string note_;
  bool is_terminal_;
  bool finished_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_draw_;
};

/// Duration as people read it: `45 s`, `3 min 20 s`, `1 h 05 min`.
[[nodiscard]] std::string format_duration(double seconds);

}  // namespace bitwright
