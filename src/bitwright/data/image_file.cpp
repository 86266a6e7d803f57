// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_file.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/data/image_region.h"

#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace bitwright {
namespace {

constexpr std::int64_t kMaxPixels = std::int64_t{1} << 26;

struct Source {
  std::string name;
  std::span<const std::byte> bytes;
};

[[noreturn]] void fail_corrupt(const Source& source, std::string_view kind, std::string_view reason) {
  fail(ErrorCode::corrupt_file, "{}: the {} file is damaged ({}); get it again.", source.name, kind, reason);
}

void check_extent(const Source& source, std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1 || width > kMaxPixels / height) {
    fail(ErrorCode::unsupported, "{}: the image has an unsupported size (found {}x{}, need 1 to {} pixels); make it smaller.", source.name,
         width, height, kMaxPixels);
  }
}

/// The smallest share of an image's size that is still fine enough, once its size is known: at most 1.
using SmallestScale = std::function<double(std::int64_t width, std::int64_t height)>;

/// HWC to CHW.
Image planar(const InterleavedImage& source) {
  Image image{{source.channels, source.height, source.width}, std::vector<std::uint8_t>(source.pixels.size())};
  const auto plane = static_cast<std::size_t>(source.width * source.height);
  const auto step = static_cast<std::size_t>(source.channels);
  for (std::size_t channel = 0; channel < step; ++channel) {
    for (std::size_t i = 0; i < plane; ++i) image.pixels[channel * plane + i] = source.pixels[i * step + channel];
  }
  return image;
}

InterleavedImage read_png(const Source& source, const SmallestScale& smallest_scale) {
  struct Reader {
    png_image png{};
    ~Reader() { png_image_free(&png); }
  } reader;
  png_image& png = reader.png;
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, source.bytes.data(), source.bytes.size()) == 0) fail_corrupt(source, "PNG", png.message);
  check_extent(source, png.width, png.height);
  (void)smallest_scale(png.width, png.height);  // a PNG file has one size only, but the asker wants to know it
  const bool color = (png.format & PNG_FORMAT_FLAG_COLOR) != 0;
  png.format = color ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::vector<std::uint8_t> interleaved(PNG_IMAGE_SIZE(png));
  const png_color white{255, 255, 255};  // what shows through transparent pixels
  if (png_image_finish_read(&png, &white, interleaved.data(), 0, nullptr) == 0) fail_corrupt(source, "PNG", png.message);
  return {png.width, png.height, color ? 3 : 1, std::move(interleaved)};
}

/// Of the scales at which a JPEG decoder saves work, the smallest that is fine enough. They halve the extents, rounded up.
tjscalingfactor jpeg_scale(double smallest) {
  tjscalingfactor scale{1, 1};
  while (scale.denom < 8 && 0.5 / scale.denom >= smallest) scale.denom *= 2;
  return scale;
}

InterleavedImage read_jpeg(const Source& source, const SmallestScale& smallest_scale) {
  struct Decoder {
    tjhandle handle = tjInitDecompress();
    ~Decoder() {
      if (handle != nullptr) tjDestroy(handle);
    }
  } decoder;
  if (decoder.handle == nullptr) fail(ErrorCode::internal, "{}: the JPEG decoder does not start; report this.", source.name);
  const auto* const data = reinterpret_cast<const unsigned char*>(source.bytes.data());
  const auto size = static_cast<unsigned long>(source.bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int color_space = 0;
  if (tjDecompressHeader3(decoder.handle, data, size, &width, &height, &subsampling, &color_space) != 0) {
    fail_corrupt(source, "JPEG", tjGetErrorStr2(decoder.handle));
  }
  if (width < 1 || height < 1) fail_corrupt(source, "JPEG", "its header ends too early");
  check_extent(source, width, height);
  if (color_space == TJCS_CMYK || color_space == TJCS_YCCK) {
    fail(ErrorCode::unsupported, "{}: the JPEG file has four color components (CMYK); convert it to RGB.", source.name);
  }
  const bool gray = color_space == TJCS_GRAY;
  const int channels = gray ? 1 : 3;
  const tjscalingfactor scale = jpeg_scale(smallest_scale(width, height));
  width = TJSCALED(width, scale);
  height = TJSCALED(height, scale);
  std::vector<std::uint8_t> interleaved(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * channels);
  // A warning (a truncated file, say) is a failure here: half an image must not pass for one.
  if (tjDecompress2(decoder.handle, data, size, interleaved.data(), width, 0, height, gray ? TJPF_GRAY : TJPF_RGB, TJFLAG_ACCURATEDCT) !=
      0) {
    fail_corrupt(source, "JPEG", tjGetErrorStr2(decoder.handle));
  }
  return {width, height, channels, std::move(interleaved)};
}

/// Reads the numbers of a PGM/PPM header: white space and `#` comments between them, one white space after the last.
class NetpbmHeader {
 public:
  explicit NetpbmHeader(const Source& source) : source_(source) {}

  std::int64_t number() {
    skip_blanks();
    std::int64_t value = 0;
    const std::size_t begin = position_;
    while (position_ < source_.bytes.size() && at() >= '0' && at() <= '9') {
      value = value * 10 + (at() - '0');
      if (value > kMaxPixels) fail_corrupt(source_, "PGM/PPM", "a number in the header is too big");
      ++position_;
    }
    if (position_ == begin) fail_corrupt(source_, "PGM/PPM", "a number is missing in the header");
    return value;
  }

  std::span<const std::byte> rest() {
    if (position_ >= source_.bytes.size() || !is_blank(at())) fail_corrupt(source_, "PGM/PPM", "the header does not end");
    return source_.bytes.subspan(position_ + 1);
  }

 private:
  [[nodiscard]] char at() const { return static_cast<char>(source_.bytes[position_]); }
  static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  void skip_blanks() {
    bool comment = false;
    for (; position_ < source_.bytes.size(); ++position_) {
      if (at() == '#') comment = true;
      if (at() == '\n') comment = false;
      if (!comment && !is_blank(at())) return;
    }
  }

  const Source& source_;
  std::size_t position_ = 2;  // after the magic
};

InterleavedImage read_netpbm(const Source& source, std::int64_t channels, const SmallestScale& smallest_scale) {
  NetpbmHeader header(source);
  const std::int64_t width = header.number();
  const std::int64_t height = header.number();
  const std::int64_t max_value = header.number();
  check_extent(source, width, height);
  (void)smallest_scale(width, height);
  if (max_value < 1 || max_value > 65535) fail_corrupt(source, "PGM/PPM", "the largest value is not in 1 to 65535");
  const std::span<const std::byte> samples = header.rest();
  const auto count = static_cast<std::size_t>(width * height * channels);
  const std::size_t sample_bytes = max_value > 255 ? 2 : 1;
  if (samples.size() < count * sample_bytes) {
    fail_corrupt(source, "PGM/PPM", fmt::format("found {} bytes of pixels, need {}", samples.size(), count * sample_bytes));
  }
  std::vector<std::uint8_t> interleaved(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t value = std::to_integer<std::int64_t>(samples[i * sample_bytes]);
    if (sample_bytes == 2) value = value * 256 + std::to_integer<std::int64_t>(samples[i * 2 + 1]);
    if (value > max_value) fail_corrupt(source, "PGM/PPM", fmt::format("found a value of {}, need at most {}", value, max_value));
    interleaved[i] = static_cast<std::uint8_t>((value * 255 + max_value / 2) / max_value);
  }
  return {width, height, channels, std::move(interleaved)};
}

InterleavedImage decode(const std::filesystem::path& path, const SmallestScale& smallest_scale) {
  const MappedFile file(path);
  const Source source{path.string(), file.bytes()};
  const std::string_view text(reinterpret_cast<const char*>(source.bytes.data()), source.bytes.size());
  if (text.empty()) fail(ErrorCode::corrupt_file, "{}: the file is empty (found 0 bytes, need an image); get it again.", source.name);
  if (text.starts_with("\x89PNG")) return read_png(source, smallest_scale);
  if (text.starts_with("\xff\xd8")) return read_jpeg(source, smallest_scale);
  if (text.starts_with("P5")) return read_netpbm(source, 1, smallest_scale);
  if (text.starts_with("P6")) return read_netpbm(source, 3, smallest_scale);
  fail(ErrorCode::unsupported, "{}: this is no image that can be read (need PNG, JPEG, binary PGM or binary PPM); convert it.",
       source.name);
}

/// Gray from color (luma .299 .587 .114, rounded) or color from gray (replicated).
InterleavedImage with_channels(InterleavedImage image, std::int64_t channels) {
  if (image.channels == channels) return image;
  InterleavedImage result{image.width, image.height, channels, {}};
  const auto count = static_cast<std::size_t>(image.width * image.height);
  result.pixels.reserve(count * static_cast<std::size_t>(channels));
  for (std::size_t i = 0; i < count; ++i) {
    if (channels == 3) {
      result.pixels.insert(result.pixels.end(), 3, image.pixels[i]);
      continue;
    }
    const std::uint8_t* const pixel = image.pixels.data() + 3 * i;
    result.pixels.push_back(static_cast<std::uint8_t>((299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2] + 500) / 1000));
  }
  return result;
}

}  // namespace

Image read_image(const std::filesystem::path& path) {
  return planar(decode(path, [](std::int64_t, std::int64_t) { return 1.0; }));
}

void read_image_region(const std::filesystem::path& path, const ChooseRegion& choose, const Shape& shape, std::span<std::uint8_t> dst) {
  Region region;
  double stored_width = 0.0;
  double stored_height = 0.0;
  InterleavedImage image = decode(path, [&](std::int64_t width, std::int64_t height) {
    region = choose(width, height);
    stored_width = static_cast<double>(width);
    stored_height = static_cast<double>(height);
    return std::max(static_cast<double>(shape[2]) / region.width, static_cast<double>(shape[1]) / region.height);
  });
  const double across = static_cast<double>(image.width) / stored_width;
  const double down = static_cast<double>(image.height) / stored_height;
  const Region scaled{region.left * across, region.top * down, region.width * across, region.height * down};
  resample(with_channels(std::move(image), shape[0]), scaled, shape, dst);
}

}  // namespace bitwright
