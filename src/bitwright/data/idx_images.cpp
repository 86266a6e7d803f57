// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/idx_images.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"

#include <cstring>
#include <utility>

namespace bitwright {
namespace {

constexpr std::uint32_t kImagesMagic = 0x00000803;
constexpr std::uint32_t kLabelsMagic = 0x00000801;
constexpr std::uint64_t kImagesHeaderBytes = 16;
constexpr std::uint64_t kLabelsHeaderBytes = 8;

std::uint32_t big_endian_u32(std::span<const std::byte> bytes, std::size_t position) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8) | std::to_integer<std::uint32_t>(bytes[position + i]);
  return value;
}

/// Refuses a file without a header or with another kind's.
void check_magic(const std::filesystem::path& path, std::span<const std::byte> bytes, std::uint32_t magic, std::uint64_t header_bytes,
                 std::optional<std::uint64_t> file_bytes, std::string_view name) {
  if (bytes.size() < header_bytes) {
    fail(ErrorCode::corrupt_file, "{}: the file has the wrong size (found {} bytes, need {}); run `bitwright data get {}`.", path.string(),
         bytes.size(), file_bytes.value_or(header_bytes), name);
  }
  if (const std::uint32_t found = big_endian_u32(bytes, 0); found != magic) {
    fail(ErrorCode::corrupt_file, "{}: this is no IDX file of {} (found magic 0x{:08x}, need 0x{:08x}); run `bitwright data get {}`.",
         path.string(), magic == kImagesMagic ? "images" : "labels", found, magic, name);
  }
}

/// Holds the header's count to the size of the file. Returns the count.
std::int64_t check_count(const std::filesystem::path& path, std::span<const std::byte> bytes, std::uint64_t header_bytes,
                         std::uint64_t element_bytes, std::optional<std::uint64_t> file_bytes, std::string_view name) {
  const std::uint64_t count = big_endian_u32(bytes, 4);
  if (count == 0) {
    fail(ErrorCode::invalid_input, "{}: the data set is empty (found 0 images, need at least 1); run `bitwright data get {}`.",
         path.string(), name);
  }
  const std::uint64_t announced_bytes = header_bytes + count * element_bytes;
  const std::uint64_t need = file_bytes.value_or(announced_bytes);
  if (bytes.size() != need) {
    fail(ErrorCode::corrupt_file, "{}: the file has the wrong size (found {} bytes, need {}); run `bitwright data get {}`.", path.string(),
         bytes.size(), need, name);
  }
  if (announced_bytes != need) {
    fail(ErrorCode::corrupt_file, "{}: the header announces the wrong number of images (found {}, need {}); run `bitwright data get {}`.",
         path.string(), count, (need - header_bytes) / element_bytes, name);
  }
  return static_cast<std::int64_t>(count);
}

class IdxImages final : public Dataset {
 public:
  explicit IdxImages(IdxLayout layout) : layout_(std::move(layout)), images_(layout_.images), labels_(layout_.labels) {
    image_bytes_ = static_cast<std::size_t>(layout_.image_shape.element_count());
    const std::span<const std::byte> images = images_.bytes();
    check_magic(layout_.images, images, kImagesMagic, kImagesHeaderBytes, layout_.images_bytes, layout_.name);
    const Shape found{1, big_endian_u32(images, 8), big_endian_u32(images, 12)};
    if (found != layout_.image_shape) {
      fail(ErrorCode::corrupt_file, "{}: the images have the wrong shape (found {}, need {}); run `bitwright data get {}`.",
           layout_.images.string(), found.to_string(), layout_.image_shape.to_string(), layout_.name);
    }
    size_ = check_count(layout_.images, images, kImagesHeaderBytes, image_bytes_, layout_.images_bytes, layout_.name);
    check_magic(layout_.labels, labels_.bytes(), kLabelsMagic, kLabelsHeaderBytes, layout_.labels_bytes, layout_.name);
    const std::int64_t label_count =
        check_count(layout_.labels, labels_.bytes(), kLabelsHeaderBytes, 1, layout_.labels_bytes, layout_.name);
    if (label_count != size_) {
      fail(ErrorCode::corrupt_file, "{}: the number of labels is not that of the images (found {}, need {}); run `bitwright data get {}`.",
           layout_.labels.string(), label_count, size_, layout_.name);
    }
    for (std::int64_t i = 0; i < size_; ++i) {
      if (label(i) >= static_cast<int>(layout_.class_names.size())) {
        fail(ErrorCode::corrupt_file, "{}: the label of image {} is out of range (found {}, need at most {}); run `bitwright data get {}`.",
             layout_.labels.string(), i, label(i), layout_.class_names.size() - 1, layout_.name);
      }
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return layout_.name; }
  [[nodiscard]] std::int64_t size() const noexcept override { return size_; }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return layout_.image_shape; }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return layout_.class_names; }

  int read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    BITWRIGHT_ASSERT(index >= 0 && index < size_ && pixels.size() == image_bytes_);
    std::memcpy(pixels.data(), images_.bytes().data() + kImagesHeaderBytes + static_cast<std::size_t>(index) * image_bytes_, image_bytes_);
    return label(index);
  }

 private:
  [[nodiscard]] int label(std::int64_t index) const {
    return std::to_integer<int>(labels_.bytes()[kLabelsHeaderBytes + static_cast<std::size_t>(index)]);
  }

  IdxLayout layout_;
  MappedFile images_;
  MappedFile labels_;
  std::size_t image_bytes_ = 0;
  std::int64_t size_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_idx_images(IdxLayout layout) { return std::make_unique<IdxImages>(std::move(layout)); }

std::unique_ptr<Dataset> open_mnist_layout(const std::filesystem::path& folder, Split split, const DatasetSource& source,
                                           std::vector<std::string> class_names) {
  const std::string prefix = split == Split::train ? "train" : "t10k";
  const DatasetFile& images = dataset_file(source, prefix + "-images-idx3-ubyte");
  const DatasetFile& labels = dataset_file(source, prefix + "-labels-idx1-ubyte");
  return open_idx_images({.name = source.name,
                          .images = folder / images.name,
                          .labels = folder / labels.name,
                          .images_bytes = images.bytes,
                          .labels_bytes = labels.bytes,
                          .image_shape = {1, 28, 28},
                          .class_names = std::move(class_names)});
}

}  // namespace bitwright
