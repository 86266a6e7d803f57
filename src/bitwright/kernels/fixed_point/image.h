// SPDX-License-Identifier: Apache-2.0
// One image as the convolutions read it: pixels with their channels together, padding and spread included.
#pragma once

#include "bitwright/kernels/fixed_point/functions.h"

#include <algorithm>
#include <cstring>

namespace bitwright {

/// image[(y * width + x) * channels + c], y from the first row that some output of the slice needs.
struct FixedImage {
  std::int64_t first_row = 0;  ///< in the coordinates of image(n, c, y, x), may be negative
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;

  [[nodiscard]] static FixedImage of(const FixedConvShape& shape, std::int64_t first_output_row, std::int64_t last_output_row) noexcept {
    return {.first_row = first_output_row * shape.stride_y - shape.pad_top,
            .height = (last_output_row - first_output_row - 1) * shape.stride_y + (shape.kernel_height - 1) * shape.dilation_y + 1,
            .width = (shape.out_width - 1) * shape.stride_x + (shape.kernel_width - 1) * shape.dilation_x + 1,
            .channels = shape.channels};
  }
  [[nodiscard]] std::int64_t count() const noexcept { return height * width * channels; }

  /// src: the planes of one image.
  void fill(const FixedConvShape& shape, const std::int16_t* src, std::int16_t* image) const noexcept {
    // Pixels of a row of src that lie within the image.
    const std::int64_t begin = std::max<std::int64_t>(0, (-shape.pad_left + shape.spread_x - 1) / shape.spread_x);
    const std::int64_t end = std::min(shape.width, (width - shape.pad_left + shape.spread_x - 1) / shape.spread_x);
    const bool is_covered = shape.spread_x == 1 && shape.pad_left + begin == 0 && shape.pad_left + end == width;
    for (std::int64_t y = 0; y < height; ++y) {
      std::int16_t* row = image + y * width * channels;
      const std::int64_t at = first_row + y;
      const bool has_pixels = at >= 0 && at % shape.spread_y == 0 && at / shape.spread_y < shape.height && begin < end;
      if (!has_pixels || !is_covered) std::fill_n(row, width * channels, std::int16_t{0});
      if (!has_pixels) continue;
      const std::int16_t* from = src + at / shape.spread_y * shape.width;
      const std::int64_t plane = shape.height * shape.width;
      std::int64_t c = 0;
      for (; c + 4 <= channels; c += 4) {  // four neighbours in one store
        const std::int16_t* four = from + c * plane;
        for (std::int64_t x = begin; x < end; ++x) {
          const std::int16_t pixels[4] = {four[x], four[plane + x], four[2 * plane + x], four[3 * plane + x]};
          std::memcpy(row + (x * shape.spread_x + shape.pad_left) * channels + c, pixels, sizeof(pixels));
        }
      }
      for (; c < channels; ++c) {
        for (std::int64_t x = begin; x < end; ++x) row[(x * shape.spread_x + shape.pad_left) * channels + c] = from[c * plane + x];
      }
    }
  }
};

/// Hands out aligned pieces of scratch memory; without memory it measures.
class FixedScratch {
 public:
  explicit FixedScratch(std::byte* memory) noexcept : memory_(memory) {}
  template <typename T>
  [[nodiscard]] T* take(std::int64_t count) noexcept {
    const std::int64_t at = used_;
    used_ += (count * static_cast<std::int64_t>(sizeof(T)) + 63) / 64 * 64;
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + at);
  }
  [[nodiscard]] std::int64_t used() const noexcept { return used_; }

 private:
  std::byte* memory_;
  std::int64_t used_ = 0;
};

}  // namespace bitwright
