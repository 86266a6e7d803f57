// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/reference_ops.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace bitwright::running {

// What the loops of the reference share: the arithmetic of the error bound (docs/runtime.md, R1 to R12).

/// Unit roundoff of float32, with double's own added for the reference's roundings (R3).
inline constexpr double kUnit = 0x1p-24 + 0x1p-53;
/// Smallest normal float32: more than any product can lose to underflow (R4).
inline constexpr double kUnderflow = 0x1p-126;

/// n u / (1 - n u) (R1).
[[nodiscard]] double gamma(std::int64_t n);

[[nodiscard]] inline std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// A tensor of zeros.
[[nodiscard]] RunningTensor make_tensor(const Shape& shape);

/// The same tensor as seen by an operator that reads stored results: all error inherited.
[[nodiscard]] RunningTensor stored(const RunningTensor& tensor);

/// Writes one element: its value and how far the float32 result may be away, all of it inherited.
void store(RunningTensor& dst, std::int64_t index, double value, double bound);

/// dst[i] = src[source(i)], nothing computed.
template <typename Source>
RunningTensor moved(const RunningTensor& src, const Shape& shape, Source source) {
  RunningTensor dst = make_tensor(shape);
  dst.roundings = src.roundings;
  for (std::int64_t i = 0; i < shape.element_count(); ++i) {
    const std::size_t from = at(source(i));
    dst.value[at(i)] = src.value[from];
    dst.inherited[at(i)] = src.inherited[from];
    dst.magnitude[at(i)] = src.magnitude[from];
  }
  return dst;
}

/// Index along each axis of the element `index` of a row-major tensor.
[[nodiscard]] std::vector<std::int64_t> coordinates(std::int64_t index, const Shape& shape);

/// One element of a sum of products: (R5).
struct DotProduct {
  double value = 0.0;
  double inherited = 0.0;
  double magnitude = 0.0;
  void add_product(double weight, const RunningTensor& x, std::int64_t index) {
    value += weight * x.value[at(index)];
    inherited += std::abs(weight) * x.inherited[at(index)] + kUnderflow;
    magnitude += std::abs(weight) * x.magnitude[at(index)];
  }
  void add_bias(const RunningTensor* bias, std::int64_t index) {
    if (bias == nullptr) return;
    value += bias->value[at(index)];
    magnitude += std::abs(bias->value[at(index)]);
  }
  void store(RunningTensor& dst, std::int64_t index) const {
    dst.value[at(index)] = value;
    dst.inherited[at(index)] = inherited;
    dst.magnitude[at(index)] = magnitude;
  }
};

}  // namespace bitwright::running
