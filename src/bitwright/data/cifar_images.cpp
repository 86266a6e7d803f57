// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/cifar_images.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bitwright {
namespace {

constexpr std::size_t kImageBytes = 3 * 32 * 32;

class CifarImages final : public Dataset {
 public:
  explicit CifarImages(CifarLayout layout) : layout_(std::move(layout)), record_bytes_(kImageBytes + layout_.label_bytes) {
    BITWRIGHT_ASSERT(!layout_.files.empty() && layout_.label_bytes >= 1);
    for (const CifarLayout::File& file : layout_.files) {
      maps_.emplace_back(file.path);
      check(file, maps_.back().bytes());
      size_ += static_cast<std::int64_t>(maps_.back().bytes().size() / record_bytes_);
      ends_.push_back(size_);
    }
    if (size_ == 0) {
      fail(ErrorCode::invalid_input, "{}: the data set is empty (found 0 images, need at least 1); run `bitwright data get {}`.",
           layout_.files.front().path.string(), layout_.name);
    }
  }

  [[nodiscard]] std::string_view name() const noexcept override { return layout_.name; }
  [[nodiscard]] std::int64_t size() const noexcept override { return size_; }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return image_shape_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return layout_.class_names; }

  int read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    BITWRIGHT_ASSERT(index >= 0 && index < size_ && pixels.size() == kImageBytes);
    const auto file = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
    const std::int64_t begin = file == 0 ? 0 : ends_[file - 1];
    const std::byte* const record = maps_[file].bytes().data() + static_cast<std::size_t>(index - begin) * record_bytes_;
    std::memcpy(pixels.data(), record + layout_.label_bytes, kImageBytes);
    return std::to_integer<int>(record[layout_.label_bytes - 1]);
  }

 private:
  void check(const CifarLayout::File& file, std::span<const std::byte> bytes) const {
    const std::uint64_t whole_records = (bytes.size() + record_bytes_ - 1) / record_bytes_ * record_bytes_;
    if (const std::uint64_t need = file.bytes.value_or(whole_records); bytes.size() != need) {
      fail(ErrorCode::corrupt_file, "{}: the file has the wrong size (found {} bytes, need {}); run `bitwright data get {}`.",
           file.path.string(), bytes.size(), need, layout_.name);
    }
    for (std::size_t i = 0; i < bytes.size() / record_bytes_; ++i) {
      const int label = std::to_integer<int>(bytes[i * record_bytes_ + layout_.label_bytes - 1]);
      if (label >= static_cast<int>(layout_.class_names.size())) {
        fail(ErrorCode::corrupt_file, "{}: the label of image {} is out of range (found {}, need at most {}); run `bitwright data get {}`.",
             file.path.string(), i, label, layout_.class_names.size() - 1, layout_.name);
      }
    }
  }

  CifarLayout layout_;
  std::size_t record_bytes_;
  Shape image_shape_{3, 32, 32};
  std::vector<MappedFile> maps_;
  std::vector<std::int64_t> ends_;  ///< of each file, the index after its last image
  std::int64_t size_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_cifar_images(CifarLayout layout) { return std::make_unique<CifarImages>(std::move(layout)); }

}  // namespace bitwright
