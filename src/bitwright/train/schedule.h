// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/recipe.h"

#include <cstdint>
#include <limits>

namespace bitwright {

class StateReader;
class StateWriter;

/// Learning rate of every step of one phase; a new phase makes a new schedule.
///
/// Equation, with s the step in the phase, n the steps of the phase, lr the recipe's rate:
///   constant     lr
///   step         lr gamma^m, m = number of milestones f with s >= f n
///   cosine       lr (1 + cos(pi s / n)) / 2
///   plateau      lr gamma^m, m grows by one when `patience` + 1 epochs in a row brought no lower training loss
///   exponential  lr gamma^m, m = number of epochs of the phase that have ended
/// and, during the first `warmup_steps`, that rate times (s + 1) / (warmup_steps + 1).
class Schedule {
 public:
  /// Requires: steps_in_phase >= 1.
  Schedule(const TrainRecipe& recipe, std::int64_t steps_in_phase);

  /// Rate of a step, counted from 0 at the beginning of the phase.
  [[nodiscard]] double rate(std::int64_t step_in_phase) const;
  /// Tells `plateau` how an epoch went, and `exponential` that it ended.
  void end_epoch(double training_loss);

  void save(StateWriter& state) const;
  void load(StateReader& state);

 private:
  TrainRecipe recipe_;
  std::int64_t steps_;
  double best_loss_ = std::numeric_limits<double>::infinity();
  std::int64_t epochs_without_progress_ = 0;
  std::int64_t reductions_ = 0;
  std::int64_t epochs_ = 0;
};

}  // namespace bitwright
