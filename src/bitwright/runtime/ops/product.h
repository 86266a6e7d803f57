// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/plan_builder.h"

namespace bitwright {

/// Weights and bias of a Conv or Gemm with the scale and shift of its tail multiplied in, row-major, output channel first.
struct FoldedProduct {
  std::vector<float> weights;
  std::vector<float> bias;  ///< always one per output channel, 0 where the node has none
};
[[nodiscard]] FoldedProduct fold_product(PlanBuilder& builder, const Node& node, const FusedTail& tail);

/// Bias alone with the tail's scale and shift: scale * bias + shift.
[[nodiscard]] std::vector<float> folded_bias(const PlanBuilder& builder, const Node& node, const FusedTail& tail);

/// Attributes with the rest of the tail, residual and Relu, as post-operations.
[[nodiscard]] dnnl::primitive_attr tail_attributes(const FusedTail& tail);

/// Key of a node's constants in the cache.
[[nodiscard]] std::string constant_key(const Node& node, std::string_view what);

}  // namespace bitwright
