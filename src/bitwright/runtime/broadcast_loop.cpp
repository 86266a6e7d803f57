// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/broadcast_loop.h"

#include "bitwright/core/assert.h"

#include <vector>

namespace bitwright {

BroadcastLoop::BroadcastLoop(const Shape& shape, std::span<const std::int64_t> a_strides, std::span<const std::int64_t> b_strides) {
  BITWRIGHT_ASSERT(shape.rank() <= kMaxAxes);
  struct Axis {
    std::int64_t count;
    std::int64_t a_stride;
    std::int64_t b_stride;
  };
  std::vector<Axis> axes;  // innermost first
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    if (shape[axis] == 1) continue;
    const Axis next{.count = shape[axis], .a_stride = a_strides[axis], .b_stride = b_strides[axis]};
    if (!axes.empty() && next.a_stride == axes.back().count * axes.back().a_stride &&
        next.b_stride == axes.back().count * axes.back().b_stride) {
      axes.back().count *= next.count;
    } else {
      axes.push_back(next);
    }
  }
  if (axes.empty()) return;
  inner_ = axes.front().count;
  inner_a_stride_ = axes.front().a_stride;
  inner_b_stride_ = axes.front().b_stride;
  for (std::size_t i = axes.size(); i-- > 1;) {
    counts_[outer_axes_] = axes[i].count;
    a_strides_[outer_axes_] = axes[i].a_stride;
    b_strides_[outer_axes_] = axes[i].b_stride;
    rows_ *= axes[i].count;
    ++outer_axes_;
  }
}

}  // namespace bitwright
