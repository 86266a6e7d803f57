// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "bitwright/runtime/reference_ops.h"
#include "bitwright/runtime/session.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// What a plan in few bits says of itself: `Session::describe` and `Session::values`.
struct NarrowFacts {
  std::vector<NodeReport> nodes;
  std::vector<ValueReport> values;
};

/// Called for each value that a plan makes, after it took the form that the plan gives it. May replace it by what a plan computed, so that
/// every step is judged from its own operands.
using ReferenceVisitor = std::function<void(const std::string& value, RunningTensor& tensor)>;

/// Runs a model by the slow obvious loops as a plan in bfloat16 or int8 does: the integers (or bfloat16 numbers) of the weights, values
/// rounded where the plan holds them in few bits, everything between exact in double. The oracle for `Session` in these modes.
///
/// Rounding: codes nearest, ties to even, saturating; bfloat16 likewise. Exactness: products of codes are exact in both; what remains is
/// the float32 arithmetic of scale, bias and residual, at most 8 roundings (docs/runtime.md, R13). The bound of an element says how far the
/// plan's may be: 0 for a code that no such rounding can move.
/// Requires: no `uniform` or `codebook` weight of several buckets under a batch normalization in bfloat16, whose product is rounded as one.
[[nodiscard]] std::vector<double> run_narrow_reference(const Model& model, const NarrowFacts& facts, std::span<const float> input,
                                                       std::int64_t batch, std::vector<double>* error_bound = nullptr,
                                                       const ReferenceVisitor& visitor = {});

}  // namespace bitwright
