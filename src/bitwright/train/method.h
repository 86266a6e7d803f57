// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/bit_plan.h"
#include "bitwright/formats/quantized_tensor.h"
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
  std::int64_t epochs = 1;
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
  const at::Tensor* logits = nullptr;
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
