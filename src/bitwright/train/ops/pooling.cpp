// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/window.h"
#include "bitwright/train/ops/forward.h"

#include <torch/torch.h>

#include <limits>

namespace bitwright {
namespace {

/// LibTorch's pools take one pad per axis, at most half a window.
bool fits_torch(const Window& window) {
  return window.pads_begin == window.pads_end && 2 * window.pads_begin[0] <= window.kernel[0] &&
         2 * window.pads_begin[1] <= window.kernel[1];
}

/// Amounts to pad (or, negative, to crop) behind each axis so that windows without ceil mode give the node's output extents.
std::array<std::int64_t, 2> exact_end_pads(const Node& node, const Window& window, const at::Tensor& src) {
  std::array<std::int64_t, 2> ends = {};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t in = src.size(static_cast<std::int64_t>(axis) + 2);
    const std::int64_t out = window_output_extent(node, window, axis, in);
    ends[axis] = (out - 1) * window.strides[axis] + window.dilations[axis] * (window.kernel[axis] - 1) + 1 - in - window.pads_begin[axis];
  }
  return ends;
}

at::Tensor padded(const at::Tensor& src, const Window& window, const std::array<std::int64_t, 2>& ends, double value) {
  return at::constant_pad_nd(src, {window.pads_begin[1], ends[1], window.pads_begin[0], ends[0]}, value);
}

}  // namespace

at::Tensor forward_max_pool(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const Window window = read_window(node);
  if (fits_torch(window)) {
    return at::max_pool2d(inputs[0], window.kernel, window.strides, window.pads_begin, window.dilations, window.ceil_mode);
  }
  const auto ends = exact_end_pads(node, window, inputs[0]);
  return at::max_pool2d(padded(inputs[0], window, ends, -std::numeric_limits<double>::infinity()), window.kernel, window.strides, {0, 0},
                        window.dilations);
}

at::Tensor forward_average_pool(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const Window window = read_window(node);
  const bool count_pads = node.int_attribute("count_include_pad", 0) == 1;
  if (fits_torch(window)) {
    return at::avg_pool2d(inputs[0], window.kernel, window.strides, window.pads_begin, window.ceil_mode, count_pads);
  }
  // Mean over what counts = mean over the whole window / share of the window that counts.
  const auto ends = exact_end_pads(node, window, inputs[0]);
  const at::Tensor sums = at::avg_pool2d(padded(inputs[0], window, ends, 0.0), window.kernel, window.strides);
  at::Tensor counted = at::ones({1, 1, inputs[0].size(2), inputs[0].size(3)}, inputs[0].options());
  Window rest = window;
  auto rest_ends = ends;
  if (count_pads) {
    counted = padded(counted, window, window.pads_end, 1.0);
    rest.pads_begin = {0, 0};
    for (std::size_t axis = 0; axis < 2; ++axis) rest_ends[axis] -= window.pads_end[axis];
  }
  return sums / at::avg_pool2d(padded(counted, rest, rest_ends, 0.0), window.kernel, window.strides);
}

at::Tensor forward_global_max_pool(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::amax(inputs[0], {2, 3}, /*keepdim=*/true);
}

at::Tensor forward_global_average_pool(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return inputs[0].mean({2, 3}, /*keepdim=*/true);
}

}  // namespace bitwright
