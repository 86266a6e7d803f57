// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/file.h"

#include "bitwright/core/bytes.h"
#include "bitwright/core/error.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace bitwright {
namespace {

std::string_view reading_advice(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return "check the path";
    case EACCES:
    case EPERM: return "check the permissions";
    case EISDIR: return "name a file, not a folder";
    default: return "check the path and the disk";
  }
}

std::string_view writing_advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return "free some space or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS: return "choose a folder you may write to";
    case ENOENT: return "make the folder first";
    case ENOTDIR:
    case EEXIST:
    case EISDIR: return "choose another name";
    default: return "check the path and the disk";
  }
}

std::string error_text(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_to_read(const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, "{}: cannot read the file ({}); {}.", path.string(), error_text(error), reading_advice(error));
}

[[noreturn]] void fail_to_write(const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, "{}: cannot write the file ({}); {}.", path.string(), error_text(error), writing_advice(error));
}

/// Closes a descriptor when its scope ends.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return number_; }
  /// Closes now; 0 or the error.
  int close() noexcept { return ::close(std::exchange(number_, -1)) == 0 ? 0 : errno; }

 private:
  int number_;
};

int open_retrying(const std::filesystem::path& path, int flags, mode_t mode) {
  int number = -1;
  do {
    number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (number < 0 && errno == EINTR);
  return number;
}

template <typename Container>
Container read_whole(const std::filesystem::path& path) {
  const Descriptor file(open_retrying(path, O_RDONLY, 0));
  if (file.get() < 0) fail_to_read(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_to_read(path, errno);

  Container content;
  std::size_t size = 0;
  // One byte more than expected lets the read that finds the end happen without growing; files of unknown size (pipes, /proc) grow.
  content.resize(S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) + 1 : 65536);
  while (true) {
    if (size == content.size()) content.resize(content.size() * 2);
    const ssize_t count = ::read(file.get(), content.data() + size, content.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read(path, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  content.resize(size);
  return content;
}

/// 0 or the error of the write that failed.
int write_all(int descriptor, std::span<const std::byte> content) {
  while (!content.empty()) {
    const ssize_t count = ::write(descriptor, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    content = content.subspan(static_cast<std::size_t>(count));
  }
  return 0;
}

/// Makes a rename in this folder survive a power cut. Some file systems refuse to sync a folder; the data are safe by then.
void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(open_retrying(folder, O_RDONLY | O_DIRECTORY, 0));
  if (descriptor.get() >= 0) ::fsync(descriptor.get());
}

std::filesystem::path temporary_path_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  return path.parent_path() / fmt::format(".{}.{}-{}.tmp", path.filename().string(), ::getpid(), counter.fetch_add(1));
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path) { return read_whole<std::vector<std::byte>>(path); }

std::string read_text_file(const std::filesystem::path& path) { return read_whole<std::string>(path); }

void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> content) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) fail_to_write(path, EISDIR);
  const std::filesystem::path temporary = temporary_path_beside(path);
  Descriptor file(open_retrying(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666));
  if (file.get() < 0) fail_to_write(path, errno);

  int error = write_all(file.get(), content);
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (const int close_error = file.close(); error == 0) error = close_error;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    fail_to_write(path, error);
  }
  sync_folder(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

void write_file_atomic(const std::filesystem::path& path, std::string_view content) { write_file_atomic(path, as_bytes(content)); }

void append_line(const std::filesystem::path& path, std::string_view line) {
  Descriptor file(open_retrying(path, O_WRONLY | O_APPEND | O_CREAT, 0666));
  if (file.get() < 0) fail_to_write(path, errno);
  const std::string text = std::string(line) + "\n";
  int error = write_all(file.get(), as_bytes(text));
  if (const int close_error = file.close(); error == 0) error = close_error;
  if (error != 0) fail_to_write(path, error);
}

void make_folders(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) {
    fail(ErrorCode::io, "{}: cannot make the folder ({}); {}.", path.string(), error.message(), writing_advice(error.value()));
  }
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(open_retrying(path, O_RDONLY, 0));
  if (file.get() < 0) fail_to_read(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_to_read(path, errno);
  if (S_ISDIR(status.st_mode)) fail_to_read(path, EISDIR);
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail_to_read(path, errno);
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::release(std::span<const std::byte> part) const noexcept {
  if (part.empty()) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto base = static_cast<std::size_t>(part.data() - bytes_.data());
  // The map begins on a page; the pages at both ends also hold what lies around the part.
  const std::size_t first = (base + page - 1) / page * page;
  const std::size_t last = (base + part.size()) / page * page;
  if (first < last) (void)::madvise(const_cast<std::byte*>(bytes_.data()) + first, last - first, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace bitwright
