// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_file.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"

#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cstring>
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

/// HWC to CHW.
Image planar(std::span<const std::uint8_t> interleaved, std::int64_t width, std::int64_t height, std::int64_t channels) {
  Image image{{channels, height, width}, std::vector<std::uint8_t>(interleaved.size())};
  const auto plane = static_cast<std::size_t>(width * height);
  const auto step = static_cast<std::size_t>(channels);
  for (std::size_t channel = 0; channel < step; ++channel) {
    for (std::size_t i = 0; i < plane; ++i) image.pixels[channel * plane + i] = interleaved[i * step + channel];
  }
  return image;
}

Image read_png(const Source& source) {
  struct Reader {
    png_image png{};
    ~Reader() { png_image_free(&png); }
  } reader;
  png_image& png = reader.png;
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&png, source.bytes.data(), source.bytes.size()) == 0) fail_corrupt(source, "PNG", png.message);
  check_extent(source, png.width, png.height);
  const bool color = (png.format & PNG_FORMAT_FLAG_COLOR) != 0;
  png.format = color ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::vector<std::uint8_t> interleaved(PNG_IMAGE_SIZE(png));
  const png_color white{255, 255, 255};  // what shows through transparent pixels
  if (png_image_finish_read(&png, &white, interleaved.data(), 0, nullptr) == 0) fail_corrupt(source, "PNG", png.message);
  return planar(interleaved, png.width, png.height, color ? 3 : 1);
}

Image read_jpeg(const Source& source) {
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
  std::vector<std::uint8_t> interleaved(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * channels);
  // A warning (a truncated file, say) is a failure here: half an image must not pass for one.
  if (tjDecompress2(decoder.handle, data, size, interleaved.data(), width, 0, height, gray ? TJPF_GRAY : TJPF_RGB, TJFLAG_ACCURATEDCT) !=
      0) {
    fail_corrupt(source, "JPEG", tjGetErrorStr2(decoder.handle));
  }
  return planar(interleaved, width, height, channels);
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

Image read_netpbm(const Source& source, std::int64_t channels) {
  NetpbmHeader header(source);
  const std::int64_t width = header.number();
  const std::int64_t height = header.number();
  const std::int64_t max_value = header.number();
  check_extent(source, width, height);
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
  return planar(interleaved, width, height, channels);
}

}  // namespace

Image read_image(const std::filesystem::path& path) {
  const MappedFile file(path);
  const Source source{path.string(), file.bytes()};
  const std::string_view text(reinterpret_cast<const char*>(source.bytes.data()), source.bytes.size());
  if (text.empty()) fail(ErrorCode::corrupt_file, "{}: the file is empty (found 0 bytes, need an image); get it again.", source.name);
  if (text.starts_with("\x89PNG")) return read_png(source);
  if (text.starts_with("\xff\xd8")) return read_jpeg(source);
  if (text.starts_with("P5")) return read_netpbm(source, 1);
  if (text.starts_with("P6")) return read_netpbm(source, 3);
  fail(ErrorCode::unsupported, "{}: this is no image that can be read (need PNG, JPEG, binary PGM or binary PPM); convert it.",
       source.name);
}

}  // namespace bitwright
