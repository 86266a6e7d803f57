// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/bit_plan.h"
#include "bitwright/formats/quantized_tensor.h"
#include "bitwright/model/model.h"
#include "bitwright/runs/run.h"
#include "bitwright/train/recipe.h"
#include "bitwright/train/state.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

class Network;
class Optimizer;

/// A stretch of training with its own learning-rate schedule, restarted at its beginning.
struct Phase {
  std::string name;
  std::int64_t epochs = 1;  ///< 0: nothing is trained, `begin_phase` is still called
};

/// What a hook may see and touch.
struct StepContext {
  Network& network;
  Optimizer& optimizer;
  std::size_t phase = 0;   ///< index into `Method::phases`
  std::int64_t step = 0;   ///< global
  std::int64_t epoch = 0;  ///< global
  std::uint64_t seed = 0;
  const at::Tensor* images = nullptr;  ///< in `loss`: the batch
  const at::Tensor* labels = nullptr;  ///< in `loss`: int64 classes
  const at::Tensor* logits = nullptr;
};

/// A tensor of the method's own that the recipe's optimizer changes: a learned scale, a table of points.
struct MethodParameter {
  std::string name;       ///< unique in the run, e.g. `ttq.scales.conv1.weight`
  at::Tensor tensor;      ///< float32 leaf on the network's device that requires a gradient; its storage never moves
  double lr_ratio = 1.0;  ///< times the recipe's learning rate
  double weight_decay = 0.0;
};

/// What a paper contributes to training: a set of hooks. The trainer calls them and knows no method by name; a method reads no key of
/// another.
class Method {
 public:
  virtual ~Method() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// Takes charge of weights: sets transforms, makes state.
  virtual void attach(Network& network, const BitPlan& plan) = 0;
  /// Which weights get which format when the recipe gives no plan; called before `attach`.
  [[nodiscard]] virtual BitPlan default_plan(const Network& network) const = 0;
  /// What the optimizer is to change besides the network's parameters; asked for once, after `attach`.
  [[nodiscard]] virtual std::vector<MethodParameter> parameters() const { return {}; }
  /// True for a parameter of the network that the optimizer must leave alone: frozen, or updated by this method in `after_backward`.
  [[nodiscard]] virtual bool owns_update(std::string_view parameter) const {
    (void)parameter;
    return false;
  }
  /// Phases this method asks for, given the recipe's epochs; empty: it has no wish.
  [[nodiscard]] virtual std::vector<Phase> phases(std::int64_t epochs) const {
    (void)epochs;
    return {};
  }
  virtual void begin_phase(StepContext&) {}
  virtual at::Tensor loss(StepContext&, at::Tensor task_loss) { return task_loss; }
  virtual void after_backward(StepContext&) {}
  virtual void after_step(StepContext&) {}
  /// Called after every epoch: asserts invariants and adds its own metrics.
  virtual void end_epoch(StepContext&, Metrics&) {}
  /// Whether the network as it stands computes with the values of its codes; false while weights are still on their way to the grid.
  [[nodiscard]] virtual bool settled() const { return true; }
  /// Exact codes of one weight as of now; nothing for weights it does not own.
  [[nodiscard]] virtual std::optional<QuantizedTensor> freeze(std::string_view weight) const = 0;
  /// Writes into the frozen model what else running it needs, e.g. the number formats of layer outputs.
  virtual void complete(Model&) const {}
  /// The differentiable function of a weight whose derivative this method's gradient claims to be, around the state as it is now.
  ///
  /// `latent` (float64) is the network's weight and `own` (float64) this method's parameters in the order of `parameters`, each moved a
  /// little from its present value; the result is the float64 weight that the surrogate computes from them. What the paper treats as a
  /// constant (assignment, threshold, bucket range) is taken at the present state, not recomputed. The conformance test differentiates it
  /// numerically. Default: the identity.
  [[nodiscard]] virtual at::Tensor surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor> own) const;
  virtual void save(StateWriter&) const {}
  virtual void load(StateReader&) {}
};

/// One registered method.
struct MethodEntry {
  std::string_view name;
  std::string_view paper;
  std::unique_ptr<Method> (*make)(const MethodRecipe&);  ///< Throws: `Error(usage)` on unknown or wrong options (names the nearest key).
};

[[nodiscard]] std::span<const MethodEntry> method_registry() noexcept;
/// Throws: `Error(usage)` on an unknown name (lists the known ones).
[[nodiscard]] std::unique_ptr<Method> make_method(const MethodRecipe& recipe);

}  // namespace bitwright
