// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <span>
#include <vector>

namespace bitwright {

/// `run_reference` for a fixed-point model: plain loops over int64, every rounding by `convert` and `convert_acc` of formats.
/// Requires: the model is valid and `is_fixed_point`; `shapes` are those of the batch. Throws: `Error(numerical)` on NaN in the input.
[[nodiscard]] std::vector<double> run_fixed_reference(const Model& model, const ShapeMap& shapes, std::span<const float> input,
                                                      std::vector<double>* error_bound);

}  // namespace bitwright
