// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_folder.h"

#include "bitwright/data/image_region.h"
#include "bitwright/data/loader.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data/data_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <turbojpeg.h>

#include <array>
#include <cstdlib>

namespace bitwright {
namespace {

using test::expect_error;
using test::read_label;
using test::read_pixels;
using test::write;
using ::testing::ElementsAre;

class ImageFolderTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] std::string name(const std::string& size = "@8") const { return "folder:" + folder().string() + size; }
  /// A color PNG of one color.
  void write_png(const std::string& file, std::array<std::uint8_t, 3> color, png_uint_32 width = 16, png_uint_32 height = 16) const {
    std::vector<std::uint8_t> pixels;
    for (png_uint_32 i = 0; i < width * height; ++i) pixels.insert(pixels.end(), color.begin(), color.end());
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = width;
    png.height = height;
    png.format = PNG_FORMAT_RGB;
    std::filesystem::create_directories((folder() / file).parent_path());
    ASSERT_NE(png_image_write_to_file(&png, (folder() / file).c_str(), 0, pixels.data(), 0, nullptr), 0) << png.message;
  }
  /// A gray JPEG that brightens by one level every `run` columns.
  void write_ramp_jpeg(const std::string& file, int width, int height, int run) const {
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < width * height; ++i) pixels.push_back(static_cast<std::uint8_t>(i % width / run));
    unsigned char* buffer = nullptr;
    unsigned long bytes = 0;
    const tjhandle handle = tjInitCompress();
    ASSERT_EQ(tjCompress2(handle, pixels.data(), width, 0, height, TJPF_GRAY, &buffer, &bytes, TJSAMP_GRAY, 100, TJFLAG_ACCURATEDCT), 0);
    write(folder() / file, std::string_view(reinterpret_cast<const char*>(buffer), bytes));
    tjFree(buffer);
    tjDestroy(handle);
  }
  void write_small_set() const {
    write_png("train/dog/b.PNG", {4, 5, 6});
    write_png("train/dog/a.png", {1, 2, 3});
    write_png("train/cat/z.png", {7, 8, 9});
    write_png("test/dog/t.png", {10, 11, 12});
    write(folder() / "train/cat/labels.txt", "not an image");
    write(folder() / "train/.hidden/x.png", "not looked at");
  }
};

TEST_F(ImageFolderTest, OrdersClassesAndImagesByName) {
  write_small_set();
  const std::unique_ptr<Dataset> train = open_dataset(name(), Split::train);
  EXPECT_THAT(train->class_names(), ElementsAre("cat", "dog"));
  EXPECT_EQ(train->image_shape(), (Shape{3, 8, 8}));
  ASSERT_EQ(train->size(), 3);
  EXPECT_EQ(read_label(*train, 0), 0);
  EXPECT_EQ(read_label(*train, 1), 1);
  EXPECT_EQ(read_label(*train, 2), 1);
  std::vector<std::uint8_t> expected(64, 1);
  expected.insert(expected.end(), 64, 2);
  expected.insert(expected.end(), 64, 3);
  EXPECT_EQ(read_pixels(*train, 1), expected);
  const std::unique_ptr<Dataset> test = open_dataset(name(), Split::test);
  EXPECT_THAT(test->class_names(), ElementsAre("cat", "dog")) << "labels are training's";
  ASSERT_EQ(test->size(), 1);
  EXPECT_EQ(read_label(*test, 0), 1);
}

TEST_F(ImageFolderTest, TakesValForTestAndGrayOrColorAsAsked) {
  write_png("train/a/1.png", {100, 200, 50});
  write_png("val/a/1.png", {100, 200, 50});
  const std::unique_ptr<Dataset> gray = open_dataset(name("@8x1"), Split::test);
  EXPECT_EQ(gray->image_shape(), (Shape{1, 8, 8}));
  // 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153.0
  EXPECT_EQ(read_pixels(*gray, 0), std::vector<std::uint8_t>(64, 153));
}

TEST_F(ImageFolderTest, AnImageIsItsMiddleAndAJpegDecodedSmallIsTheSame) {
  // The middle of 1024x512 is 448 pixels wide from column 288; it is decoded at a quarter and averaged to 32 pixels of 14 columns each.
  write_ramp_jpeg("train/a/ramp.jpg", 1024, 512, 4);
  write_ramp_jpeg("test/a/ramp.jpg", 1024, 512, 4);
  const std::unique_ptr<Dataset> images = open_dataset(name("@32x1"), Split::train);
  const std::vector<std::uint8_t> pixels = read_pixels(*images, 0);
  for (std::size_t x = 0; x < 32; ++x) {
    const double center = 288.0 + 14.0 * (static_cast<double>(x) + 0.5);
    // A ramp's average is its middle. The stairs of 4 columns are off by 3/8 of a level on average, decoding and scaling round to 1/2 each.
    EXPECT_NEAR(pixels[x], center / 4.0, 1.5) << x;
  }
}

TEST_F(ImageFolderTest, RandomCropsAreTheSameForAnyNumberOfWorkers) {
  for (int i = 0; i < 6; ++i) write_ramp_jpeg("train/a/" + std::to_string(i) + ".jpg", 200 + 10 * i, 150, 1);
  write_png("test/a/t.png", {1, 2, 3});
  const std::shared_ptr<const Dataset> images = open_dataset(name("@32"), Split::train);
  LoaderOptions options;
  options.batch = 4;
  options.augmentation = {.flip_probability = 0.5, .random_crop = 0.3};
  const auto three_epochs = [&](int workers) {
    options.workers = workers;
    Loader loader(images, options);
    std::vector<float> all;
    for (int i = 0; i < 6; ++i) {
      const Batch& batch = loader.next();
      all.insert(all.end(), batch.images.begin(), batch.images.end());
    }
    return all;
  };
  const std::vector<float> alone = three_epochs(1);
  EXPECT_EQ(alone, three_epochs(3));
  const std::size_t epoch = alone.size() / 3;
  EXPECT_FALSE(
      std::equal(alone.begin(), alone.begin() + static_cast<std::ptrdiff_t>(epoch), alone.begin() + static_cast<std::ptrdiff_t>(epoch)));
}

TEST_F(ImageFolderTest, OtherSetsCropFromTheirOwnPixels) {
  const std::unique_ptr<Dataset> images = open_dataset("synthetic:4:8:8:1", Split::train);
  std::vector<std::uint8_t> whole = read_pixels(*images, 3);
  std::vector<std::uint8_t> cropped(whole.size());
  const Rng draws(1, "draws");
  EXPECT_EQ(images->read_random_crop(3, 0.2, draws, 3, cropped), 3);
  std::vector<std::uint8_t> expected(whole.size());
  resample({28, 28, 1, whole}, random_region(28, 28, 0.2, draws, 3), {1, 28, 28}, expected);
  EXPECT_EQ(cropped, expected);
  EXPECT_NE(cropped, whole);
}

TEST_F(ImageFolderTest, CheckNamesWhatCannotBeDecoded) {
  write_small_set();
  write(folder() / "train/dog/c.jpg", "\xff\xd8 half an image");
  const std::vector<FileCheck> checks = check_image_folder(name());
  ASSERT_EQ(checks.size(), 5U);
  EXPECT_EQ(checks[0].file, "train/cat/z.png");
  EXPECT_EQ(checks[0].status, "ok");
  EXPECT_EQ(checks[3].file, "train/dog/c.jpg");
  EXPECT_THAT(checks[3].status, ::testing::HasSubstr("the JPEG file is damaged"));
  EXPECT_EQ(checks[4].file, "test/dog/t.png");
}

TEST_F(ImageFolderTest, SaysWhatIsWrong) {
  const std::string path = folder().string();
  const auto refused = [](const std::string& set, Split split, ErrorCode code, const std::string& message) {
    expect_error(code, message, [&] { (void)open_dataset(set, split); });
  };
  refused("folder:", Split::train, ErrorCode::usage, "folder:: the path is missing; write e.g. folder:photos or folder:photos@224.");
  refused(name("@4"), Split::train, ErrorCode::usage,
          name("@4") + ": wrong image size (found 4 pixels and 3 channels, need 8 to 1024 and 1 or 3); write e.g. folder:PATH@224.");
  refused(name("@32x2"), Split::train, ErrorCode::usage,
          name("@32x2") + ": wrong image size (found 32 pixels and 2 channels, need 8 to 1024 and 1 or 3); write e.g. folder:PATH@224.");
  refused(name(), Split::train, ErrorCode::io,
          path + ": there is no folder \"train\" here; need train/CLASS/*.jpg and test/CLASS/*.jpg (or val).");
  std::filesystem::create_directories(folder() / "train");
  refused(name(), Split::train, ErrorCode::invalid_input,
          path + "/train: there is no class (found no folder, need one per class); put each class's images in a folder.");
  std::filesystem::create_directories(folder() / "train/cat");
  refused(name(), Split::train, ErrorCode::invalid_input,
          path + "/train/cat: the class has no image (found no .jpg, .jpeg, .png, .pgm or .ppm file); add some, or remove the folder.");
  write_png("train/cat/1.png", {1, 2, 3});
  EXPECT_EQ(open_dataset(name(), Split::train)->size(), 1);
  refused(name(), Split::test, ErrorCode::io,
          path + ": there is no folder \"test\" here; need train/CLASS/*.jpg and test/CLASS/*.jpg (or val).");
  write_png("val/dog/1.png", {1, 2, 3});
  refused(name(), Split::test, ErrorCode::invalid_input,
          path + "/val/dog: training has no such class (found no folder " + path + "/train/dog); remove it, or train on it.");
}

TEST(ImageFolderName, TheLastAtCountsWhenASizeFollows) {
  EXPECT_EQ(parse_image_folder_name("folder:a@b").path, "a@b");
  EXPECT_EQ(parse_image_folder_name("folder:a@b").image_shape, (Shape{3, 224, 224}));
  EXPECT_EQ(parse_image_folder_name("folder:a@b@64").path, "a@b");
  EXPECT_EQ(parse_image_folder_name("folder:a@b@64").image_shape, (Shape{3, 64, 64}));
  EXPECT_EQ(parse_image_folder_name("folder:a@28x1").image_shape, (Shape{1, 28, 28}));
  EXPECT_EQ(parse_image_folder_name("folder:a@28y1").path, "a@28y1");
}

}  // namespace
}  // namespace bitwright
