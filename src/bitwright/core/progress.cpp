// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/progress.h"

#include "bitwright/core/error.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{100};
constexpr std::chrono::seconds kPlainInterval{5};
constexpr int kBarWidth = 24;

std::string format_rate(double per_second) {
  return per_second >= 10.0 ? fmt::format("{:.0f}", per_second) : fmt::format("{:.2g}", per_second);
}

}  // namespace

Progress::Progress(std::FILE* stream, std::string title, std::int64_t total, std::string unit)
    : stream_(stream),
      title_(std::move(title)),
      total_(total),
      unit_(std::move(unit)),
      is_terminal_(::isatty(::fileno(stream)) == 1),
      start_(std::chrono::steady_clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  // An exception left the bar open: end its line so that the error message stands on its own.
  if (!finished_ && is_terminal_ && last_draw_ != start_) std::fputc('\n', stream_);
}

void Progress::update(std::int64_t done, std::string_view note) {
  done_ = done;
  note_ = note;
  const auto interval = is_terminal_ ? std::chrono::steady_clock::duration(kTerminalInterval) : kPlainInterval;
  if (std::chrono::steady_clock::now() - last_draw_ >= interval) draw(Line::more);
}

void Progress::finish(std::string_view note) {
  if (finished_) return;
  note_ = note;
  draw(Line::last);
  finished_ = true;
}

void Progress::draw(Line which) {
  last_draw_ = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(last_draw_ - start_).count();
  const double share = total_ > 0 ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0) : 0.0;
  const double rate = seconds > 0.0 ? static_cast<double>(done_) / seconds : 0.0;

  std::string line = title_;
  if (is_terminal_) {
    const int filled = static_cast<int>(std::lround(share * kBarWidth));
    line += fmt::format(" [{}{}]", std::string(static_cast<std::size_t>(filled), '#'),
                        std::string(static_cast<std::size_t>(kBarWidth - filled), '.'));
  }
  line += fmt::format(" {:3.0f} % {}/{} {}, {} {}/s", std::floor(100.0 * share), done_, total_, unit_, format_rate(rate), unit_);
  if (which == Line::last) {
    line += ", took " + format_duration(seconds);
  } else if (rate > 0.0) {
    line += ", " + format_duration(static_cast<double>(std::max<std::int64_t>(0, total_ - done_)) / rate) + " left";
  }
  if (!note_.empty()) line += ", " + note_;

  // On a terminal: back to the start of the line, then erase what a longer line before left behind.
  if (is_terminal_) {
    std::fprintf(stream_, "\r%s\x1b[K%s", line.c_str(), which == Line::last ? "\n" : "");
  } else {
    std::fprintf(stream_, "%s\n", line.c_str());
  }
  std::fflush(stream_);
}

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0.0, 1e12)));
  const std::int64_t hours = total / 3600;
  const std::int64_t minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{} h {:02} min", hours, minutes);
  if (minutes > 0) return fmt::format("{} min {:02} s", minutes, total % 60);
  return fmt::format("{} s", total);
}

}  // namespace bitwright
