// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

namespace bitwright {
namespace {

std::string content_of(std::FILE* stream) {
  std::rewind(stream);
  std::string text;
  for (int c = std::fgetc(stream); c != EOF; c = std::fgetc(stream)) text += static_cast<char>(c);
  return text;
}

TEST(Progress, PlainStreamGetsOneLineAtTheEndOfShortWork) {
  std::FILE* const stream = std::tmpfile();
  ASSERT_NE(stream, nullptr);
  {
    Progress progress(stream, "train", 4, "images");
    for (int done = 1; done <= 4; ++done) progress.update(done, "loss 0.5");
    progress.finish("loss 0.25");
  }
  EXPECT_THAT(content_of(stream), ::testing::MatchesRegex("train 100 % 4/4 images, .* images/s, took [0-9]+ s, loss 0.25\n"));
  std::fclose(stream);
}

TEST(Progress, FinishingTwiceWritesOnce) {
  std::FILE* const stream = std::tmpfile();
  ASSERT_NE(stream, nullptr);
  Progress progress(stream, "train", 1, "images");
  progress.finish("");
  const std::string once = content_of(stream);
  progress.finish("");
  EXPECT_EQ(content_of(stream), once);
  std::fclose(stream);
}

TEST(Progress, TerminalGetsABarThatIsRedrawnInPlace) {
  int controller = -1;
  int terminal = -1;
  if (openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) GTEST_SKIP() << "no pseudo terminal here";
  std::int64_t drawings_allowed = 2;  // the first after the pause and the last
  std::FILE* const stream = fdopen(terminal, "w");
  {
    Progress progress(stream, "train", 10, "steps");
    std::this_thread::sleep_for(std::chrono::milliseconds(120));  // longer than the interval between drawings
    progress.update(5, "loss 1");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) progress.update(10, "");
    drawings_allowed += static_cast<std::int64_t>((std::chrono::steady_clock::now() - start) / std::chrono::milliseconds(100));
    progress.finish("done");
  }
  // The kernel hands a terminal's output over in pieces and a little later: read on until the line's end, or until nothing comes.
  std::string text;
  pollfd readable{controller, POLLIN, 0};
  while (!text.ends_with('\n') && poll(&readable, 1, 5000) > 0) {
    std::array<char, 4096> buffer{};
    const ssize_t size = read(controller, buffer.data(), buffer.size());
    ASSERT_GT(size, 0);
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  EXPECT_THAT(text, ::testing::HasSubstr("\rtrain [############............]  50 % 5/10 steps, "));
  EXPECT_THAT(text, ::testing::HasSubstr(" left, loss 1"));
  EXPECT_THAT(text, ::testing::HasSubstr("\rtrain [########################] 100 % 10/10 steps, "));
  EXPECT_THAT(text, ::testing::EndsWith("done\x1b[K\r\n"));
  EXPECT_LE(std::ranges::count(text, '\r') - 1, drawings_allowed);  // the terminal itself ends the last line with another
  std::fclose(stream);
  close(controller);
}

TEST(Progress, DurationsReadAsPeopleSayThem) {
  EXPECT_EQ(format_duration(0.4), "0 s");
  EXPECT_EQ(format_duration(45.0), "45 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(200.0), "3 min 20 s");
  EXPECT_EQ(format_duration(3900.0), "1 h 05 min");
  EXPECT_EQ(format_duration(-1.0), "0 s");
}

}  // namespace
}  // namespace bitwright
