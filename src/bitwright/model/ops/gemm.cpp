// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"

namespace bitwright {
namespace {

void require_one(const Node& node, std::string_view key) {
  const float found = node.float_attribute(key, 1.0F);
  if (found != 1.0F) {
    fail(ErrorCode::unsupported, "node \"{}\": Gemm with this \"{}\" is not supported (found {}, need 1); multiply it into the weights.",
         node.name, key, found);
  }
}

}  // namespace

// A fully connected layer: input [N, in], weight [out, in] (transB = 1), bias [out].
std::vector<Shape> infer_gemm(const Node& node, std::span<const Shape> inputs) {
  using namespace shape_checks;
  allow_attributes(node, {"alpha", "beta", "input_format", "output_format", "transA", "transB"});
  require_one(node, "alpha");
  require_one(node, "beta");
  require_int_attribute(node, "transA", 0, 0);
  require_int_attribute(node, "transB", 0, 1);
  const Shape& src = inputs[0];
  const Shape& weight = inputs[1];
  require_rank(node, 0, src, 2);
  require_weight_shape(node, 1, weight, Shape{Shape::kDynamic, src[1]});
  if (inputs.size() > 2 && !node.inputs[2].empty()) require_weight_shape(node, 2, inputs[2], Shape{weight[0]});
  return {Shape{src[0], weight[0]}};
}

}  // namespace bitwright
