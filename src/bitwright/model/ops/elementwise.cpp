// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"

namespace bitwright {

// ONNX broadcasts; a residual network never needs it, and refusing it keeps every executor of the graph simple.
std::vector<Shape> infer_add(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {});
  if (inputs[0] != inputs[1]) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": inputs \"{}\" and \"{}\" differ in shape (found {} and {}, need equal shapes); check the graph.", node.name,
         node.inputs[0], node.inputs[1], inputs[0].to_string(), inputs[1].to_string());
  }
  return {inputs[0]};
}

std::vector<Shape> infer_relu(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {});
  return {inputs[0]};
}

std::vector<Shape> infer_dropout(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"ratio", "seed"});
  const float ratio = node.float_attribute("ratio", 0.5F);
  if (!(ratio >= 0.0F && ratio < 1.0F)) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"ratio\" is out of range (found {}, need 0 to below 1); check the graph.",
         node.name, ratio);
  }
  (void)node.int_attribute("seed", 0);
  return {inputs[0]};
}

std::vector<Shape> infer_softmax(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"axis"});
  shape_checks::require_rank_at_least(node, 0, inputs[0], 1);
  (void)shape_checks::normalized_axis(node, node.int_attribute("axis", -1), inputs[0].rank());
  return {inputs[0]};
}

}  // namespace bitwright
