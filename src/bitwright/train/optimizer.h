// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/network.h"
#include "bitwright/train/recipe.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bitwright {

class Method;

/// LibTorch's SGD (momentum, Nesterov) or Adam over a network's parameters, in two groups: weights, and everything else (biases,
/// batch-norm scale and shift), each with its own weight decay; and over the methods' own parameters.
///
/// Equation, SGD: g <- g + decay w; v <- momentum v + g (v = g in the first step); w <- w - lr v, with Nesterov w <- w - lr (g + momentum
/// v).
class Optimizer {
 public:
  /// The network's tensors must outlive the optimizer.
  /// Parameters whose update a method owns stay untouched.
  Optimizer(const Network& network, const TrainRecipe& recipe, std::span<const std::unique_ptr<Method>> methods = {});
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  void zero_gradients();
  void step();
  void set_learning_rate(double rate);
  /// The rate of this step, for methods that update parameters of their own by the recipe's rule.
  [[nodiscard]] double learning_rate() const noexcept;
  /// Momentum, decays and kind of the rule, as the recipe states them.
  [[nodiscard]] const TrainRecipe& recipe() const noexcept;

  /// What the optimizer remembers of each element of a parameter (momentum; Adam's two moments): tensors of the parameter's shape that
  /// share the optimizer's memory. Empty before the first step.
  [[nodiscard]] std::vector<at::Tensor> state_tensors(std::string_view parameter) const;

  /// Exactness: a loaded optimizer goes on bit for bit.
  void save(StateWriter& state) const;
  void load(StateReader& state);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitwright
