// SPDX-License-Identifier: Apache-2.0
// Sums over positions: pairs of neighbouring output positions take the place of pairs of k. Every pixel is stored with the one that the
// next position reads at the same tap, so that one load brings 16 columns (kernel column, channel) of a pair.
#include "bitwright/kernels/fixed_point/image.h"

namespace bitwright {
namespace {

constexpr std::int64_t kHalfColumns = kFixedPanelColumns / 2;
constexpr std::int64_t kGroupBytes = 1024 * 1024;  // of the images that are summed before the int64 sums are touched: a level-2 cache
constexpr std::int64_t kGroupMost = 16;

// Runs of columns that are neighbours in memory: a kernel row, or a tap where the kernel is dilated; each in halves of 16.
struct Columns {
  std::int64_t runs;
  std::int64_t run_length;
  std::int64_t halves_per_run;

  explicit Columns(const FixedConvShape& layer) noexcept
      : runs(layer.segments()),
        run_length((layer.dilation_x == 1 ? layer.kernel_width : 1) * layer.channels),
        halves_per_run((run_length + kHalfColumns - 1) / kHalfColumns) {}
  [[nodiscard]] std::int64_t halves() const noexcept { return runs * halves_per_run; }
};

struct Layout {
  FixedImage image;
  std::int64_t row_length;   // of errors: out_width, made even
  std::int64_t error_count;  // of one image
  std::int64_t image_count;  // with what may be read behind its last pixel
  std::int64_t plane_count;  // of one digit of one image
  std::int64_t group;        // images at once
  Columns columns;

  Layout(const FixedConvShape& layer, const FixedDigits& digits) noexcept
      : image(FixedImage::of(layer, 0, layer.out_height)),
        row_length((layer.out_width + 1) / 2 * 2),
        error_count(layer.outputs * layer.out_height * row_length),
        image_count(image.count() + 2 * layer.stride_x * layer.channels + 2 * kFixedPanelColumns),
        plane_count(2 * (image.count() + layer.stride_x * layer.channels + kFixedPanelColumns)),
        group(std::clamp<std::int64_t>(
            kGroupBytes / (static_cast<std::int64_t>(sizeof(std::int16_t)) * (digits.count * plane_count + error_count)), 1, kGroupMost)),
        columns(layer) {}
};

struct Pieces {
  std::int16_t* image;
  std::int16_t* planes;
  std::int16_t* errors;
  std::int64_t* acc;
  std::int64_t* sums;
};

Pieces share_out(FixedScratch& scratch, const FixedConvShape& layer, const FixedDigits& digits, const Layout& layout) noexcept {
  return {.image = scratch.take<std::int16_t>(layout.image_count),
          .planes = scratch.take<std::int16_t>(layout.group * digits.count * layout.plane_count),
          .errors = scratch.take<std::int16_t>(layout.group * layout.error_count),
          .acc = scratch.take<std::int64_t>(layer.outputs * layout.columns.halves() * kHalfColumns),
          .sums = scratch.take<std::int64_t>(kFixedTileRows * kFixedPanelColumns)};
}

// Rows of errors with an even number of elements, the added ones 0.
void copy_errors(const FixedConvShape& layer, const std::int16_t* src, std::int64_t row_length, std::int16_t* dst) noexcept {
  for (std::int64_t row = 0; row < layer.outputs * layer.out_height; ++row) {
    std::copy_n(src + row * layer.out_width, layer.out_width, dst + row * row_length);
    if (row_length != layer.out_width) dst[row * row_length + layer.out_width] = 0;
  }
}

}  // namespace

std::int64_t fixed_weight_gradient_scratch_bytes(const FixedConvShape& layer, const FixedDigits& digits) noexcept {
  FixedScratch scratch(nullptr);
  (void)share_out(scratch, layer, digits, Layout(layer, digits));
  return scratch.used();
}

void fixed_weight_gradient(const FixedPointKernel& kernel, const FixedWeightGradientCall& call) noexcept {
  const FixedConvShape& layer = call.layer;
  const Layout layout(layer, call.digits);
  const Columns& columns = layout.columns;
  FixedScratch scratch(call.scratch);
  const Pieces pieces = share_out(scratch, layer, call.digits, layout);
  const std::int64_t width = columns.halves() * kHalfColumns;
  std::fill_n(pieces.image, layout.image_count, std::int16_t{0});
  std::fill_n(pieces.acc, layer.outputs * width, std::int64_t{0});

  // First element of a half, and from one half to any other.
  const auto half_offset = [&](std::int64_t half) {
    const std::int64_t run = half / columns.halves_per_run;
    const std::int64_t i = layer.dilation_x == 1 ? run : run / layer.kernel_width;
    const std::int64_t j = layer.dilation_x == 1 ? 0 : run % layer.kernel_width;
    const std::int64_t pixel = (i * layer.dilation_y * layout.image.width + j * layer.dilation_x) * layer.channels;
    return 2 * (pixel + half % columns.halves_per_run * kHalfColumns);
  };
  FixedTileCall tile{.b_step = 2 * 2 * layer.stride_x * layer.channels,
                     .b_digit = layout.plane_count,
                     .pairs = layout.row_length / 2,
                     .inner = layer.out_height,
                     .a_outer = layout.error_count,
                     .b_outer = call.digits.count * layout.plane_count,
                     .a_inner = layout.row_length,
                     .b_inner = 2 * layer.stride_y * layout.image.width * layer.channels,
                     .digits = call.digits,
                     .sums = pieces.sums};
  for (std::int64_t first = 0; first < call.images; first += layout.group) {
    tile.outer = std::min(layout.group, call.images - first);
    for (std::int64_t g = 0; g < tile.outer; ++g) {
      layout.image.fill(layer, call.src + (first + g) * call.src_image_stride, pieces.image);
      kernel.split({.even = pieces.image,
                    .odd = pieces.image + layer.stride_x * layer.channels,
                    .count = layout.plane_count / 2,
                    .digits = call.digits,
                    .dst = pieces.planes + g * call.digits.count * layout.plane_count,
                    .digit_stride = layout.plane_count});
      copy_errors(layer, call.errors + (first + g) * call.error_image_stride, layout.row_length, pieces.errors + g * layout.error_count);
    }
    for (std::int64_t half = 0; half < columns.halves(); half += 2) {
      const std::int64_t used = std::min<std::int64_t>(2, columns.halves() - half);
      tile.b = pieces.planes + half_offset(half);
      tile.b_half = used == 2 ? half_offset(half + 1) - half_offset(half) : 0;
      for (std::int64_t o = 0; o < layer.outputs; o += kFixedTileRows) {
        tile.rows = static_cast<int>(std::min<std::int64_t>(kFixedTileRows, layer.outputs - o));
        for (int r = 0; r < tile.rows; ++r) tile.a[r] = pieces.errors + (o + r) * layer.out_height * layout.row_length;
        kernel.tile(tile);
        for (int r = 0; r < tile.rows; ++r) {
          std::int64_t* acc = pieces.acc + (o + r) * width + half * kHalfColumns;
          for (std::int64_t j = 0; j < used * kHalfColumns; ++j) acc[j] += pieces.sums[r * kFixedPanelColumns + j];
        }
      }
    }
  }

  std::int64_t* dst = call.dst;
  for (std::int64_t o = 0; o < layer.outputs; ++o) {
    for (std::int64_t c = 0; c < layer.channels; ++c) {
      for (std::int64_t i = 0; i < layer.kernel_height; ++i) {
        for (std::int64_t j = 0; j < layer.kernel_width; ++j) {
          const std::int64_t run = layer.dilation_x == 1 ? i : i * layer.kernel_width + j;
          const std::int64_t column = (layer.dilation_x == 1 ? j * layer.channels : 0) + c;
          *dst++ += pieces.acc[o * width + run * columns.halves_per_run * kHalfColumns + column];
        }
      }
    }
  }
}

}  // namespace bitwright
