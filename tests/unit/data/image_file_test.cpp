// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_file.h"

#include "bitwright/core/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data/data_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <turbojpeg.h>

namespace bitwright {
namespace {

using test::expect_error;
using test::write;

class ImageFileTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name) const { return folder() / name; }
  /// Writes interleaved 8-bit pixels in one of libpng's formats.
  void write_png(const std::string& name, png_uint_32 format, png_uint_32 width, png_uint_32 height,
                 const std::vector<std::uint8_t>& pixels) const {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = width;
    png.height = height;
    png.format = format;
    ASSERT_NE(png_image_write_to_file(&png, path(name).c_str(), 0, pixels.data(), 0, nullptr), 0) << png.message;
  }
  void write_jpeg(const std::string& name, int format, int subsampling, int width, int height,
                  const std::vector<std::uint8_t>& pixels) const {
    unsigned char* buffer = nullptr;
    unsigned long bytes = 0;
    const tjhandle handle = tjInitCompress();
    ASSERT_EQ(tjCompress2(handle, pixels.data(), width, 0, height, format, &buffer, &bytes, subsampling, 100, TJFLAG_ACCURATEDCT), 0);
    write(path(name), std::string_view(reinterpret_cast<const char*>(buffer), bytes));
    tjFree(buffer);
    tjDestroy(handle);
  }
};

TEST_F(ImageFileTest, ReadsGrayAndColorPng) {
  write_png("gray.png", PNG_FORMAT_GRAY, 3, 2, {0, 50, 100, 150, 200, 255});
  const Image gray = read_image(path("gray.png"));
  EXPECT_EQ(gray.shape, (Shape{1, 2, 3}));
  EXPECT_EQ(gray.pixels, (std::vector<std::uint8_t>{0, 50, 100, 150, 200, 255}));
  write_png("color.png", PNG_FORMAT_RGB, 2, 1, {1, 2, 3, 4, 5, 6});
  const Image color = read_image(path("color.png"));
  EXPECT_EQ(color.shape, (Shape{3, 1, 2}));
  EXPECT_EQ(color.pixels, (std::vector<std::uint8_t>{1, 4, 2, 5, 3, 6}));
}

TEST_F(ImageFileTest, TransparentPngPixelsAreWhite) {
  write_png("alpha.png", PNG_FORMAT_RGBA, 2, 1, {10, 20, 30, 255, 10, 20, 30, 0});
  const Image image = read_image(path("alpha.png"));
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{10, 255, 20, 255, 30, 255}));
}

TEST_F(ImageFileTest, ReadsGrayAndColorJpeg) {
  write_jpeg("gray.jpg", TJPF_GRAY, TJSAMP_GRAY, 16, 8, std::vector<std::uint8_t>(128, 77));
  const Image gray = read_image(path("gray.jpg"));
  EXPECT_EQ(gray.shape, (Shape{1, 8, 16}));
  // A flat block has only its DC coefficient; at quality 100 that is quantized by 1, which is 1/8 of a gray level.
  EXPECT_EQ(gray.pixels, std::vector<std::uint8_t>(128, 77));
  std::vector<std::uint8_t> red;
  for (int i = 0; i < 64; ++i) red.insert(red.end(), {200, 30, 40});
  write_jpeg("color.jpg", TJPF_RGB, TJSAMP_444, 8, 8, red);
  const Image color = read_image(path("color.jpg"));
  EXPECT_EQ(color.shape, (Shape{3, 8, 8}));
  // RGB to YCbCr and back rounds Y, Cb, Cr by 1/2 each: red is off by at most 0.5 + 1.402 * 0.5 + 0.5 < 2, blue by 0.5 + 1.772 * 0.5 + 0.5
  // < 2.
  EXPECT_NEAR(color.pixels[0], 200, 1);
  EXPECT_NEAR(color.pixels[64], 30, 1);
  EXPECT_NEAR(color.pixels[128], 40, 1);
}

TEST_F(ImageFileTest, ReadsPgmAndPpm) {
  write(path("a.pgm"), std::string_view("P5\n# a comment\n3 1\n255\n\x01\x80\xff", 26));
  const Image gray = read_image(path("a.pgm"));
  EXPECT_EQ(gray.shape, (Shape{1, 1, 3}));
  EXPECT_EQ(gray.pixels, (std::vector<std::uint8_t>{1, 128, 255}));
  write(path("a.ppm"), "P6 1 2 15 \x0f" + std::string(1, '\0') + "\x05\x01\x02\x03");
  const Image color = read_image(path("a.ppm"));
  EXPECT_EQ(color.shape, (Shape{3, 2, 1}));
  EXPECT_EQ(color.pixels, (std::vector<std::uint8_t>{255, 17, 0, 34, 85, 51}));
  write(path("deep.pgm"), "P5 2 1 65535\n" + std::string("\xff\xff\x80", 3) + std::string(1, '\0'));
  EXPECT_EQ(read_image(path("deep.pgm")).pixels, (std::vector<std::uint8_t>{255, 128}));
}

TEST_F(ImageFileTest, RefusesTruncatedFiles) {
  write_png("a.png", PNG_FORMAT_RGB, 8, 8, std::vector<std::uint8_t>(192, 9));
  write_jpeg("a.jpg", TJPF_RGB, TJSAMP_444, 32, 32, [] {
    std::vector<std::uint8_t> noise(3072);
    for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<std::uint8_t>(i * 37);
    return noise;
  }());
  write(path("a.pgm"), "P5 4 4 255 " + std::string(16, 'x'));
  for (const char* const name : {"a.png", "a.jpg", "a.pgm"}) {
    const std::string whole = read_text_file(path(name));
    static_cast<void>(read_image(path(name)));
    for (const std::size_t bytes : {whole.size() - 13, whole.size() / 2, std::size_t{4}}) {
      write(path(name), whole.substr(0, bytes));
      const auto error = test::error_of([&] { static_cast<void>(read_image(path(name))); });
      ASSERT_TRUE(error.has_value()) << name << " of " << bytes;
      EXPECT_EQ(error->code(), ErrorCode::corrupt_file) << error->message();
      EXPECT_THAT(error->message(), testing::StartsWith(path(name).string() + ": the ")) << bytes;
    }
  }
}

TEST_F(ImageFileTest, RefusesDamagedNetpbmHeaders) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"P5", "a number is missing in the header"},
      {"P5 x 1 255 ", "a number is missing in the header"},
      {"P5 99999999999 1 255 ", "a number in the header is too big"},
      {"P5 1 1 255", "the header does not end"},
      {"P5 1 1 0 x", "the largest value is not in 1 to 65535"},
      {"P5 1 1 65536 xx", "the largest value is not in 1 to 65535"},
      {"P5 2 1 255 x", "found 1 bytes of pixels, need 2"},
      {"P5 1 1 9 x", "found a value of 120, need at most 9"},
  };
  for (const auto& [content, reason] : cases) {
    write(path("a.pgm"), content);
    expect_error(ErrorCode::corrupt_file, path("a.pgm").string() + ": the PGM/PPM file is damaged (" + reason + "); get it again.",
                 [&] { static_cast<void>(read_image(path("a.pgm"))); });
  }
}

TEST_F(ImageFileTest, RefusesWhatIsNoImageOrTooBig) {
  write(path("a.txt"), "hello");
  expect_error(ErrorCode::unsupported,
               path("a.txt").string() + ": this is no image that can be read (need PNG, JPEG, binary PGM or binary PPM); convert it.",
               [&] { static_cast<void>(read_image(path("a.txt"))); });
  write(path("empty"), "");
  expect_error(ErrorCode::corrupt_file, path("empty").string() + ": the file is empty (found 0 bytes, need an image); get it again.",
               [&] { static_cast<void>(read_image(path("empty"))); });
  write(path("big.pgm"), "P5 65536 65536 255 ");
  expect_error(
      ErrorCode::unsupported,
      path("big.pgm").string() + ": the image has an unsupported size (found 65536x65536, need 1 to 67108864 pixels); make it smaller.",
      [&] { static_cast<void>(read_image(path("big.pgm"))); });
  write(path("none.pgm"), "P5 0 1 255 ");
  expect_error(ErrorCode::unsupported,
               path("none.pgm").string() + ": the image has an unsupported size (found 0x1, need 1 to 67108864 pixels); make it smaller.",
               [&] { static_cast<void>(read_image(path("none.pgm"))); });
  EXPECT_EQ(test::error_of([&] { static_cast<void>(read_image(path("missing.png"))); }).value().code(), ErrorCode::io);
}

TEST(FitImageTest, TheSameShapeChangesNothing) {
  const Image image{{3, 1, 2}, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(fit_image(image, {3, 1, 2}).pixels, image.pixels);
}

TEST(FitImageTest, ConvertsBetweenGrayAndColor) {
  // 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153.0; 0.299 * 255 = 76.245.
  EXPECT_EQ(fit_image({{3, 1, 2}, {100, 255, 200, 0, 50, 0}}, {1, 1, 2}).pixels, (std::vector<std::uint8_t>{153, 76}));
  // Each weight alone, at a pixel where one thousandth less or more would round elsewhere for one of them: 73.554, 149.685, 28.614.
  EXPECT_EQ(fit_image({{3, 1, 3}, {246, 0, 0, 0, 255, 0, 0, 0, 251}}, {1, 1, 3}).pixels, (std::vector<std::uint8_t>{74, 150, 29}));
  EXPECT_EQ(fit_image({{1, 1, 2}, {7, 9}}, {3, 1, 2}).pixels, (std::vector<std::uint8_t>{7, 9, 7, 9, 7, 9}));
  EXPECT_EQ(fit_image({{3, 1, 1}, {255, 255, 255}}, {1, 1, 1}).pixels, (std::vector<std::uint8_t>{255}));
}

TEST(FitImageTest, ResizesBilinearlyWithHalfPixelCenters) {
  // Four from two: centers at -0.25, 0.25, 0.75, 1.25 of the input, clamped to [0, 1]: 0, 25, 75, 100.
  EXPECT_EQ(fit_image({{1, 1, 2}, {0, 100}}, {1, 1, 4}).pixels, (std::vector<std::uint8_t>{0, 25, 75, 100}));
  // Two from four: centers at 0.5 and 2.5: (0 + 10) / 2 and (20 + 90) / 2.
  EXPECT_EQ(fit_image({{1, 4, 1}, {0, 10, 20, 90}}, {1, 2, 1}).pixels, (std::vector<std::uint8_t>{5, 55}));
  // One from 2x2: the mean, 2.5, rounded half up.
  EXPECT_EQ(fit_image({{1, 2, 2}, {1, 2, 3, 4}}, {1, 1, 1}).pixels, (std::vector<std::uint8_t>{3}));
}

TEST(FitImageTest, AFlatImageStaysFlat) {
  for (const std::int64_t side : {1, 3, 28, 41}) {
    const Image fitted = fit_image({{3, 20, 30}, std::vector<std::uint8_t>(1800, 201)}, {3, side, side + 2});
    EXPECT_EQ(fitted.shape, (Shape{3, side, side + 2}));
    EXPECT_EQ(fitted.pixels, std::vector<std::uint8_t>(static_cast<std::size_t>(3 * side * (side + 2)), 201));
  }
}

TEST(FitImageTest, RefusesANetworkThatTakesNoImages) {
  expect_error(ErrorCode::unsupported,
               "image: the network takes no images (found input shape [784], need [1 or 3, rows, columns]); use another network.", [] {
                 static_cast<void>(fit_image({{1, 1, 1}, {0}}, {784}));
               });
}

}  // namespace
}  // namespace bitwright
