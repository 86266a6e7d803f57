// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/methods/fixed/fixed.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bitwright::fixed {

/// A tensor of parameters: its codes, its place in the network, and what happened to it in this epoch.
struct Fixed::Parameter {
  ParameterCodes codes;
  at::Tensor values;         ///< the network's own tensor
  std::vector<float> start;  ///< what the codes begin with; empty once they did
  std::vector<std::int64_t> gradient;
  UpdateCounts counts;
  std::int64_t updates = 0;  ///< elements updated

  [[nodiscard]] double share(std::int64_t count) const { return static_cast<double>(count) / static_cast<double>(updates); }
};

/// A Conv or Gemm in the method's charge.
struct Fixed::Layer {
  fixed_point::Chain::Link* link = nullptr;
  Parameter weights;
  std::optional<Parameter> bias;

  template <typename Function>
  void for_each(Function&& function) {
    function(weights);
    if (bias) function(*bias);
  }
};

/// What a run's metrics and the model's notes say of its sums.
[[nodiscard]] std::string_view arithmetic_text(Arithmetic arithmetic) noexcept;

}  // namespace bitwright::fixed
