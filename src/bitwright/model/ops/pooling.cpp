// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"
#include "bitwright/model/window.h"

namespace bitwright {
namespace {

std::vector<Shape> infer_pool(const Node& node, std::span<const Shape> inputs) {
  const Shape& src = inputs[0];
  shape_checks::require_rank(node, 0, src, 4);
  const Window window = read_window(node);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    // A window that sees only padding has no maximum and no mean.
    if (window.pads_begin[axis] >= window.kernel[axis] || window.pads_end[axis] >= window.kernel[axis]) {
      fail(ErrorCode::invalid_input,
           "node \"{}\": a pad is as large as the window (found pads {} and {}, need less than {}); check the graph.", node.name,
           window.pads_begin[axis], window.pads_end[axis], window.kernel[axis]);
    }
    // A window begins and ends at most `kernel - 1` elements outside (above), so taps no farther apart than the extent cannot all miss it.
    if (window.dilations[axis] > 1 && window.dilations[axis] > src[axis + 2]) {
      fail(ErrorCode::unsupported, "node \"{}\": the dilation is larger than the image (found {}, need at most {}); rewrite the node.",
           node.name, window.dilations[axis], src[axis + 2]);
    }
  }
  return {Shape{src[0], src[1], window_output_extent(node, window, 0, src[2]), window_output_extent(node, window, 1, src[3])}};
}

std::vector<Shape> infer_global_pool(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {});
  shape_checks::require_rank(node, 0, inputs[0], 4);
  return {Shape{inputs[0][0], inputs[0][1], 1, 1}};
}

}  // namespace

std::vector<Shape> infer_max_pool(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"});
  shape_checks::require_int_attribute(node, "storage_order", 0, 0);
  return infer_pool(node, inputs);
}

std::vector<Shape> infer_average_pool(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"});
  for (const std::int64_t dilation : read_window(node).dilations) {
    if (dilation != 1) {
      fail(ErrorCode::unsupported, "node \"{}\": a dilated mean is not supported (found dilation {}, need 1); rewrite the node.", node.name,
           dilation);
    }
  }
  const std::int64_t count_include_pad = node.int_attribute("count_include_pad", 0);
  if (count_include_pad != 0 && count_include_pad != 1) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"count_include_pad\" is out of range (found {}, need 0 or 1); check the graph.",
         node.name, count_include_pad);
  }
  return infer_pool(node, inputs);
}

std::vector<Shape> infer_global_average_pool(const Node& node, std::span<const Shape> inputs) { return infer_global_pool(node, inputs); }

std::vector<Shape> infer_global_max_pool(const Node& node, std::span<const Shape> inputs) { return infer_global_pool(node, inputs); }

}  // namespace bitwright
