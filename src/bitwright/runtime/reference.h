// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <span>
#include <vector>

namespace bitwright {

/// Runs a model by the slow obvious loops in double, operator by operator: the oracle for `Session`; never optimised.
/// Also returns, when `error_bound` is given, per output a bound on |float32 result - this| for any order of summation
/// (running error analysis, docs/runtime.md). A fixed-point model runs in exact integers: its codes have no error, and the bound is 0
/// unless a Softmax follows.
[[nodiscard]] std::vector<double> run_reference(const Model& model, std::span<const float> input, std::int64_t batch,
                                                std::vector<double>* error_bound = nullptr);

}  // namespace bitwright
