// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/line_child.h"

#include "bitwright/core/error.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

extern char** environ;

namespace bitwright {

LineChild::LineChild(const std::vector<std::string>& arguments) : program_(arguments.front()) {
  // A child that died must be an error of ours, not the end of this process.
  std::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> to{};
  std::array<int, 2> from{};
  const auto fail_to_start = [this](int error) {
    fail(ErrorCode::io, "{}: cannot start the program ({}); install it or check PATH.", program_, std::generic_category().message(error));
  };
  if (::pipe2(to.data(), O_CLOEXEC) != 0) fail_to_start(errno);
  if (::pipe2(from.data(), O_CLOEXEC) != 0) {
    const int error = errno;
    ::close(to[0]);
    ::close(to[1]);
    fail_to_start(error);
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = ::posix_spawnp(&child_, argv.front(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(to[0]);
  ::close(from[1]);
  to_ = ::fdopen(to[1], "w");
  from_ = ::fdopen(from[0], "r");
  if (error != 0) {
    std::fclose(to_);
    std::fclose(from_);
    fail_to_start(error);
  }
}

LineChild::~LineChild() {
  std::fclose(to_);
  std::fclose(from_);
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) continue;
}

std::string LineChild::ask(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), to_);
  std::fputc('\n', to_);
  std::fflush(to_);
  char* answer = nullptr;
  std::size_t capacity = 0;
  const ssize_t length = ::getline(&answer, &capacity, from_);
  std::string text = length > 0 ? std::string(answer, static_cast<std::size_t>(length)) : std::string();
  std::free(answer);
  if (length <= 0) fail(ErrorCode::io, "{}: the program ended without an answer; run it by hand to see why.", program_);
  if (text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace bitwright
