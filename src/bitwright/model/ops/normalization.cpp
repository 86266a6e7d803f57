// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"
#include "bitwright/model/rearrangement.h"

namespace bitwright {

// Over all axes from `axis` on; scale and shift have the shape of these axes.
std::vector<Shape> infer_layer_normalization(const Node& node, std::span<const Shape> inputs) {
  using namespace shape_checks;
  allow_attributes(node, {"axis", "epsilon", "stash_type"});
  require_int_attribute(node, "stash_type", 1, 1);
  const float epsilon = node.float_attribute("epsilon", 1e-5F);
  if (!(epsilon > 0.0F)) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"epsilon\" is out of range (found {}, need above 0); check the graph.",
         node.name, epsilon);
  }
  const Shape& src = inputs[0];
  require_rank_at_least(node, 0, src, 2);
  const std::size_t axis = axis_attribute(node, -1, src.rank());
  if (axis == 0) {
    fail(ErrorCode::unsupported, "node \"{}\": LayerNormalization over the batch is not supported (found axis 0, need 1 or more); {}",
         node.name, "rewrite the node.");
  }
  const Shape normalized(std::vector<std::int64_t>(src.dims().begin() + static_cast<std::ptrdiff_t>(axis), src.dims().end()));
  require_weight_shape(node, 1, inputs[1], normalized);
  if (inputs.size() > 2 && !node.inputs[2].empty()) require_weight_shape(node, 2, inputs[2], normalized);
  return {src};
}

// x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta.
std::vector<Shape> infer_lrn(const Node& node, std::span<const Shape> inputs) {
  using namespace shape_checks;
  allow_attributes(node, {"alpha", "beta", "bias", "size"});
  require_rank(node, 0, inputs[0], 4);
  const std::int64_t size = node.int_attribute("size", 0);
  if (size < 1) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"size\" is out of range (found {}, need 1 or more); check the graph.",
         node.name, size);
  }
  if (!(node.float_attribute("alpha", 1e-4F) >= 0.0F) || !(node.float_attribute("beta", 0.75F) >= 0.0F) ||
      !(node.float_attribute("bias", 1.0F) > 0.0F)) {
    fail(ErrorCode::unsupported, "node \"{}\": LRN with these factors is not supported (found alpha {}, beta {}, bias {}, need {}); {}",
         node.name, node.float_attribute("alpha", 1e-4F), node.float_attribute("beta", 0.75F), node.float_attribute("bias", 1.0F),
         "0 or more, bias above 0", "check the graph.");
  }
  return {inputs[0]};
}

std::vector<Shape> infer_reduce_mean(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"axes", "keepdims"});
  const Shape& src = inputs[0];
  const std::int64_t keeps_axes = node.int_attribute("keepdims", 1);
  if (keeps_axes != 0 && keeps_axes != 1) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"keepdims\" is out of range (found {}, need 0 or 1); check the graph.",
         node.name, keeps_axes);
  }
  const std::vector<bool> is_reduced = reduced_axes(node, src.rank());
  std::vector<std::int64_t> dims;
  for (std::size_t axis = 0; axis < src.rank(); ++axis) {
    if (!is_reduced[axis]) dims.push_back(src[axis]);
    if (is_reduced[axis] && keeps_axes == 1) dims.push_back(1);
  }
  return {Shape(std::move(dims))};
}

}  // namespace bitwright
