// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bitwright {

/// One axis of a convolution along a row: `width` pixels in, `out_width` out.
struct RowShape {
  std::int64_t width = 0;
  std::int64_t out_width = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t pad = 0;  ///< on the left
};

/// A convolution over rows of pixels, channels last, seen as one over groups of neighbouring pixels: memory stays as it is, a group of
/// `src_pixels` pixels is one pixel with as many times the channels, and the stride becomes 1. A narrow network so fills the registers of
/// matrix instructions.
///
/// Equation: outputs x = dst_pixels * X + r read input x * stride + k - pad = src_pixels * (X + q) + s; weight'[r, o][s, c][y][q + pad] =
/// weight[o][c][y][k], 0 where no k gives (q, s).
struct PixelFold {
  std::int64_t src_pixels = 1;
  std::int64_t dst_pixels = 1;
  std::int64_t kernel = 1;
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;
};

/// The convolution over groups of `pixels` inputs; nothing when rows are not whole groups or outputs do not follow them.
[[nodiscard]] std::optional<PixelFold> fold_pixels(const RowShape& row, std::int64_t pixels);

/// Extents of row-major weights [outputs, channels, kernel_height, kernel_width].
struct FoldableWeights {
  std::int64_t outputs = 0;
  std::int64_t channels = 0;
  std::int64_t kernel_height = 1;
};

/// Weights of the folded convolution, row-major: [dst_pixels * outputs, src_pixels * channels, kernel_height, fold.kernel].
template <typename T>
[[nodiscard]] std::vector<T> fold_weights(std::span<const T> weights, const FoldableWeights& extents, const RowShape& row,
                                          const PixelFold& fold);

}  // namespace bitwright
