// SPDX-License-Identifier: Apache-2.0
// Convolutions without im2col: with the channels of a pixel together, a row of the kernel is one run of neighbours in memory.
#include "bitwright/kernels/fixed_point/image.h"

namespace bitwright {
namespace {

constexpr std::int64_t kPanelPair = 2 * kFixedPanelColumns;
constexpr std::int64_t kSlack = 64;  // elements that a run of odd length may read behind the image

std::int64_t whole_tiles(std::int64_t positions) noexcept { return (positions + kFixedTileRows - 1) / kFixedTileRows * kFixedTileRows; }

// Positions whose accumulators may be kept before they are rounded: whole tiles, within a level-2 cache.
std::int64_t most_positions(const FixedConvShape& shape) noexcept {
  constexpr std::int64_t kBytes = 256 * 1024;
  const std::int64_t fitting = kBytes / (shape.outputs * static_cast<std::int64_t>(sizeof(std::int64_t)));
  return std::min(std::clamp<std::int64_t>(fitting / kFixedTileRows, 4, 85) * kFixedTileRows,
                  whole_tiles(shape.out_height * shape.out_width));
}

// The same for a slice, in blocks of about equal size.
std::int64_t block_positions(const FixedConvShape& shape, std::int64_t positions) noexcept {
  const std::int64_t most = most_positions(shape);
  const std::int64_t blocks = (positions + most - 1) / most;
  return whole_tiles((positions + blocks - 1) / blocks);
}

struct Pieces {
  std::int16_t* image;
  std::int64_t* acc;
  std::int64_t* sums;
};

Pieces share_out(FixedScratch& scratch, const FixedConvShape& shape, const FixedImage& image) noexcept {
  return {.image = scratch.take<std::int16_t>(image.count() + kSlack),
          .acc = scratch.take<std::int64_t>(shape.outputs * most_positions(shape)),
          .sums = scratch.take<std::int64_t>(kFixedTileRows * kFixedPanelColumns)};
}

std::int64_t segment_depth(const FixedConvShape& shape) noexcept { return shape.segments() * shape.segment_length(); }

}  // namespace

std::int64_t fixed_packed_conv_count(const FixedConvShape& shape, const FixedDigits& digits) noexcept {
  return fixed_packed_count(shape.outputs, segment_depth(shape), digits);
}

void fixed_pack_conv(const FixedConvShape& layer, FixedConvWeights use, const FixedCodes& weights, const FixedDigits& digits,
                     std::int16_t* dst) noexcept {
  const bool is_forward = use == FixedConvWeights::forward;
  const FixedConvShape shape = is_forward ? layer : fixed_input_error_shape(layer);
  std::fill_n(dst, fixed_packed_conv_count(shape, digits), std::int16_t{0});
  const std::int64_t panel_elements = segment_depth(shape) / 2 * digits.count * kPanelPair;
  const std::int64_t taps = layer.kernel_height * layer.kernel_width;
  // Outputs of a panel innermost: their lines of dst are shared, and each of their kernels stays in the cache for all its taps.
  for (std::int64_t first = 0; first < shape.outputs; first += kFixedPanelColumns, dst += panel_elements) {
    const std::int64_t outputs = std::min(kFixedPanelColumns, shape.outputs - first);
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      const std::int64_t kernel = is_forward ? first * layer.channels + c : c * layer.channels + first;
      const std::int64_t to_next = is_forward ? layer.channels * taps : taps;
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::int64_t i = tap / shape.kernel_width;
        const std::int64_t j = tap % shape.kernel_width;
        const std::int64_t k =
            shape.dilation_x == 1 ? i * shape.segment_length() + j * shape.channels + c : tap * shape.segment_length() + c;
        // Turned by 180 degrees, tap t is tap taps - 1 - t.
        const std::int64_t from = kernel * taps + (is_forward ? tap : taps - 1 - tap);
        std::int16_t* pair = dst + k / 2 * digits.count * kPanelPair + k % 2;
        for (std::int64_t o = 0; o < outputs; ++o) {
          for_digits(weights.at(from + o * to_next), digits, [&](int d, std::int16_t digit) { pair[d * kPanelPair + 2 * o] = digit; });
        }
      }
    }
  }
}

std::int64_t fixed_convolve_scratch_bytes(const FixedConvShape& shape) noexcept {
  FixedScratch scratch(nullptr);
  (void)share_out(scratch, shape, FixedImage::of(shape, 0, shape.out_height));
  return scratch.used();
}

std::int64_t fixed_convolve(const FixedPointKernel& kernel, const FixedConvCall& call, const FixedEpilogue& epilogue,
                            const FixedResults& results, std::int64_t dst_image_stride) noexcept {
  const FixedConvShape& shape = call.shape;
  if (call.first_row >= call.last_row) return 0;
  const FixedImage image = FixedImage::of(shape, call.first_row, call.last_row);
  FixedScratch scratch(call.scratch);
  const Pieces pieces = share_out(scratch, shape, image);
  std::fill_n(pieces.image + image.count(), kSlack, std::int16_t{0});

  const std::int64_t inner = shape.segments() / shape.kernel_height;
  const std::int64_t pairs = shape.segment_length() / 2;
  const std::int64_t step = call.digits.count * kPanelPair;
  FixedTileCall tile{.b_step = step,
                     .b_digit = kPanelPair,
                     .pairs = pairs,
                     .outer = shape.kernel_height,
                     .inner = inner,
                     .a_outer = shape.dilation_y * image.width * shape.channels,
                     .b_outer = inner * pairs * step,
                     .a_inner = shape.dilation_x * shape.channels,
                     .b_inner = pairs * step,
                     .digits = call.digits,
                     .sums = pieces.sums};
  const std::int64_t panel_elements = shape.segments() * pairs * step;
  const std::int64_t positions = (call.last_row - call.first_row) * shape.out_width;
  const std::int64_t block = block_positions(shape, positions);
  const std::int64_t plane = shape.out_height * shape.out_width;
  std::int64_t saturated = 0;
  for (std::int64_t n = 0; n < call.images; ++n) {
    image.fill(shape, call.src + n * call.src_image_stride, pieces.image);
    for (std::int64_t first = 0; first < positions; first += block) {
      const std::int64_t end = std::min(first + block, positions);
      for (std::int64_t o = 0; o < shape.outputs; o += kFixedPanelColumns) {
        tile.b = call.packed + o / kFixedPanelColumns * panel_elements;
        const std::int64_t columns = std::min(kFixedPanelColumns, shape.outputs - o);
        for (std::int64_t p = first; p < end; p += kFixedTileRows) {
          tile.rows = static_cast<int>(std::min<std::int64_t>(kFixedTileRows, end - p));
          for (int r = 0; r < tile.rows; ++r) {
            const std::int64_t y = (p + r) / shape.out_width;
            const std::int64_t x = (p + r) % shape.out_width;
            tile.a[r] = pieces.image + (y * shape.stride_y * image.width + x * shape.stride_x) * shape.channels;
          }
          kernel.tile(tile);
          for (std::int64_t j = 0; j < columns; ++j) {
            std::int64_t* acc = pieces.acc + (o + j) * block + (p - first);
            for (int r = 0; r < tile.rows; ++r) acc[r] = pieces.sums[r * kFixedPanelColumns + j];
          }
        }
      }
      for (std::int64_t o = 0; o < shape.outputs; ++o) {
        const std::int64_t at = n * dst_image_stride + o * plane + call.first_row * shape.out_width + first;
        saturated += kernel.finish({.acc = pieces.acc + o * block,
                                    .count = end - first,
                                    .bias_all = epilogue.bias == nullptr ? 0 : epilogue.bias[o],
                                    .activation = epilogue.activation,
                                    .change = epilogue.change,
                                    .first_index = results.first_index + static_cast<std::uint64_t>(at),
                                    .dst = results.codes + at,
                                    .positive = results.positive == nullptr ? nullptr : results.positive + at});
      }
    }
  }
  return saturated;
}

}  // namespace bitwright
