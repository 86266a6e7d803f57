// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/plan.h"

namespace bitwright {

/// Plans a fixed-point model: codes between the nodes, exact integer products, one rounding per output element.
/// Equation: (G9), (G11), (G8); docs/runtime.md, "Fixed-point models". Exactness: bit for bit what `run_reference` gives, for any number
/// of threads and on every instruction set. Requires: a valid model with `is_fixed_point`, without Dropout.
[[nodiscard]] Plan make_fixed_plan(const Model& model, const PlanRequest& request, ConstantCache& constants);

}  // namespace bitwright
