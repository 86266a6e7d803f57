// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/isa.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Convolution with stride 1 for few, odd channel counts (LeNet's 20 and 50): lanes hold neighbouring pixels, so no channel is padded.
///
/// Equation: for all o in [0, outputs), y in [0, out_height), x in [0, out_width):
///     dst(o, y, x) = relu?(bias(o) + sum over c, i, j of weight(o, c, i, j) * src(c, y + i * dilation_y - pad_top, x + j * dilation_x -
///     pad_left))
/// with src = 0 outside the image. First src is copied once per kernel column j with the shift of that column and rows of out_width,
///     shifted(c, j, r * out_width + q) = src(c, r - pad_top, q + j * dilation_x - pad_left)
/// so that the pixels p = y * out_width + x of a whole output plane need shifted(c, j, p + i * dilation_y * out_width): neighbours all
/// along. Order of summation: bias, then c, i, j ascending; the same on every instruction set. Exactness: within gamma(channels *
/// kernel_height * kernel_width + 1) times the sum of absolute products and bias (docs/runtime.md, R5).
struct ConvShiftedShape {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t outputs = 0;
  std::int64_t kernel_height = 0;
  std::int64_t kernel_width = 0;
  std::int64_t dilation_y = 1;
  std::int64_t dilation_x = 1;
  std::int64_t pad_top = 0;
  std::int64_t pad_left = 0;
  std::int64_t out_height = 0;
  std::int64_t out_width = 0;

  /// Rows of the shifted copies: those that some output needs.
  [[nodiscard]] std::int64_t shifted_rows() const noexcept { return out_height + (kernel_height - 1) * dilation_y; }
  /// Floats of scratch memory, with room for full vectors behind the last pixel.
  [[nodiscard]] std::int64_t scratch_count() const noexcept { return channels * kernel_width * shifted_rows() * out_width + 64; }
};

/// Weights in the order that the kernels read: [tile of outputs][c][i][j][output in tile], the last tile padded with zeros.
class ConvShiftedWeights {
 public:
  /// Requires: weights are OIHW for `shape`.
  ConvShiftedWeights(const ConvShiftedShape& shape, std::span<const float> weights);

  [[nodiscard]] const float* values() const noexcept { return values_.data(); }
  /// Outputs computed together: 4, 5 or 6, whichever leaves the fewest unused.
  [[nodiscard]] std::int64_t tile() const noexcept { return tile_; }

 private:
  std::vector<float> values_;
  std::int64_t tile_;
};

enum class Activation : std::uint8_t { none, relu };

/// One image, planes of src and dst dense. `scratch` has scratch_count() floats.
struct ConvShiftedCall {
  const ConvShiftedShape* shape = nullptr;
  const ConvShiftedWeights* weights = nullptr;
  const float* bias = nullptr;  ///< `outputs` elements
  Activation activation = Activation::none;
  const float* src = nullptr;
  float* scratch = nullptr;
  float* dst = nullptr;
};
using ConvShiftedFunction = void (*)(const ConvShiftedCall& call) noexcept;

struct ConvShiftedKernel {
  Isa isa;
  std::string_view name;  ///< e.g. `conv_shifted:avx512`
  ConvShiftedFunction function;
};

/// All kernels of this build, slowest first.
[[nodiscard]] std::span<const ConvShiftedKernel> conv_shifted_kernels() noexcept;

/// What a caller wants to convolve.
struct ConvShiftedQuery {
  std::int64_t batch = 1;
  std::int64_t threads = 1;
  std::int64_t group = 1;
  std::int64_t stride_y = 1;
  std::int64_t stride_x = 1;
  std::int64_t outputs = 0;
  std::int64_t pixels = 0;  ///< of one output plane
};

struct ConvShiftedChoice {
  const ConvShiftedKernel* kernel = nullptr;  ///< null when all refused
  std::vector<std::string> refusals;          ///< e.g. `conv_shifted: stride is 2 x 2, this kernel needs 1 x 1`
};
[[nodiscard]] ConvShiftedChoice select_conv_shifted(const ConvShiftedQuery& query, Isa isa);

}  // namespace bitwright
