// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/support/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace bitwright::test {
namespace {

[[noreturn]] void child_failed(const char* step) {
  const std::string message = std::string(step) + ": " + std::strerror(errno) + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(127);
}

void become(std::vector<char*>& argv, const ProcessOptions& options, int out, int err) {
  if (::dup2(out, STDOUT_FILENO) < 0 || ::dup2(err, STDERR_FILENO) < 0) child_failed("dup2");
  if (!options.working_folder.empty() && ::chdir(options.working_folder.c_str()) != 0) child_failed("chdir");
  for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (options.permissions == ProcessOptions::Permissions::obeyed && ::getuid() == 0) {
    // Root's children get back every capability that is in the bounding set, and only those.
    for (const int capability : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER}) {
      if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) child_failed("drop capability");
    }
  }
  if (options.largest_file_bytes) {
    const rlimit limit = {*options.largest_file_bytes, *options.largest_file_bytes};
    if (::signal(SIGXFSZ, SIG_IGN) == SIG_ERR || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) child_failed("setrlimit");
  }
  ::execv(argv.front(), argv.data());
  child_failed(argv.front());
}

std::string read_all(int descriptor) {
  std::string text;
  if (::lseek(descriptor, 0, SEEK_SET) < 0) return text;
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  // Files in memory take any amount of output without a reader.
  err_ = ::memfd_create("stderr", MFD_CLOEXEC);
  out_ = options.stdout_path.empty() ? ::memfd_create("stdout", MFD_CLOEXEC)
                                     : ::open(options.stdout_path.c_str(), O_WRONLY | O_CLOEXEC | O_CLOEXEC);
  if (out_ < 0 || err_ < 0) throw std::system_error(errno, std::generic_category(), "output of " + arguments.front());
  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) become(argv, options, out_, err_);
}

Process::~Process() {
  if (!status_ && pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(out_);
  ::close(err_);
}

void Process::send(int signal) const {
  if (!status_) ::kill(pid_, signal);
}

bool Process::ended() {
  if (status_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_.has_value();
}

bool Process::wait_for(std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (!ended()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

ProcessResult Process::finish() {
  if (!status_) {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    status_ = status;
  }
  ProcessResult result;
  result.exit_code = WIFSIGNALED(*status_) ? 128 + WTERMSIG(*status_) : WEXITSTATUS(*status_);
  result.out = read_all(out_);
  result.err = read_all(err_);
  return result;
}

ProcessResult run_process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  return Process(arguments, options).finish();
}

std::string bitwright_path() { return BITWRIGHT_BINARY_DIR "/bin/bitwright"; }

ProcessResult bitwright(std::vector<std::string> arguments, const ProcessOptions& options) {
  arguments.insert(arguments.begin(), bitwright_path());
  return run_process(arguments, options);
}

std::map<std::string, std::string> folder_content(const std::filesystem::path& folder) {
  std::map<std::string, std::string> content;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = std::filesystem::relative(entry.path(), folder).string();
    content[name] = entry.is_regular_file() ? read_bytes(entry.path()) : "folder";
  }
  return content;
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_bytes(const std::filesystem::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace bitwright::test
