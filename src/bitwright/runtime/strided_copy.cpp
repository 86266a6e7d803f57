// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/strided_copy.h"

#include <omp.h>

#include <algorithm>
#include <numeric>

namespace bitwright {
namespace {

// Axes from the one that moves farthest in memory to the one that moves least; extents of 1 do not matter and keep their place.
std::vector<std::size_t> memory_order(const std::vector<std::int64_t>& strides) {
  std::vector<std::size_t> order(strides.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return strides[a] > strides[b]; });
  return order;
}

std::vector<std::int64_t> dense_strides(const Shape& shape, const std::vector<std::size_t>& order) {
  std::vector<std::int64_t> strides(shape.rank());
  std::int64_t stride = 1;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    strides[*axis] = stride;
    stride *= shape[*axis];
  }
  return strides;
}

constexpr std::int64_t kTile = 16;

void transpose_tile(const float* src, float* dst, std::int64_t rows, std::int64_t columns, std::int64_t row, std::int64_t column) noexcept {
  const std::int64_t row_end = std::min(row + kTile, rows);
  const std::int64_t column_end = std::min(column + kTile, columns);
  for (std::int64_t c = column; c < column_end; ++c) {
    for (std::int64_t r = row; r < row_end; ++r) dst[c * rows + r] = src[r * columns + c];
  }
}

}  // namespace

std::optional<std::vector<std::int64_t>> strides_of(const dnnl::memory::desc& desc) {
  const dnnl_memory_desc_t& raw = desc.data;
  if (raw.format_kind != dnnl_blocked || raw.format_desc.blocking.inner_nblks != 0 || raw.offset0 != 0) return std::nullopt;
  return std::vector<std::int64_t>(raw.format_desc.blocking.strides, raw.format_desc.blocking.strides + raw.ndims);
}

dnnl::memory::desc desc_in_order_of(const dnnl::memory::desc& like, const Shape& shape) {
  return {shape.dims(), dnnl::memory::data_type::f32, dense_strides(shape, memory_order(*strides_of(like)))};
}

StridedCopy::StridedCopy(std::vector<std::int64_t> counts, std::vector<std::int64_t> src_strides, std::vector<std::int64_t> dst_strides) {
  const Shape shape(counts);
  const std::vector<std::size_t> order = memory_order(dst_strides);
  for (const std::size_t axis : order) {
    if (counts[axis] == 1) continue;
    // An axis whose steps are whole turns of the next one is the same walk through memory.
    if (!counts_.empty() && src_strides_.back() == counts[axis] * src_strides[axis] &&
        dst_strides_.back() == counts[axis] * dst_strides[axis]) {
      counts_.back() *= counts[axis];
      src_strides_.back() = src_strides[axis];
      dst_strides_.back() = dst_strides[axis];
      continue;
    }
    counts_.push_back(counts[axis]);
    src_strides_.push_back(src_strides[axis]);
    dst_strides_.push_back(dst_strides[axis]);
  }
  if (counts_.empty()) {
    counts_ = {1};
    src_strides_ = {1};
    dst_strides_ = {1};
  }
  if (counts.size() != 4) return;
  const std::vector<std::size_t> channels_second = {0, 1, 2, 3};
  const std::vector<std::size_t> channels_last = {0, 2, 3, 1};
  const auto from_second = dense_strides(shape, channels_second);
  const auto from_last = dense_strides(shape, channels_last);
  if (src_strides == from_second && dst_strides == from_last) {
    rows_ = counts[1];
    columns_ = counts[2] * counts[3];
  } else if (src_strides == from_last && dst_strides == from_second) {
    rows_ = counts[2] * counts[3];
    columns_ = counts[1];
  }
  images_ = counts[0];
}

void StridedCopy::copy_axis(const float* src, float* dst, std::size_t axis) const noexcept {
  if (axis + 1 == counts_.size()) {
    if (src_strides_[axis] == 1 && dst_strides_[axis] == 1) {
      std::copy_n(src, counts_[axis], dst);
      return;
    }
    for (std::int64_t i = 0; i < counts_[axis]; ++i) dst[i * dst_strides_[axis]] = src[i * src_strides_[axis]];
    return;
  }
  for (std::int64_t i = 0; i < counts_[axis]; ++i) copy_axis(src + i * src_strides_[axis], dst + i * dst_strides_[axis], axis + 1);
}

void StridedCopy::run_transposition(const float* src, float* dst, int threads) const noexcept {
  const std::int64_t matrix = rows_ * columns_;
  const auto transpose_image = [&](std::int64_t image) {
    for (std::int64_t column = 0; column < columns_; column += kTile) {
      for (std::int64_t row = 0; row < rows_; row += kTile) {
        transpose_tile(src + image * matrix, dst + image * matrix, rows_, columns_, row, column);
      }
    }
  };
  if (threads == 1 || images_ == 1) {
    for (std::int64_t image = 0; image < images_; ++image) transpose_image(image);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t image = 0; image < images_; ++image) transpose_image(image);
}

std::optional<StridedCopy> make_strided_copy(const dnnl::memory::desc& src, const dnnl::memory::desc& dst) {
  auto src_strides = strides_of(src);
  auto dst_strides = strides_of(dst);
  if (!src_strides || !dst_strides) return std::nullopt;
  return StridedCopy(src.dims(), *std::move(src_strides), *std::move(dst_strides));
}

}  // namespace bitwright
