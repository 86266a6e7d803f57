// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/shape.h"

#include "bitwright/core/error.h"

namespace bitwright {
namespace {
constexpr std::int64_t kMaxElements = std::int64_t{1} << 62;
}

bool Shape::is_static() const noexcept {
  for (const std::int64_t dim : dims_) {
    if (dim == kDynamic) return false;
  }
  return true;
}

std::int64_t Shape::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims_) {
    if (dim < 0) {
      fail(ErrorCode::invalid_input, "shape {}: an extent is not known or negative (found {}, need at least 0); give every extent.",
           to_string(), dim);
    }
    if (dim != 0 && count > kMaxElements / dim) {
      fail(ErrorCode::invalid_input, "shape {}: too many elements (need at most 2^62); check the extents.", to_string());
    }
    count *= dim;
  }
  return count;
}

Shape Shape::with_dim(std::size_t axis, std::int64_t extent) const {
  std::vector<std::int64_t> dims = dims_;
  dims.at(axis) = extent;
  return Shape(std::move(dims));
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (std::size_t axis = 0; axis < dims_.size(); ++axis) {
    if (axis != 0) text += ", ";
    text += dims_[axis] == kDynamic ? std::string("?") : std::to_string(dims_[axis]);
  }
  return text + "]";
}

}  // namespace bitwright
