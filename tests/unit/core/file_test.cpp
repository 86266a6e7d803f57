// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/file.h"

#include "bitwright/core/bytes.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>
#include <vector>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

class FileTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] std::vector<std::string> names_in_folder() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder())) names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }
};

TEST_F(FileTest, WritesAndReadsBackAnyBytes) {
  std::string content;
  for (int i = 0; i < 100000; ++i) content += static_cast<char>(i % 256);
  const fs::path path = folder() / "a.bin";
  write_file_atomic(path, content);
  EXPECT_EQ(read_text_file(path), content);
  const std::vector<std::byte> bytes = read_file(path);
  ASSERT_EQ(bytes.size(), content.size());
  EXPECT_EQ(std::to_integer<int>(bytes[255]), 255);
  EXPECT_EQ(names_in_folder(), std::vector<std::string>{"a.bin"});
}

TEST_F(FileTest, ReplacesTheOldContentWhole) {
  const fs::path path = folder() / "a.txt";
  write_file_atomic(path, "a long first version");
  write_file_atomic(path, "second");
  EXPECT_EQ(read_text_file(path), "second");
}

TEST_F(FileTest, EmptyFileReadsAndMapsAsEmpty) {
  const fs::path path = folder() / "empty";
  write_file_atomic(path, "");
  EXPECT_TRUE(read_file(path).empty());
  EXPECT_TRUE(MappedFile(path).bytes().empty());
}

TEST_F(FileTest, ReadsFilesThatDoNotKnowTheirSize) { EXPECT_THAT(read_text_file("/proc/self/status"), ::testing::HasSubstr("Pid:")); }

TEST_F(FileTest, ReadersNeverSeeHalfOfANewVersion) {
  const fs::path path = folder() / "a.txt";
  const std::string a(1 << 16, 'a');
  const std::string b(1 << 15, 'b');
  write_file_atomic(path, a);
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) write_file_atomic(path, i % 2 == 0 ? b : a);
  });
  for (int i = 0; i < 300; ++i) {
    const std::string seen = read_text_file(path);
    ASSERT_TRUE(seen == a || seen == b) << seen.size();
  }
}

TEST_F(FileTest, FailedWriteKeepsTheOldContentAndLeavesNoTemporaryFile) {
  const fs::path path = folder() / "a.txt";
  write_file_atomic(path, "old");
  // A limit on file size is a full disk that needs no privilege.
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  test::expect_error(ErrorCode::io, path.string() + ": cannot write the file (File too large); check the path and the disk.",
                     [&] { write_file_atomic(path, std::string(5000, 'x')); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read_text_file(path), "old");
  EXPECT_EQ(names_in_folder(), std::vector<std::string>{"a.txt"});
}

TEST_F(FileTest, FullDiskSaysWhatToDo) {
  test::expect_error(ErrorCode::io, "/dev/full: cannot write the file (No space left on device); free some space or choose another folder.",
                     [] { append_line("/dev/full", "x"); });
}

TEST_F(FileTest, MissingFileMessages) {
  const std::string path = (folder() / "none").string();
  const std::string message = path + ": cannot read the file (No such file or directory); check the path.";
  test::expect_error(ErrorCode::io, message, [&] { EXPECT_TRUE(read_file(path).empty()); });
  test::expect_error(ErrorCode::io, message, [&] { EXPECT_TRUE(read_text_file(path).empty()); });
  test::expect_error(ErrorCode::io, message, [&] { const MappedFile mapped(path); });
}

TEST_F(FileTest, FolderInsteadOfFileMessages) {
  const std::string path = folder().string();
  const std::string reading = path + ": cannot read the file (Is a directory); name a file, not a folder.";
  test::expect_error(ErrorCode::io, reading, [&] { EXPECT_TRUE(read_file(path).empty()); });
  test::expect_error(ErrorCode::io, reading, [&] { const MappedFile mapped(path); });
  test::expect_error(ErrorCode::io, path + ": cannot write the file (Is a directory); choose another name.",
                     [&] { write_file_atomic(path, "x"); });
}

TEST_F(FileTest, WritingIntoAMissingFolderSaysSo) {
  const std::string path = (folder() / "none" / "a.txt").string();
  test::expect_error(ErrorCode::io, path + ": cannot write the file (No such file or directory); make the folder first.",
                     [&] { write_file_atomic(path, "x"); });
}

TEST_F(FileTest, ReadOnlyFolderSaysSo) {
  if (geteuid() == 0) GTEST_SKIP() << "the superuser may write everywhere";
  fs::permissions(folder(), fs::perms::owner_read | fs::perms::owner_exec);
  const std::string path = (folder() / "a.txt").string();
  test::expect_error(ErrorCode::io, path + ": cannot write the file (Permission denied); choose a folder you may write to.",
                     [&] { write_file_atomic(path, "x"); });
}

TEST_F(FileTest, AppendsLines) {
  const fs::path path = folder() / "log.jsonl";
  append_line(path, "one");
  append_line(path, "two");
  EXPECT_EQ(read_text_file(path), "one\ntwo\n");
}

TEST_F(FileTest, MakesFoldersAndTheirParents) {
  const fs::path path = folder() / "a" / "b" / "c";
  make_folders(path);
  make_folders(path);
  EXPECT_TRUE(fs::is_directory(path));
}

TEST_F(FileTest, FolderBehindAFileIsRefused) {
  write_file_atomic(folder() / "a", "x");
  const std::string path = (folder() / "a" / "b").string();
  test::expect_error(ErrorCode::io, path + ": cannot make the folder (Not a directory); choose another name.", [&] { make_folders(path); });
  const std::string file = (folder() / "a").string();
  test::expect_error(ErrorCode::io, file + ": cannot make the folder (Not a directory); choose another name.", [&] { make_folders(file); });
}

TEST_F(FileTest, MapsTheContentAndMoves) {
  const fs::path path = folder() / "a.bin";
  write_file_atomic(path, "hello");
  MappedFile mapped(path);
  MappedFile moved(std::move(mapped));
  EXPECT_EQ(moved.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(moved.bytes()[4]), 'o');
  write_file_atomic(folder() / "b.bin", "other!");
  MappedFile other(folder() / "b.bin");
  other = std::move(moved);
  EXPECT_EQ(other.bytes().size(), 5U);
}

TEST_F(FileTest, MappedContentOutlivesAReplacement) {
  const fs::path path = folder() / "a.bin";
  write_file_atomic(path, "hello");
  const MappedFile mapped(path);
  write_file_atomic(path, "other");
  EXPECT_EQ(static_cast<char>(mapped.bytes()[0]), 'h');
}

// Memory of this process that files back, from /proc/self/statm: pages of the map that were read and not given back.
std::int64_t shared_pages() {
  std::istringstream fields(read_text_file("/proc/self/statm"));
  std::int64_t size = 0;
  std::int64_t resident = 0;
  std::int64_t shared = 0;
  fields >> size >> resident >> shared;
  return shared;
}

TEST(MappedFile, ReleasedPagesLeaveMemoryAndComeBack) {
  const test::TempFolder folder;
  const auto path = folder.path() / "large";
  constexpr std::size_t kBytes = 16 << 20;
  std::vector<std::byte> content(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) content[i] = static_cast<std::byte>(i * 7 % 251);
  write_file_atomic(path, content);
  const MappedFile file(path);
  ASSERT_TRUE(std::ranges::equal(file.bytes(), content));
  const std::int64_t before = shared_pages();
  file.release(file.bytes().subspan(1, kBytes - 2));
  // All whole pages: 4096 of them at 4 KiB, less the two at the ends; at least half of that on any page size and with other threads about.
  EXPECT_LT(shared_pages(), before - 2000);
  file.release({});
  EXPECT_TRUE(std::ranges::equal(file.bytes(), content));
}

}  // namespace
}  // namespace bitwright
