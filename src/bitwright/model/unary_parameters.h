// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/graph.h"

namespace bitwright {

/// What an elementwise operator of one input computes with, ONNX's defaults filled in.
struct UnaryParameters {
  float alpha = 0.0F;  ///< HardSigmoid, LeakyRelu, Elu: `alpha`; Clip: `min`, the lowest float32 when absent
  float beta = 0.0F;   ///< HardSigmoid: `beta`; Clip: `max`, the largest float32 when absent
  enum class Approximation { none, tanh } approximation = Approximation::none;  ///< Gelu: `approximate`
  friend bool operator==(const UnaryParameters&, const UnaryParameters&) = default;
};

/// Reads the attributes of a node.
/// Throws: `Error(invalid_input)`: a Clip whose `min` is above its `max`; `Error(unsupported)`: a Gelu with another approximation than none
/// or tanh.
[[nodiscard]] UnaryParameters unary_parameters(const Node& node);

}  // namespace bitwright
