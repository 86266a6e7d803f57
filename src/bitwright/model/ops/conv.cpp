// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/ops/shape_rule.h"
#include "bitwright/model/window.h"

namespace bitwright {

// Two dimensions: input [N, C, H, W], weight [M, C / group, kH, kW], bias [M].
std::vector<Shape> infer_conv(const Node& node, std::span<const Shape> inputs) {
  using namespace shape_checks;
  allow_attributes(node, {"auto_pad", "dilations", "group", "input_format", "kernel_shape", "output_format", "pads", "strides"});
  const Shape& src = inputs[0];
  const Shape& weight = inputs[1];
  require_rank(node, 0, src, 4);
  const std::int64_t channels = src[1];
  const std::int64_t group = node.int_attribute("group", 1);
  if (group < 1 || channels % group != 0) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": attribute \"group\" does not divide the channels (found {}, need a divisor of {}); check the graph.", node.name,
         group, channels);
  }
  // A stated kernel is part of what the weight must be, and of the message; an omitted one is the weight's.
  std::vector<std::int64_t> kernel = node.ints_attribute("kernel_shape", {Shape::kDynamic, Shape::kDynamic});
  kernel.resize(2, Shape::kDynamic);
  require_weight_shape(node, 1, weight, Shape{Shape::kDynamic, channels / group, kernel[0], kernel[1]});
  const Window window = read_window(node, &weight);
  if (weight[0] % group != 0) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": weight \"{}\" has output channels that do not divide into groups (found {}, need a multiple of {}); {}", node.name,
         node.inputs[1], weight.to_string(), group, "give weights trained for this graph.");
  }
  if (inputs.size() > 2 && !node.inputs[2].empty()) require_weight_shape(node, 2, inputs[2], Shape{weight[0]});
  return {Shape{src[0], weight[0], window_output_extent(node, window, 0, src[2]), window_output_extent(node, window, 1, src[3])}};
}

}  // namespace bitwright
