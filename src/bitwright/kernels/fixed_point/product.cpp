// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/assert.h"
#include "bitwright/kernels/fixed_point/functions.h"

#include <algorithm>

namespace bitwright {
namespace {

constexpr std::int64_t kPanelPair = 2 * kFixedPanelColumns;  // elements of one pair of k, one digit
constexpr std::int64_t kDenseRows = 8 * kFixedTileRows;      // rows whose accumulators are kept before they are rounded

// Element k = depth - 1 of an odd depth, which no pair holds.
void add_last(const FixedProductCall& call, const std::int16_t* panel, std::int64_t first_row, int rows, std::int64_t* sums) noexcept {
  const std::int16_t* digits = panel + call.depth / 2 * call.digits.count * kPanelPair;
  for (int r = 0; r < rows; ++r) {
    const std::int64_t a = call.a[(first_row + r) * call.a_stride + call.depth - 1];
    for (std::int64_t j = 0; j < kFixedPanelColumns; ++j) {
      std::int64_t b = 0;
      for (int d = 0; d < call.digits.count; ++d) b += digits[d * kPanelPair + 2 * j] * (std::int64_t{1} << (call.digits.bits * d));
      sums[r * kFixedPanelColumns + j] += a * b;
    }
  }
}

// Tiles of rows [first_row, last_row) in one panel; take(first row, rows, sums).
template <typename Take>
void for_tiles(const FixedPointKernel& kernel, const FixedProductCall& call, std::int64_t panel, std::int64_t first_row,
               std::int64_t last_row, Take take) noexcept {
  alignas(64) std::int64_t sums[kFixedTileRows * kFixedPanelColumns];
  const std::int64_t panel_elements = (call.depth + 1) / 2 * call.digits.count * kPanelPair;
  FixedTileCall tile{.b = call.packed + panel * panel_elements,
                     .b_step = call.digits.count * kPanelPair,
                     .b_digit = kPanelPair,
                     .pairs = call.depth / 2,
                     .digits = call.digits,
                     .sums = sums};
  for (std::int64_t row = first_row; row < last_row; row += kFixedTileRows) {
    tile.rows = static_cast<int>(std::min<std::int64_t>(kFixedTileRows, last_row - row));
    for (int r = 0; r < tile.rows; ++r) tile.a[r] = call.a + (row + r) * call.a_stride;
    kernel.tile(tile);
    if (call.depth % 2 != 0) add_last(call, tile.b, row, tile.rows, sums);
    take(row, tile.rows, static_cast<const std::int64_t*>(sums));
  }
}

}  // namespace

void fixed_pack(const FixedPointKernel& kernel, const FixedPackCall& call) noexcept {
  const std::int64_t pairs = (call.depth + 1) / 2;
  const int count = call.digits.count;
  alignas(64) std::int16_t even[kFixedPanelColumns];
  alignas(64) std::int16_t odd[kFixedPanelColumns];
  std::int16_t* dst = call.dst;
  for (std::int64_t first = 0; first < call.columns; first += kFixedPanelColumns) {
    const std::int64_t columns = std::min(kFixedPanelColumns, call.columns - first);
    std::fill_n(even, kFixedPanelColumns, std::int16_t{0});
    std::fill_n(odd, kFixedPanelColumns, std::int16_t{0});
    for (std::int64_t t = 0; t < pairs; ++t, dst += count * kPanelPair) {
      const std::int64_t at = first * call.column_stride + 2 * t * call.depth_stride;
      const bool has_odd = 2 * t + 1 < call.depth;
      if (call.codes.narrow == nullptr) {
        std::fill_n(dst, count * kPanelPair, std::int16_t{0});
        for (std::int64_t j = 0; j < columns; ++j) {
          const std::int32_t* code = call.codes.wide + at + j * call.column_stride;
          for_digits(code[0], call.digits, [&](int d, std::int16_t digit) { dst[d * kPanelPair + 2 * j] = digit; });
          if (!has_odd) continue;
          for_digits(code[call.depth_stride], call.digits, [&](int d, std::int16_t digit) { dst[d * kPanelPair + 2 * j + 1] = digit; });
        }
        continue;
      }
      const std::int16_t* code = call.codes.narrow + at;
      FixedSplitCall split{
          .even = even, .odd = odd, .count = kFixedPanelColumns, .digits = call.digits, .dst = dst, .digit_stride = kPanelPair};
      if (call.column_stride == 1 && columns == kFixedPanelColumns && has_odd) {
        split.even = code;
        split.odd = code + call.depth_stride;
      } else {
        for (std::int64_t j = 0; j < columns; ++j) {
          even[j] = code[j * call.column_stride];
          odd[j] = has_odd ? code[j * call.column_stride + call.depth_stride] : std::int16_t{0};
        }
      }
      kernel.split(split);
    }
  }
}

void fixed_product(const FixedPointKernel& kernel, const FixedProductCall& call, std::int64_t* dst, std::int64_t dst_stride) noexcept {
  BITWRIGHT_ASSERT(call.first_column % kFixedPanelColumns == 0);
  for (std::int64_t first = call.first_column; first < call.last_column; first += kFixedPanelColumns) {
    const std::int64_t columns = std::min(kFixedPanelColumns, call.last_column - first);
    for_tiles(kernel, call, first / kFixedPanelColumns, 0, call.rows, [&](std::int64_t row, int rows, const std::int64_t* sums) {
      for (int r = 0; r < rows; ++r) {
        std::int64_t* to = dst + (row + r) * dst_stride + first;
        for (std::int64_t j = 0; j < columns; ++j) to[j] += sums[r * kFixedPanelColumns + j];
      }
    });
  }
}

std::int64_t fixed_dense_scratch_bytes(std::int64_t columns) noexcept {
  return kDenseRows * columns * static_cast<std::int64_t>(sizeof(std::int64_t));
}

std::int64_t fixed_dense(const FixedPointKernel& kernel, const FixedProductCall& call, const FixedEpilogue& epilogue,
                         const FixedResults& results, std::byte* scratch) noexcept {
  BITWRIGHT_ASSERT(call.first_column % kFixedPanelColumns == 0);
  auto* acc = reinterpret_cast<std::int64_t*>(scratch);
  const std::int64_t width = call.last_column - call.first_column;
  std::int64_t saturated = 0;
  for (std::int64_t block = 0; block < call.rows; block += kDenseRows) {
    const std::int64_t end = std::min(block + kDenseRows, call.rows);
    for (std::int64_t first = call.first_column; first < call.last_column; first += kFixedPanelColumns) {
      const std::int64_t columns = std::min(kFixedPanelColumns, call.last_column - first);
      for_tiles(kernel, call, first / kFixedPanelColumns, block, end, [&](std::int64_t row, int rows, const std::int64_t* sums) {
        for (int r = 0; r < rows; ++r) {
          std::copy_n(sums + r * kFixedPanelColumns, columns, acc + (row - block + r) * width + first - call.first_column);
        }
      });
    }
    for (std::int64_t row = block; row < end; ++row) {
      const std::int64_t at = row * call.columns + call.first_column;
      saturated += kernel.finish({.acc = acc + (row - block) * width,
                                  .count = width,
                                  .bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + call.first_column,
                                  .activation = epilogue.activation,
                                  .change = epilogue.change,
                                  .first_index = results.first_index + static_cast<std::uint64_t>(at),
                                  .dst = results.codes + at,
                                  .positive = results.positive == nullptr ? nullptr : results.positive + at});
    }
  }
  return saturated;
}

void fixed_transpose(const std::int16_t* src, std::int64_t rows, std::int64_t columns, std::int64_t src_stride,
                     std::int16_t* dst) noexcept {
  constexpr std::int64_t kBlock = 32;  // a line of each side
  for (std::int64_t r0 = 0; r0 < rows; r0 += kBlock) {
    for (std::int64_t c0 = 0; c0 < columns; c0 += kBlock) {
      for (std::int64_t c = c0; c < std::min(c0 + kBlock, columns); ++c) {
        for (std::int64_t r = r0; r < std::min(r0 + kBlock, rows); ++r) dst[c * rows + r] = src[r * src_stride + c];
      }
    }
  }
}

}  // namespace bitwright
