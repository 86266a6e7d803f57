// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"
#include "bitwright/runtime/parallel_for.h"

#include <array>
#include <cstdint>
#include <span>

namespace bitwright {

/// How a loop over two operands that broadcast to one row-major result walks through memory: rows of `inner` elements, and in front of them
/// outer axes. Axes that all three can pass as one are one.
class BroadcastLoop {
 public:
  /// Strides are those of `broadcast_strides`. Requires: rank of `shape` at most 8.
  BroadcastLoop(const Shape& shape, std::span<const std::int64_t> a_strides, std::span<const std::int64_t> b_strides);

  /// dst[i] = function(a[..], b[..]) for every element, on `threads` threads.
  template <typename Function>
  void run(const float* a, const float* b, float* dst, int threads, Function function) const noexcept {
    parallel_for(threads, rows_, [=, this](std::int64_t row) {
      std::int64_t rest = row;
      const float* x = a;
      const float* y = b;
      for (std::size_t axis = outer_axes_; axis-- > 0;) {
        const std::int64_t position = rest % counts_[axis];
        rest /= counts_[axis];
        x += position * a_strides_[axis];
        y += position * b_strides_[axis];
      }
      run_row(x, y, dst + row * inner_, function);
    });
  }

 private:
  template <typename Function>
  void run_row(const float* x, const float* y, float* dst, Function function) const noexcept {
    const std::int64_t step_x = inner_a_stride_;
    const std::int64_t step_y = inner_b_stride_;
    if (step_x == 1 && step_y == 1) {
      for (std::int64_t i = 0; i < inner_; ++i) dst[i] = function(x[i], y[i]);
    } else if (step_x == 1 && step_y == 0) {
      const float right = *y;
      for (std::int64_t i = 0; i < inner_; ++i) dst[i] = function(x[i], right);
    } else if (step_x == 0 && step_y == 1) {
      const float left = *x;
      for (std::int64_t i = 0; i < inner_; ++i) dst[i] = function(left, y[i]);
    } else {
      for (std::int64_t i = 0; i < inner_; ++i) dst[i] = function(x[i * step_x], y[i * step_y]);
    }
  }

  static constexpr std::size_t kMaxAxes = 8;
  std::array<std::int64_t, kMaxAxes> counts_ = {};  // of the outer axes
  std::array<std::int64_t, kMaxAxes> a_strides_ = {};
  std::array<std::int64_t, kMaxAxes> b_strides_ = {};
  std::size_t outer_axes_ = 0;
  std::int64_t rows_ = 1;
  std::int64_t inner_ = 1;
  std::int64_t inner_a_stride_ = 0;
  std::int64_t inner_b_stride_ = 0;
};

}  // namespace bitwright
