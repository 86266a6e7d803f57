// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/idx_images.h"

#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data/data_test_support.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

using test::expect_error;
using test::idx_images;
using test::idx_labels;
using test::write;

constexpr std::uint32_t kImages = 0x803;
constexpr std::uint32_t kLabels = 0x801;

/// Three images of 2x3 with labels 2, 0, 9, good until a test spoils them.
class IdxImagesTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] std::unique_ptr<Dataset> open() const {
    write(folder() / "images", images);
    write(folder() / "labels", labels);
    return open_idx_images({.name = "tiny",
                            .images = folder() / "images",
                            .labels = folder() / "labels",
                            .images_bytes = images_bytes,
                            .labels_bytes = {},
                            .image_shape = {1, 2, 3},
                            .class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}});
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder() / name).string(); }

  std::string images = idx_images(kImages, 3, 2, 3);
  std::string labels = idx_labels(kLabels, {2, 0, 9});
  std::optional<std::uint64_t> images_bytes;
};

TEST_F(IdxImagesTest, ReadsPixelsAndLabelsInOrder) {
  const auto dataset = open();
  EXPECT_EQ(dataset->name(), "tiny");
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->image_shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(dataset->class_names().size(), 10U);
  EXPECT_EQ(test::read_pixels(*dataset, 0), (std::vector<std::uint8_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(test::read_pixels(*dataset, 2), (std::vector<std::uint8_t>{12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(test::read_label(*dataset, 0), 2);
  EXPECT_EQ(test::read_label(*dataset, 1), 0);
  EXPECT_EQ(test::read_label(*dataset, 2), 9);
}

TEST_F(IdxImagesTest, RefusesEveryTruncation) {
  for (std::size_t bytes = 0; bytes < images.size(); ++bytes) {
    const std::string whole = images;
    images.resize(bytes);
    const auto error = test::error_of([&] { static_cast<void>(open()); });
    ASSERT_TRUE(error.has_value()) << bytes;
    EXPECT_EQ(error->code(), ErrorCode::corrupt_file) << bytes;
    EXPECT_NE(error->message().find(fmt::format("the file has the wrong size (found {} bytes, need ", bytes)), std::string::npos)
        << error->message();
    images = whole;
  }
  for (std::size_t bytes = 0; bytes < labels.size(); ++bytes) {
    const std::string whole = labels;
    labels.resize(bytes);
    const auto error = test::error_of([&] { static_cast<void>(open()); });
    ASSERT_TRUE(error.has_value()) << bytes;
    EXPECT_EQ(error->code(), ErrorCode::corrupt_file) << bytes;
    labels = whole;
  }
}

TEST_F(IdxImagesTest, SaysHowManyBytesAreThereAndNeeded) {
  images.resize(20);
  expect_error(ErrorCode::corrupt_file,
               path("images") + ": the file has the wrong size (found 20 bytes, need 34); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
  images.resize(10);
  images_bytes = 34;
  expect_error(ErrorCode::corrupt_file,
               path("images") + ": the file has the wrong size (found 10 bytes, need 34); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, RefusesBytesAtTheEnd) {
  labels += '\1';
  expect_error(ErrorCode::corrupt_file,
               path("labels") + ": the file has the wrong size (found 12 bytes, need 11); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, RefusesAnotherMagic) {
  images = idx_images(kLabels, 3, 2, 3);
  expect_error(ErrorCode::corrupt_file,
               path("images") + ": this is no IDX file of images (found magic 0x00000801, need 0x00000803); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
  images = idx_images(kImages, 3, 2, 3);
  labels = idx_labels(0x80000801, {2, 0, 9});
  expect_error(ErrorCode::corrupt_file,
               path("labels") + ": this is no IDX file of labels (found magic 0x80000801, need 0x00000801); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, RefusesAnotherShape) {
  images = idx_images(kImages, 3, 3, 2);
  expect_error(ErrorCode::corrupt_file,
               path("images") + ": the images have the wrong shape (found [1, 3, 2], need [1, 2, 3]); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, RefusesAHeaderWhoseCountIsNotThatOfTheFile) {
  images_bytes = images.size();
  images[7] = 2;
  expect_error(ErrorCode::corrupt_file,
               path("images") + ": the header announces the wrong number of images (found 2, need 3); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, AHugeCountIsNotBelieved) {
  images = std::string(images).replace(4, 4, "\xff\xff\xff\xff");
  expect_error(ErrorCode::corrupt_file,
               path("images") + ": the file has the wrong size (found 34 bytes, need 25769803786); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, RefusesAnotherNumberOfLabels) {
  labels = idx_labels(kLabels, {2, 0});
  expect_error(ErrorCode::corrupt_file,
               path("labels") + ": the number of labels is not that of the images (found 2, need 3); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, RefusesALabelAboveTheClasses) {
  labels = idx_labels(kLabels, {2, 10, 9});
  expect_error(ErrorCode::corrupt_file,
               path("labels") + ": the label of image 1 is out of range (found 10, need at most 9); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, AnEmptySetIsInvalidInput) {
  images = idx_images(kImages, 0, 2, 3);
  labels = idx_labels(kLabels, {});
  expect_error(ErrorCode::invalid_input,
               path("images") + ": the data set is empty (found 0 images, need at least 1); run `bitwright data get tiny`.",
               [&] { static_cast<void>(open()); });
}

TEST_F(IdxImagesTest, AMissingFileIsAnIoError) {
  const auto error = test::error_of([&] {
    static_cast<void>(open_idx_images({.name = "tiny",
                                       .images = folder() / "none",
                                       .labels = folder() / "none",
                                       .images_bytes = {},
                                       .labels_bytes = {},
                                       .image_shape = {1, 2, 3},
                                       .class_names = {"0"}}));
  });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::io);
}

}  // namespace
}  // namespace bitwright
