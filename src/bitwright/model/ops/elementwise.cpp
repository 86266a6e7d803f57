// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/broadcast.h"
#include "bitwright/model/ops/shape_rule.h"
#include "bitwright/model/unary_parameters.h"

namespace bitwright {
namespace {

std::vector<Shape> infer_unary(const Node& node, std::span<const Shape> inputs, std::initializer_list<std::string_view> attributes) {
  shape_checks::allow_attributes(node, attributes);
  (void)unary_parameters(node);
  return {inputs[0]};
}

std::vector<Shape> infer_binary(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {});
  std::optional<Shape> shape = broadcast_shape(inputs[0], inputs[1]);
  if (!shape) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": inputs \"{}\" and \"{}\" do not broadcast (found {} and {}, need equal extents or 1); check the graph.", node.name,
         node.inputs[0], node.inputs[1], inputs[0].to_string(), inputs[1].to_string());
  }
  return {*std::move(shape)};
}

}  // namespace

std::vector<Shape> infer_abs(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_clip(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {"max", "min"}); }
std::vector<Shape> infer_elu(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {"alpha"}); }
std::vector<Shape> infer_erf(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_exp(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_gelu(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {"approximate"}); }
std::vector<Shape> infer_hard_sigmoid(const Node& node, std::span<const Shape> inputs) {
  return infer_unary(node, inputs, {"alpha", "beta"});
}
std::vector<Shape> infer_hard_swish(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_leaky_relu(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {"alpha"}); }
std::vector<Shape> infer_neg(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_relu(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_sigmoid(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_sqrt(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }
std::vector<Shape> infer_tanh(const Node& node, std::span<const Shape> inputs) { return infer_unary(node, inputs, {}); }

std::vector<Shape> infer_add(const Node& node, std::span<const Shape> inputs) { return infer_binary(node, inputs); }
std::vector<Shape> infer_div(const Node& node, std::span<const Shape> inputs) { return infer_binary(node, inputs); }
std::vector<Shape> infer_mul(const Node& node, std::span<const Shape> inputs) { return infer_binary(node, inputs); }
std::vector<Shape> infer_pow(const Node& node, std::span<const Shape> inputs) { return infer_binary(node, inputs); }
std::vector<Shape> infer_sub(const Node& node, std::span<const Shape> inputs) { return infer_binary(node, inputs); }

// The slope broadcasts to the input, never the other way.
std::vector<Shape> infer_p_relu(const Node& node, std::span<const Shape> inputs) {
  std::vector<Shape> shapes = infer_binary(node, inputs);
  if (shapes[0] != inputs[0]) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": slope \"{}\" does not broadcast to its input (found {}, need at most {}); check the graph.", node.name,
         node.inputs[1], inputs[1].to_string(), inputs[0].to_string());
  }
  return shapes;
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
