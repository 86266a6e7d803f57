// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/image_folder.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/data/image_file.h"
#include "bitwright/data/image_region.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "folder:";
constexpr std::int64_t kLeastSize = 8;
constexpr std::int64_t kLargestSize = 1024;

/// `224` or `28x1`; nothing when the text is neither.
std::optional<Shape> parse_size(std::string_view text) {
  std::int64_t size = 0;
  std::int64_t channels = 3;
  const char* const end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, size);
  if (error != std::errc()) return std::nullopt;
  if (rest != end && *rest == 'x') {
    const auto [last, channel_error] = std::from_chars(rest + 1, end, channels);
    if (channel_error != std::errc()) return std::nullopt;
    rest = last;
  }
  if (rest != end) return std::nullopt;
  return Shape{channels, size, size};
}

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".pgm" || extension == ".ppm";
}

/// Names of the entries of a folder that `wanted` accepts, ordered; hidden ones are left out.
template <typename Wanted>
std::vector<std::string> names_in(const fs::path& folder, const Wanted& wanted) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (!name.starts_with('.') && wanted(*entry)) names.push_back(std::move(name));
  }
  if (error)
    fail(ErrorCode::io, "{}: the folder cannot be read ({}); check the path and its permissions.", folder.string(), error.message());
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> classes_in(const fs::path& folder) {
  return names_in(folder, [](const fs::directory_entry& entry) { return entry.is_directory(); });
}

fs::path split_folder(const fs::path& path, Split split) {
  const std::vector<std::string> names =
      split == Split::train ? std::vector<std::string>{"train"} : std::vector<std::string>{"test", "val"};
  for (const std::string& name : names) {
    if (fs::is_directory(path / name)) return path / name;
  }
  fail(ErrorCode::io, "{}: there is no folder \"{}\" here; need train/CLASS/*.jpg and test/CLASS/*.jpg (or val).", path.string(), names[0]);
}

class ImageFolder final : public Dataset {
 public:
  ImageFolder(std::string_view name, ImageFolderSpec spec, Split split) : name_(name), shape_(spec.image_shape) {
    const fs::path training = split_folder(spec.path, Split::train);
    class_names_ = classes_in(training);
    if (class_names_.empty()) {
      fail(ErrorCode::invalid_input, "{}: there is no class (found no folder, need one per class); put each class's images in a folder.",
           training.string());
    }
    const fs::path folder = split_folder(spec.path, split);
    for (const std::string& name_here : classes_in(folder)) {
      const auto known = std::ranges::lower_bound(class_names_, name_here);
      if (known == class_names_.end() || *known != name_here) {
        fail(ErrorCode::invalid_input, "{}: training has no such class (found no folder {}); remove it, or train on it.",
             (folder / name_here).string(), (training / name_here).string());
      }
      add_class(folder / name_here, static_cast<int>(known - class_names_.begin()));
    }
    if (images_.empty()) fail(ErrorCode::invalid_input, "{}: there is no class with images; add some.", folder.string());
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t size() const noexcept override { return static_cast<std::int64_t>(images_.size()); }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return shape_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return class_names_; }

  int read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    const Entry& entry = at(index);
    read_image_region(
        entry.path, [this](std::int64_t width, std::int64_t height) { return middle_region(width, height, shape_); }, shape_, pixels);
    return entry.label;
  }
  int read_random_crop(std::int64_t index, double min_area, const Rng& draws, std::int64_t sample,
                       std::span<std::uint8_t> pixels) const override {
    const Entry& entry = at(index);
    read_image_region(
        entry.path, [&](std::int64_t width, std::int64_t height) { return random_region(width, height, min_area, draws, sample); }, shape_,
        pixels);
    return entry.label;
  }
  [[nodiscard]] const fs::path& path(std::int64_t index) const { return at(index).path; }

 private:
  struct Entry {
    fs::path path;
    int label = 0;
  };

  [[nodiscard]] const Entry& at(std::int64_t index) const {
    BITWRIGHT_ASSERT(index >= 0 && index < size());
    return images_[static_cast<std::size_t>(index)];
  }

  void add_class(const fs::path& folder, int label) {
    const std::vector<std::string> names =
        names_in(folder, [](const fs::directory_entry& entry) { return entry.is_regular_file() && is_image_name(entry.path()); });
    if (names.empty()) {
      fail(ErrorCode::invalid_input,
           "{}: the class has no image (found no .jpg, .jpeg, .png, .pgm or .ppm file); add some, or remove the folder.", folder.string());
    }
    for (const std::string& image : names) images_.push_back({folder / image, label});
  }

  std::string name_;
  Shape shape_;
  std::vector<std::string> class_names_;
  std::vector<Entry> images_;
};

}  // namespace

bool is_image_folder_name(std::string_view name) noexcept { return name.starts_with(kPrefix); }

ImageFolderSpec parse_image_folder_name(std::string_view name) {
  BITWRIGHT_ASSERT(is_image_folder_name(name));
  ImageFolderSpec spec;
  std::string_view path = name.substr(kPrefix.size());
  const std::size_t mark = path.rfind('@');
  if (mark != std::string_view::npos) {
    if (const std::optional<Shape> shape = parse_size(path.substr(mark + 1))) {
      spec.image_shape = *shape;
      path = path.substr(0, mark);
    }
  }
  const std::int64_t size = spec.image_shape[1];
  const std::int64_t channels = spec.image_shape[0];
  if (size < kLeastSize || size > kLargestSize || (channels != 1 && channels != 3)) {
    fail(ErrorCode::usage, "{}: wrong image size (found {} pixels and {} channels, need {} to {} and 1 or 3); write e.g. folder:PATH@224.",
         name, size, channels, kLeastSize, kLargestSize);
  }
  if (path.empty()) fail(ErrorCode::usage, "{}: the path is missing; write e.g. folder:photos or folder:photos@224.", name);
  spec.path = path;
  return spec;
}

std::unique_ptr<Dataset> open_image_folder(std::string_view name, Split split) {
  return std::make_unique<ImageFolder>(name, parse_image_folder_name(name), split);
}

std::vector<FileCheck> check_image_folder(std::string_view name) {
  const ImageFolderSpec spec = parse_image_folder_name(name);
  std::vector<FileCheck> checks;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(spec.image_shape.element_count()));
  for (const Split split : {Split::train, Split::test}) {
    const ImageFolder images(name, spec, split);
    for (std::int64_t i = 0; i < images.size(); ++i) {
      FileCheck& check = checks.emplace_back(FileCheck{images.path(i).lexically_relative(spec.path).string(), "ok"});
      try {
        (void)images.read(i, pixels);
      } catch (const Error& error) {
        check.status = error.message();
      }
    }
  }
  return checks;
}

}  // namespace bitwright
