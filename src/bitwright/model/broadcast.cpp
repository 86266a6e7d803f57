// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/broadcast.h"

#include <algorithm>

namespace bitwright {

std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.rank(), b.rank());
  const Shape left = with_leading_ones(a, rank);
  const Shape right = with_leading_ones(b, rank);
  std::vector<std::int64_t> dims(rank);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (left[axis] != right[axis] && left[axis] != 1 && right[axis] != 1) return std::nullopt;
    dims[axis] = left[axis] == 1 ? right[axis] : left[axis];
  }
  return Shape(std::move(dims));
}

Shape with_leading_ones(const Shape& shape, std::size_t rank) {
  std::vector<std::int64_t> dims(rank - shape.rank(), 1);
  dims.insert(dims.end(), shape.dims().begin(), shape.dims().end());
  return Shape(std::move(dims));
}

std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& to) {
  const Shape aligned = with_leading_ones(shape, to.rank());
  std::vector<std::int64_t> strides(to.rank());
  std::int64_t stride = 1;
  for (std::size_t axis = to.rank(); axis-- > 0;) {
    strides[axis] = aligned[axis] == 1 ? 0 : stride;
    stride *= aligned[axis];
  }
  return strides;
}

}  // namespace bitwright
