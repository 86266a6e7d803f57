// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/pixel_fold.h"

#include "bitwright/core/assert.h"

namespace bitwright {
namespace {

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) { return (a >= 0 ? a : a - b + 1) / b; }

}  // namespace

std::optional<PixelFold> fold_pixels(const RowShape& row, std::int64_t pixels) {
  if (pixels % row.stride != 0 || row.width % pixels != 0) return std::nullopt;
  PixelFold fold{.src_pixels = pixels, .dst_pixels = pixels / row.stride};
  // As many groups come out as go in.
  if (row.out_width % fold.dst_pixels != 0 || row.width / pixels != row.out_width / fold.dst_pixels) return std::nullopt;
  const std::int64_t first = floor_quotient(-row.pad, pixels);
  const std::int64_t last = floor_quotient((fold.dst_pixels - 1) * row.stride + row.kernel - 1 - row.pad, pixels);
  if (first > 0 || last < 0) return std::nullopt;
  fold.kernel = last - first + 1;
  fold.pad_begin = -first;
  fold.pad_end = last;
  return fold;
}

template <typename T>
std::vector<T> fold_weights(std::span<const T> weights, const FoldableWeights& extents, const RowShape& row, const PixelFold& fold) {
  const std::int64_t per_output = extents.channels * extents.kernel_height * row.kernel;
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(weights.size()) == extents.outputs * per_output);
  const std::int64_t line = fold.kernel;
  const std::int64_t plane = extents.kernel_height * line;
  const std::int64_t per_folded_output = fold.src_pixels * extents.channels * plane;
  std::vector<T> folded(static_cast<std::size_t>(fold.dst_pixels * extents.outputs * per_folded_output));
  for (std::int64_t r = 0; r < fold.dst_pixels; ++r) {
    for (std::int64_t k = 0; k < row.kernel; ++k) {
      const std::int64_t shift = r * row.stride + k - row.pad;
      const std::int64_t q = floor_quotient(shift, fold.src_pixels);
      const std::int64_t s = shift - q * fold.src_pixels;
      for (std::int64_t o = 0; o < extents.outputs; ++o) {
        for (std::int64_t c = 0; c < extents.channels; ++c) {
          const T* src = weights.data() + o * per_output + c * extents.kernel_height * row.kernel + k;
          T* dst = folded.data() + (r * extents.outputs + o) * per_folded_output + (s * extents.channels + c) * plane + q + fold.pad_begin;
          for (std::int64_t y = 0; y < extents.kernel_height; ++y) dst[y * line] = src[y * row.kernel];
        }
      }
    }
  }
  return folded;
}

template std::vector<float> fold_weights(std::span<const float>, const FoldableWeights&, const RowShape&, const PixelFold&);
template std::vector<std::int8_t> fold_weights(std::span<const std::int8_t>, const FoldableWeights&, const RowShape&, const PixelFold&);

}  // namespace bitwright
