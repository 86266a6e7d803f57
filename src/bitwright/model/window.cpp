// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/window.h"

#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"

namespace bitwright {
namespace {

std::vector<std::int64_t> list_attribute(const Node& node, std::string_view key, std::size_t count, std::int64_t lowest,
                                         std::vector<std::int64_t> fallback) {
  std::vector<std::int64_t> values = node.ints_attribute(key, std::move(fallback));
  if (values.size() != count) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" has the wrong number of values (found {}, need {}); check the graph.",
         node.name, key, values.size(), count);
  }
  for (const std::int64_t value : values) {
    if (value < lowest || value > limits::kMaxExtent) {
      fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" is out of range (found {}, need {} to {}); check the graph.", node.name,
           key, value, lowest, limits::kMaxExtent);
    }
  }
  return values;
}

}  // namespace

Window read_window(const Node& node, const Shape* conv_weight) {
  const std::string auto_pad = node.string_attribute("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET") {
    fail(ErrorCode::unsupported, "node \"{}\": auto_pad is not supported (found {}, need NOTSET); write the pads out.", node.name,
         auto_pad);
  }
  const std::int64_t ceil_mode = node.int_attribute("ceil_mode", 0);
  if (ceil_mode != 0 && ceil_mode != 1) {
    fail(ErrorCode::unsupported, "node \"{}\": ceil_mode is not supported (found {}, need 0 or 1); check the graph.", node.name, ceil_mode);
  }
  std::vector<std::int64_t> kernel_default;
  if (conv_weight != nullptr) kernel_default = {(*conv_weight)[2], (*conv_weight)[3]};
  const std::vector<std::int64_t> kernel = list_attribute(node, "kernel_shape", 2, 1, std::move(kernel_default));
  const std::vector<std::int64_t> strides = list_attribute(node, "strides", 2, 1, {1, 1});
  const std::vector<std::int64_t> dilations = list_attribute(node, "dilations", 2, 1, {1, 1});
  const std::vector<std::int64_t> pads = list_attribute(node, "pads", 4, 0, {0, 0, 0, 0});
  return Window{.kernel = {kernel[0], kernel[1]},
                .strides = {strides[0], strides[1]},
                .pads_begin = {pads[0], pads[1]},
                .pads_end = {pads[2], pads[3]},
                .dilations = {dilations[0], dilations[1]},
                .ceil_mode = ceil_mode == 1};
}

std::int64_t window_output_extent(const Node& node, const Window& window, std::size_t axis, std::int64_t in) {
  // Every factor is at most 2^31 - 1 (read_window, infer_shapes), so nothing here leaves int64.
  const std::int64_t reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1;
  const std::int64_t padded = in + window.pads_begin[axis] + window.pads_end[axis];
  if (reach > padded) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": the window is larger than its padded input along {} (found window {}, need at most {}); {}", node.name,
         axis == 0 ? "height" : "width", reach, padded, "use a larger input.");
  }
  const std::int64_t stride = window.strides[axis];
  const std::int64_t room = padded - reach;
  if (!window.ceil_mode) return room / stride + 1;
  const std::int64_t extent = (room + stride - 1) / stride + 1;
  return (extent - 1) * stride >= in + window.pads_begin[axis] ? extent - 1 : extent;
}

}  // namespace bitwright
