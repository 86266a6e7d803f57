// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/product.h"

#include <span>
#include <utility>

namespace bitwright {

std::vector<float> folded_bias(const PlanBuilder& builder, const Node& node, const FusedTail& tail) {
  std::vector<float> bias = builder.weight_floats(node, 2);
  bias.resize(static_cast<std::size_t>(weight_shape(builder.weight(node, 1))[0]), 0.0F);
  for (std::size_t c = 0; c < tail.scale.size(); ++c) {
    bias[c] = static_cast<float>(static_cast<double>(tail.scale[c]) * static_cast<double>(bias[c]) + static_cast<double>(tail.shift[c]));
  }
  return bias;
}

FoldedProduct fold_product(PlanBuilder& builder, const Node& node, const FusedTail& tail) {
  const Weight& weight = builder.weight(node, 1);
  FoldedProduct product{.weights = std::exchange(builder.passing_weights().values, {}), .bias = folded_bias(builder, node, tail)};
  product.weights.resize(static_cast<std::size_t>(weight_shape(weight).element_count()));
  copy_weight_values(weight, product.weights);
  if (!tail.scale.empty()) {
    const std::size_t per_channel = product.weights.size() / tail.scale.size();
    for (std::size_t c = 0; c < tail.scale.size(); ++c) {
      for (float& value : std::span(product.weights).subspan(c * per_channel, per_channel)) value *= tail.scale[c];
    }
  }
  return product;
}

dnnl::primitive_attr tail_attributes(const FusedTail& tail) {
  dnnl::primitive_attr attributes = strict_attributes();
  dnnl::post_ops post_operations;
  if (tail.residual) post_operations.append_sum(1.0F);
  if (tail.has_relu) post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  attributes.set_post_ops(post_operations);
  return attributes;
}

std::string constant_key(const Node& node, std::string_view what) { return node.name + "/" + std::string(what); }

}  // namespace bitwright
