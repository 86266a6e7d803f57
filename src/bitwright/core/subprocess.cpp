// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/subprocess.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

extern char** environ;

namespace bitwright {
namespace {

constexpr std::size_t kKeptOutput = 65536;

[[noreturn]] void fail_to_start(const std::string& program, int error) {
  fail(ErrorCode::io, "{}: cannot start the program ({}); install it or check PATH.", program, std::generic_category().message(error));
}

/// The spawn attributes that wire a child to one pipe.
class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  [[nodiscard]] posix_spawn_file_actions_t* get() noexcept { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

SubprocessResult run_subprocess(const std::vector<std::string>& arguments, const std::filesystem::path& working_folder, KeptStreams kept) {
  BITWRIGHT_ASSERT(!arguments.empty());
  if (!working_folder.empty() && !std::filesystem::is_directory(working_folder)) {
    fail(ErrorCode::io, "{}: cannot work in this folder (found no folder, need one); make it first.", working_folder.string());
  }
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) fail_to_start(arguments.front(), errno);
  const auto [read_end, write_end] = pipe_ends;

  FileActions actions;
  ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), write_end, STDOUT_FILENO);
  if (kept == KeptStreams::stdout_and_stderr) ::posix_spawn_file_actions_adddup2(actions.get(), write_end, STDERR_FILENO);
  if (!working_folder.empty()) ::posix_spawn_file_actions_addchdir_np(actions.get(), working_folder.c_str());

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = -1;
  const int spawn_error = ::posix_spawnp(&child, argv.front(), actions.get(), nullptr, argv.data(), environ);
  ::close(write_end);
  if (spawn_error != 0) {
    ::close(read_end);
    fail_to_start(arguments.front(), spawn_error);
  }

  SubprocessResult result;
  std::array<char, 4096> chunk{};
  while (true) {
    const ssize_t count = ::read(read_end, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    result.output.append(chunk.data(), static_cast<std::size_t>(count));
    if (result.output.size() > kKeptOutput) result.output.erase(0, result.output.size() - kKeptOutput);
  }
  ::close(read_end);

  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail_to_start(arguments.front(), errno);
  }
  result.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace bitwright
