// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/fixed_point/fixed_point.h"

#include <algorithm>

namespace bitwright {
namespace {

__extension__ using Wide = __int128;

struct Rounded {
  std::int16_t code;
  bool is_saturated;
};

Rounded round_one(std::int64_t acc, std::uint64_t index, const FixedFormatChange& change) noexcept {
  const int k = change.shift;
  Wide value = acc;
  if (k <= 0) {
    value *= Wide{1} << -k;
  } else {
    Wide offset = (Wide{1} << (k - 1)) - 1;  // (G11)
    if (change.rounding == FixedRounding::stochastic) {
      const int r = change.random_bits;
      if (r < k) {
        offset = Wide{change.rng->word(index) >> (32 - r)} << (k - r);  // (G13)
      } else {
        offset = k <= 32 ? Wide{change.rng->word(index) >> (32 - k)} : Wide{change.rng->word_pair(index) >> (64 - k)};  // (G12)
      }
    }
    value = (value + offset) >> k;
  }
  const Wide least = -(Wide{1} << (change.word_bits - 1));
  const Wide most = -least - 1;
  return {.code = static_cast<std::int16_t>(std::clamp(value, least, most)), .is_saturated = value < least || value > most};
}

// The whole epilogue for one element; `at` counts from the first element of the slice.
std::int64_t finish(std::int64_t acc, std::int64_t channel, std::int64_t at, const FixedEpilogue& epilogue,
                    const FixedResults& results) noexcept {
  std::int64_t sum = acc + (epilogue.bias == nullptr ? 0 : epilogue.bias[channel]);
  if (results.positive != nullptr) results.positive[at] = sum > 0 ? 1 : 0;
  if (epilogue.activation == FixedEpilogue::Activation::relu) sum = std::max<std::int64_t>(sum, 0);
  const Rounded rounded = round_one(sum, results.first_index + static_cast<std::uint64_t>(at), epilogue.change);
  results.codes[at] = rounded.code;
  return rounded.is_saturated ? 1 : 0;
}

// image(c, y, x) of the header, one image.
std::int64_t pixel(const FixedConvShape& shape, const std::int16_t* src, std::int64_t c, std::int64_t y, std::int64_t x) noexcept {
  if (y < 0 || x < 0 || y % shape.spread_y != 0 || x % shape.spread_x != 0) return 0;
  const std::int64_t row = y / shape.spread_y;
  const std::int64_t column = x / shape.spread_x;
  if (row >= shape.height || column >= shape.width) return 0;
  return src[(c * shape.height + row) * shape.width + column];
}

template <typename Body>
void for_taps(const FixedConvShape& shape, Body body) {
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    for (std::int64_t i = 0; i < shape.kernel_height; ++i) {
      for (std::int64_t j = 0; j < shape.kernel_width; ++j) body(c, i, j);
    }
  }
}

}  // namespace

std::int64_t fixed_round_reference(const FixedRoundCall& call) noexcept {
  std::int64_t saturated = 0;
  for (std::int64_t i = 0; i < call.count; ++i) {
    const Rounded rounded = round_one(call.acc[i], call.first_index + static_cast<std::uint64_t>(i), call.change);
    call.dst[i] = rounded.code;
    saturated += rounded.is_saturated ? 1 : 0;
  }
  return saturated;
}

void fixed_product_reference(const FixedProductCall& call, const FixedCodes& b, std::int64_t column_stride, std::int64_t depth_stride,
                             std::int64_t* dst, std::int64_t dst_stride) noexcept {
  for (std::int64_t r = 0; r < call.rows; ++r) {
    for (std::int64_t c = call.first_column; c < call.last_column; ++c) {
      for (std::int64_t k = 0; k < call.depth; ++k) {
        dst[r * dst_stride + c] += std::int64_t{call.a[r * call.a_stride + k]} * b.at(c * column_stride + k * depth_stride);
      }
    }
  }
}

std::int64_t fixed_dense_reference(const FixedProductCall& call, const FixedCodes& b, std::int64_t column_stride, std::int64_t depth_stride,
                                   const FixedEpilogue& epilogue, const FixedResults& results) noexcept {
  std::int64_t saturated = 0;
  for (std::int64_t r = 0; r < call.rows; ++r) {
    for (std::int64_t c = call.first_column; c < call.last_column; ++c) {
      std::int64_t acc = 0;
      for (std::int64_t k = 0; k < call.depth; ++k) {
        acc += std::int64_t{call.a[r * call.a_stride + k]} * b.at(c * column_stride + k * depth_stride);
      }
      saturated += finish(acc, c, r * call.columns + c, epilogue, results);
    }
  }
  return saturated;
}

std::int64_t fixed_convolve_reference(const FixedConvCall& call, const FixedConvShape& layer, FixedConvWeights use,
                                      const FixedCodes& weights, const FixedEpilogue& epilogue, const FixedResults& results,
                                      std::int64_t dst_image_stride) noexcept {
  const FixedConvShape& shape = call.shape;
  const auto weight = [&](std::int64_t o, std::int64_t c, std::int64_t i, std::int64_t j) -> std::int64_t {
    if (use == FixedConvWeights::forward) {
      return weights.at(((o * layer.channels + c) * layer.kernel_height + i) * layer.kernel_width + j);
    }
    // What this convolution calls an output is a channel of the layer, and the kernel is turned by 180 degrees.
    return weights.at(((c * layer.channels + o) * layer.kernel_height + (layer.kernel_height - 1 - i)) * layer.kernel_width +
                      (layer.kernel_width - 1 - j));
  };
  std::int64_t saturated = 0;
  for (std::int64_t n = 0; n < call.images; ++n) {
    const std::int16_t* src = call.src + n * call.src_image_stride;
    for (std::int64_t o = 0; o < shape.outputs; ++o) {
      for (std::int64_t y = call.first_row; y < call.last_row; ++y) {
        for (std::int64_t x = 0; x < shape.out_width; ++x) {
          std::int64_t acc = 0;
          for_taps(shape, [&](std::int64_t c, std::int64_t i, std::int64_t j) {
            acc += weight(o, c, i, j) * pixel(shape, src, c, y * shape.stride_y + i * shape.dilation_y - shape.pad_top,
                                              x * shape.stride_x + j * shape.dilation_x - shape.pad_left);
          });
          saturated += finish(acc, o, n * dst_image_stride + (o * shape.out_height + y) * shape.out_width + x, epilogue, results);
        }
      }
    }
  }
  return saturated;
}

void fixed_weight_gradient_reference(const FixedWeightGradientCall& call) noexcept {
  const FixedConvShape& layer = call.layer;
  std::int64_t* dst = call.dst;
  for (std::int64_t o = 0; o < layer.outputs; ++o) {
    for_taps(layer, [&](std::int64_t c, std::int64_t i, std::int64_t j) {
      for (std::int64_t n = 0; n < call.images; ++n) {
        const std::int16_t* src = call.src + n * call.src_image_stride;
        const std::int16_t* errors = call.errors + n * call.error_image_stride + o * layer.out_height * layer.out_width;
        for (std::int64_t y = 0; y < layer.out_height; ++y) {
          for (std::int64_t x = 0; x < layer.out_width; ++x) {
            *dst += errors[y * layer.out_width + x] * pixel(layer, src, c, y * layer.stride_y + i * layer.dilation_y - layer.pad_top,
                                                            x * layer.stride_x + j * layer.dilation_x - layer.pad_left);
          }
        }
      }
      ++dst;
    });
  }
}

}  // namespace bitwright
