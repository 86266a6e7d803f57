// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/model/graph.h"
#include "bitwright/train/network.h"

#include <ATen/core/Tensor.h>

#include <span>

namespace bitwright {

/// What an operator must know besides its inputs.
struct ForwardContext {
  Mode mode = Mode::eval;
  Precision precision = Precision::float32;  ///< of products; already float32 in `Mode::eval`
  const Rng* dropout = nullptr;              ///< stream of this step; a node splits it by its name
};

/// Runs one node. An omitted optional input is an undefined tensor.
using Forward = at::Tensor (*)(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext& context);

#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) \
  at::Tensor forward_##function(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext& context);
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP

[[nodiscard]] Forward forward_of(Op op) noexcept;

}  // namespace bitwright
