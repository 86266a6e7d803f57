// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/plan_builder.h"

namespace bitwright {

/// Adds an elementwise primitive of oneDNN from input 0 to output 0 of the node, in the layout that the input has.
/// `attributes` may bring post-operations.
void plan_eltwise(PlanBuilder& builder, const Node& node, dnnl::algorithm algorithm, float alpha = 0.0F, float beta = 0.0F,
                  const dnnl::primitive_attr& attributes = strict_attributes());

}  // namespace bitwright
