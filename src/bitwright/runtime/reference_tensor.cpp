// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/reference_tensor.h"

namespace bitwright::running {
namespace {

// The bounds themselves are computed in double; this factor covers their roundings (R8).
constexpr double kSlack = 1.0 + 0x1p-30;

}  // namespace

double gamma(std::int64_t n) {
  const double nu = static_cast<double>(n) * kUnit;
  return nu / (1.0 - nu);
}

RunningTensor make_tensor(const Shape& shape) {
  const std::size_t count = at(shape.element_count());
  return {.shape = shape,
          .value = std::vector<double>(count),
          .inherited = std::vector<double>(count),
          .magnitude = std::vector<double>(count),
          .roundings = 0};
}

RunningTensor stored(const RunningTensor& tensor) {
  RunningTensor result = tensor;
  result.inherited = error_bounds(tensor);
  result.roundings = 0;
  for (std::size_t i = 0; i < result.value.size(); ++i) result.magnitude[i] = std::abs(result.value[i]) + result.inherited[i];
  return result;
}

void store(RunningTensor& dst, std::int64_t index, double value, double bound) {
  dst.value[at(index)] = value;
  dst.inherited[at(index)] = bound;
  dst.magnitude[at(index)] = std::abs(value) + bound;
}

std::vector<std::int64_t> coordinates(std::int64_t index, const Shape& shape) {
  std::vector<std::int64_t> result(shape.rank());
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    result[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return result;
}

}  // namespace bitwright::running

namespace bitwright {

RunningTensor exact_tensor(const Shape& shape, std::span<const float> values) {
  RunningTensor tensor = running::make_tensor(shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    tensor.value[i] = static_cast<double>(values[i]);
    tensor.magnitude[i] = std::abs(tensor.value[i]);
  }
  return tensor;
}

std::vector<double> error_bounds(const RunningTensor& tensor) {
  std::vector<double> bounds(tensor.value.size());
  const double factor = running::gamma(tensor.roundings);
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = (1.0 + 0x1p-30) * (tensor.inherited[i] + factor * tensor.magnitude[i]);
  return bounds;
}

}  // namespace bitwright
