// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/graph.h"

#include <array>
#include <cstdint>

namespace bitwright {

/// The sliding window of Conv, MaxPool and AveragePool: ONNX's attributes with their defaults filled in. Index 0 is height, 1 is width.
struct Window {
  std::array<std::int64_t, 2> kernel = {1, 1};
  std::array<std::int64_t, 2> strides = {1, 1};
  std::array<std::int64_t, 2> pads_begin = {0, 0};
  std::array<std::int64_t, 2> pads_end = {0, 0};
  std::array<std::int64_t, 2> dilations = {1, 1};
  bool ceil_mode = false;
  friend bool operator==(const Window&, const Window&) = default;
};

/// Reads a node's window. Conv may omit `kernel_shape`, which is then the weight's: pass its shape; pools pass nothing and must state it.
/// Throws: `Error(invalid_input)`: wrong number of values, a stride, kernel or dilation below 1, a negative pad; `Error(unsupported)`:
/// `auto_pad` other than NOTSET, ceil_mode other than 0 or 1.
[[nodiscard]] Window read_window(const Node& node, const Shape* conv_weight = nullptr);

/// Extent of the output along `axis` (0 height, 1 width).
///
/// Equation: (in + pad_begin + pad_end - dilation (kernel - 1) - 1) / stride + 1, the quotient rounded down, or up with `ceil_mode`; in
/// ceil mode a last window that would begin beyond the input and its leading pad is dropped, as Caffe, PyTorch and ONNX (since 1.16) do.
/// Throws: `Error(invalid_input)` when the window does not fit once.
[[nodiscard]] std::int64_t window_output_extent(const Node& node, const Window& window, std::size_t axis, std::int64_t in);

}  // namespace bitwright
