// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/dataset.h"

#include "bitwright/data/dataset_source.h"
#include "bitwright/data/fetch.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data/data_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

namespace bitwright {
namespace {

using test::expect_error;
using test::read_label;
using test::read_pixels;
using test::ScopedVariable;
using test::write;

/// No data set is found but those in this test's folder.
class DatasetFolderTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return (folder() / name).string(); }

 private:
  ScopedVariable cache_{"BITWRIGHT_DATA", (folder() / "cache").string()};
  ScopedVariable shared_{"BITWRIGHT_SHARED_DATA", (folder() / "shared").string()};
};

TEST(SplitTest, ParsesTheTwoNames) {
  EXPECT_EQ(parse_split("train"), Split::train);
  EXPECT_EQ(parse_split("test"), Split::test);
  expect_error(ErrorCode::usage, "tset: no split has this name (need train or test); write `train` or `test`.",
               [] { static_cast<void>(parse_split("tset")); });
}

TEST(DatasetRegistryTest, EveryEntrySaysWhatItConsistsOfAndWhereThatComesFrom) {
  std::set<std::string> names;
  for (const DatasetEntry& entry : dataset_registry()) {
    EXPECT_TRUE(names.insert(std::string(entry.name)).second) << entry.name;
    EXPECT_FALSE(entry.description.empty());
    EXPECT_NE(entry.open, nullptr);
    const DatasetSource& source = dataset_source(entry.name);
    EXPECT_EQ(source.name, entry.name);
    EXPECT_FALSE(source.files.empty());
    EXPECT_GE(source.gzip_mirrors.size() + source.archives.size(), 1U) << entry.name << " has no public address";
    std::set<std::string> checksums;
    for (const DatasetFile& file : source.files) {
      EXPECT_GT(file.bytes, 0U);
      EXPECT_GE(file.sha256.size(), 1U);
      for (const std::string& sha256 : file.sha256) {
        EXPECT_THAT(sha256, testing::MatchesRegex("[0-9a-f]+")) << file.name;
        EXPECT_EQ(sha256.size(), 64U) << file.name;
        EXPECT_TRUE(checksums.insert(sha256).second) << file.name << " has the checksum of another file";
      }
    }
    for (const std::string& url : source.gzip_mirrors) EXPECT_THAT(url, testing::MatchesRegex("https://.*/"));
    for (const ArchiveMirror& archive : source.archives) {
      EXPECT_THAT(archive.url, testing::MatchesRegex("https://.*\\.tar\\.gz"));
      EXPECT_EQ(archive.sha256.size(), 64U);
    }
  }
  EXPECT_THAT(names, testing::IsSupersetOf({"mnist", "fashion-mnist", "cifar10"}));
}

TEST_F(DatasetFolderTest, AnUnknownNameGetsTheNearestKnownOne) {
  const std::string message =
      "minst: no data set has this name (need one of mnist, fashion-mnist, cifar10, cifar100, synthetic:CLASSES:TRAIN:TEST:SEED, "
      "folder:PATH@SIZE); "
      "did you mean `mnist`?";
  expect_error(ErrorCode::usage, message, [] { static_cast<void>(open_dataset("minst", Split::train)); });
  expect_error(ErrorCode::usage, message, [] { static_cast<void>(find_dataset_folder("minst")); });
  expect_error(ErrorCode::usage, message, [] { static_cast<void>(fetch_dataset("minst", {})); });
  expect_error(ErrorCode::usage, message, [] { static_cast<void>(check_dataset("minst")); });
}

TEST_F(DatasetFolderTest, ASetThatIsNotThereSaysHowToGetIt) {
  expect_error(ErrorCode::io,
               "mnist: the data set is not on this computer (looked in " + path("cache/mnist") + ", " + path("shared/mnist") +
                   "); run `bitwright data get mnist`.",
               [] { static_cast<void>(open_dataset("mnist", Split::test)); });
}

TEST_F(DatasetFolderTest, AFileOfWrongSizeIsNamed) {
  write(folder() / "cache/mnist/t10k-images-idx3-ubyte", test::idx_images(0x803, 10000, 28, 28).substr(0, 100));
  write(folder() / "cache/mnist/t10k-labels-idx1-ubyte", test::idx_labels(0x801, std::vector<int>(10000, 1)));
  expect_error(ErrorCode::corrupt_file,
               path("cache/mnist/t10k-images-idx3-ubyte") +
                   ": the file has the wrong size (found 100 bytes, need 7840016); run `bitwright data get mnist`.",
               [] { static_cast<void>(open_dataset("mnist", Split::test)); });
}

TEST_F(DatasetFolderTest, AFileOfWrongContentIsNamed) {
  write(folder() / "cache/mnist/train-images-idx3-ubyte", test::idx_images(0x803, 60000, 28, 28));
  write(folder() / "cache/mnist/train-labels-idx1-ubyte", test::idx_labels(0x801, std::vector<int>(60000, 1)));
  const auto error = test::error_of([] { static_cast<void>(open_dataset("mnist", Split::train)); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::corrupt_file);
  EXPECT_THAT(error->message(), testing::MatchesRegex(".*/cache/mnist/train-images-idx3-ubyte: wrong sha256 \\(found [0-9a-f]+, need "
                                                      "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db\\); run "
                                                      "`bitwright data get mnist`\\."));
}

TEST_F(DatasetFolderTest, CheckNamesEveryFile) {
  write(folder() / "cache/mnist/train-labels-idx1-ubyte", std::string(60008, 'x'));
  write(folder() / "cache/mnist/t10k-labels-idx1-ubyte", "short");
  const std::vector<FileCheck> checks = check_dataset("mnist");
  ASSERT_EQ(checks.size(), 4U);
  EXPECT_EQ(checks[0].file, path("cache/mnist/train-images-idx3-ubyte"));
  EXPECT_EQ(checks[0].status, "missing");
  EXPECT_THAT(checks[1].status, testing::MatchesRegex("wrong sha256 \\(found [0-9a-f]+, need 65a50c.*\\)"));
  EXPECT_EQ(checks[2].status, "missing");
  EXPECT_EQ(checks[3].status, "wrong size (found 5 bytes, need 10008)");
}

TEST(MnistTest, TheRealSetHasItsLabels) {
  if (find_dataset_folder("mnist").empty()) GTEST_SKIP() << "mnist is not on this computer";
  const auto train = open_dataset("mnist", Split::train);
  const auto test = open_dataset("mnist", Split::test);
  ASSERT_EQ(train->size(), 60000);
  ASSERT_EQ(test->size(), 10000);
  // Class counts and first labels as published with the set.
  const std::array<int, 10> published{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
  std::array<int, 10> counts{};
  for (std::int64_t i = 0; i < train->size(); ++i) ++counts.at(static_cast<std::size_t>(read_label(*train, i)));
  EXPECT_EQ(counts, published);
  const std::array<int, 5> first_train{5, 0, 4, 1, 9};
  const std::array<int, 5> first_test{7, 2, 1, 0, 4};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(read_label(*train, i), first_train[static_cast<std::size_t>(i)]);
    EXPECT_EQ(read_label(*test, i), first_test[static_cast<std::size_t>(i)]);
  }
}

TEST(SubsetTest, ReordersItsParent) {
  const std::shared_ptr<const Dataset> parent = open_dataset("synthetic:10:30:5:1", Split::train);
  const auto subset = make_subset(parent, {7, 3, 7, 29});
  ASSERT_EQ(subset->size(), 4);
  EXPECT_EQ(subset->name(), parent->name());
  EXPECT_EQ(subset->image_shape(), parent->image_shape());
  EXPECT_EQ(subset->class_names(), parent->class_names());
  const std::array<int, 4> indices{7, 3, 7, 29};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(read_label(*subset, i), indices[static_cast<std::size_t>(i)] % 10);
    EXPECT_EQ(read_pixels(*subset, i), read_pixels(*parent, indices[static_cast<std::size_t>(i)]));
  }
}

TEST(SubsetTest, RefusesWhatIsNotThere) {
  const std::shared_ptr<const Dataset> parent = open_dataset("synthetic:10:30:5:1", Split::train);
  for (const std::int64_t index : {std::int64_t{-1}, std::int64_t{30}}) {
    expect_error(
        ErrorCode::invalid_input,
        fmt::format("synthetic:10:30:5:1: the subset names an image that is not there (found {}, need 0 to 29); leave it out.", index),
        [&] {
          static_cast<void>(make_subset(parent, {0, index}));
        });
  }
  expect_error(ErrorCode::invalid_input,
               "synthetic:10:30:5:1: the subset is empty (found 0 images, need at least 1); choose at least one image.",
               [&] { static_cast<void>(make_subset(parent, {})); });
}

TEST(HoldOutTest, SplitsEveryIndexOnce) {
  const HoldOut split = hold_out(100, 30, 7);
  EXPECT_EQ(split.rest.size(), 70U);
  EXPECT_EQ(split.held_out.size(), 30U);
  EXPECT_TRUE(std::is_sorted(split.rest.begin(), split.rest.end()));
  EXPECT_TRUE(std::is_sorted(split.held_out.begin(), split.held_out.end()));
  std::set<std::int64_t> all(split.rest.begin(), split.rest.end());
  all.insert(split.held_out.begin(), split.held_out.end());
  EXPECT_EQ(all.size(), 100U);
  EXPECT_EQ(*all.begin(), 0);
  EXPECT_EQ(*all.rbegin(), 99);
}

TEST(HoldOutTest, DependsOnTheSeedAlone) {
  EXPECT_EQ(hold_out(1000, 100, 1).held_out, hold_out(1000, 100, 1).held_out);
  EXPECT_NE(hold_out(1000, 100, 1).held_out, hold_out(1000, 100, 2).held_out);
}

// Over 2000 seeds each of 10 indices is held out with probability 3/10: mean 600, sigma = sqrt(2000 * 0.3 * 0.7) = 20.5; 5 sigma = 102.5.
TEST(HoldOutTest, EveryIndexIsHeldOutEquallyOften) {
  std::array<int, 10> counts{};
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    for (const std::int64_t index : hold_out(10, 3, seed).held_out) ++counts.at(static_cast<std::size_t>(index));
  }
  for (const int count : counts) EXPECT_NEAR(count, 600, 102);
}

TEST(HoldOutTest, RefusesToHoldOutEverything) {
  EXPECT_TRUE(hold_out(10, 0, 1).held_out.empty());
  expect_error(ErrorCode::invalid_input, "hold-out: wrong number of held-out images (found 10 of 10, need 0 to 9); hold out fewer.",
               [] { static_cast<void>(hold_out(10, 10, 1)); });
  expect_error(ErrorCode::invalid_input, "hold-out: wrong number of held-out images (found -1 of 10, need 0 to 9); hold out fewer.",
               [] { static_cast<void>(hold_out(10, -1, 1)); });
}

TEST(DatasetDocsTest, TheTableInTheDocsIsTheRegistry) {
  const std::string page = read_text_file(std::filesystem::path(BITWRIGHT_SOURCE_DIR) / "docs/data.md");
  const std::string begin = "<!-- begin: data set table (from datasets.inc) -->\n";
  const std::string end = "<!-- end: data set table -->\n";
  const std::size_t from = page.find(begin);
  const std::size_t to = page.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  EXPECT_EQ(page.substr(from + begin.size(), to - from - begin.size()), dataset_table())
      << "copy the table above into docs/data.md between the markers";
}

}  // namespace
}  // namespace bitwright
