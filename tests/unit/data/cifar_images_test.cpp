// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/cifar_images.h"

#include "bitwright/data/fetch.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data/data_test_support.h"

#include <gtest/gtest.h>

#include <array>

namespace bitwright {
namespace {

using test::expect_error;
using test::write;

/// A record whose red plane is `shade`, green `shade + 1`, blue `shade + 2`.
std::string record(const std::string& labels, int shade) {
  std::string text = labels;
  for (int plane = 0; plane < 3; ++plane) text += std::string(1024, static_cast<char>(shade + plane));
  return text;
}

class CifarImagesTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] CifarLayout layout(std::vector<std::string> contents, int label_bytes = 1) const {
    CifarLayout layout{.name = "tiny", .files = {}, .label_bytes = label_bytes, .class_names = {"a", "b", "c"}};
    for (std::size_t i = 0; i < contents.size(); ++i) {
      layout.files.push_back({folder() / fmt::format("{}.bin", i), {}});
      write(layout.files.back().path, contents[i]);
    }
    return layout;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder() / name).string(); }
};

TEST_F(CifarImagesTest, ReadsAcrossFiles) {
  const auto dataset = open_cifar_images(layout({record("\1", 10) + record("\2", 20), record(std::string(1, '\0'), 30)}));
  ASSERT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->image_shape(), (Shape{3, 32, 32}));
  const std::array<int, 3> labels{1, 2, 0};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(test::read_label(*dataset, i), labels[static_cast<std::size_t>(i)]);
    const std::vector<std::uint8_t> pixels = test::read_pixels(*dataset, i);
    EXPECT_EQ(pixels[0], 10 * (i + 1));
    EXPECT_EQ(pixels[1023], 10 * (i + 1));
    EXPECT_EQ(pixels[1024], 10 * (i + 1) + 1);
    EXPECT_EQ(pixels[3071], 10 * (i + 1) + 2);
  }
}

TEST_F(CifarImagesTest, TheLastLabelByteCounts) {
  const auto dataset = open_cifar_images(layout({record("\x7f\2", 10) + record("\x7f\1", 20)}, 2));
  ASSERT_EQ(dataset->size(), 2);
  EXPECT_EQ(test::read_label(*dataset, 0), 2);
  EXPECT_EQ(test::read_label(*dataset, 1), 1);
  EXPECT_EQ(test::read_pixels(*dataset, 1)[0], 20);
}

TEST_F(CifarImagesTest, RefusesAWrongSize) {
  expect_error(ErrorCode::corrupt_file,
               path("0.bin") + ": the file has the wrong size (found 3072 bytes, need 3073); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open_cifar_images(layout({record("\1", 10).substr(1)}))); });
  CifarLayout whole = layout({record("\1", 10)});
  whole.files[0].bytes = 6146;
  expect_error(ErrorCode::corrupt_file,
               path("0.bin") + ": the file has the wrong size (found 3073 bytes, need 6146); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open_cifar_images(whole)); });
}

TEST_F(CifarImagesTest, RefusesALabelAboveTheClasses) {
  expect_error(ErrorCode::corrupt_file,
               path("1.bin") + ": the label of image 1 is out of range (found 3, need at most 2); run `bitwright data get tiny`.", [&] {
                 static_cast<void>(open_cifar_images(layout({record("\1", 1), record("\1", 1) + record("\3", 1)})));
               });
}

TEST_F(CifarImagesTest, AnEmptySetIsInvalidInput) {
  expect_error(ErrorCode::invalid_input,
               path("0.bin") + ": the data set is empty (found 0 images, need at least 1); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open_cifar_images(layout({""}))); });
}

TEST(Cifar10Test, TheRealSetHasItsCounts) {
  if (find_dataset_folder("cifar10").empty()) GTEST_SKIP() << "cifar10 is not on this computer";
  const auto train = open_dataset("cifar10", Split::train);
  const auto test = open_dataset("cifar10", Split::test);
  ASSERT_EQ(train->size(), 50000);
  ASSERT_EQ(test->size(), 10000);
  std::array<int, 10> train_counts{};
  std::array<int, 10> test_counts{};
  for (std::int64_t i = 0; i < train->size(); ++i) ++train_counts.at(static_cast<std::size_t>(test::read_label(*train, i)));
  for (std::int64_t i = 0; i < test->size(); ++i) ++test_counts.at(static_cast<std::size_t>(test::read_label(*test, i)));
  for (int label = 0; label < 10; ++label) {
    EXPECT_EQ(train_counts[static_cast<std::size_t>(label)], 5000) << label;
    EXPECT_EQ(test_counts[static_cast<std::size_t>(label)], 1000) << label;
  }
  // The first training images of every copy: frog, truck, truck, deer, automobile.
  const std::array<int, 5> first{6, 9, 9, 4, 1};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(test::read_label(*train, i), first[static_cast<std::size_t>(i)]) << i;
}

TEST(Cifar10Test, TheSharedCopyHasItsTestImagesSortedByClass) {
  const std::string folder = find_dataset_folder("cifar10").string();
  if (folder.find("shared") == std::string::npos) GTEST_SKIP() << "the shared copy of cifar10 is not on this computer";
  const auto test = open_dataset("cifar10", Split::test);
  for (std::int64_t i = 0; i < test->size(); ++i) ASSERT_EQ(test::read_label(*test, i), i % 10);
}

}  // namespace
}  // namespace bitwright
