// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"

namespace bitwright {

std::vector<Shape> infer_batch_normalization(const Node& node, std::span<const Shape> inputs) {
  using namespace shape_checks;
  allow_attributes(node, {"epsilon", "momentum", "training_mode"});
  require_int_attribute(node, "training_mode", 0, 0);
  const float epsilon = node.float_attribute("epsilon", 1e-5F);
  if (!(epsilon >= 0.0F)) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"epsilon\" is out of range (found {}, need 0 or more); check the graph.",
         node.name, epsilon);
  }
  (void)node.float_attribute("momentum", 0.9F);
  require_rank_at_least(node, 0, inputs[0], 2);
  const Shape per_channel{inputs[0][1]};
  for (std::size_t input = 1; input < 5; ++input) require_weight_shape(node, input, inputs[input], per_channel);
  return {inputs[0]};
}

}  // namespace bitwright
