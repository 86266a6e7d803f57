// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/plan_builder.h"

namespace bitwright {

/// Adds what a node needs to the plan, and marks the nodes that are computed with it.
/// Throws: `Error(unsupported)` naming the node.
using PlanFunction = void (*)(PlanBuilder& builder, const Node& node);

#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) void plan_##function(PlanBuilder& builder, const Node& node);
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP

}  // namespace bitwright
