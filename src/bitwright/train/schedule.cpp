// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/schedule.h"

#include "bitwright/core/assert.h"
#include "bitwright/train/state.h"

#include <cmath>
#include <numbers>

namespace bitwright {

Schedule::Schedule(const TrainRecipe& recipe, std::int64_t steps_in_phase) : recipe_(recipe), steps_(steps_in_phase) {
  BITWRIGHT_ASSERT(steps_ >= 1);
}

double Schedule::rate(std::int64_t step_in_phase) const {
  const auto step = static_cast<double>(step_in_phase);
  const auto steps = static_cast<double>(steps_);
  double rate = recipe_.lr;
  switch (recipe_.schedule) {
    case ScheduleKind::constant: break;
    case ScheduleKind::step:
      for (const double milestone : recipe_.milestones) {
        if (step >= milestone * steps) rate *= recipe_.gamma;
      }
      break;
    case ScheduleKind::cosine: rate *= 0.5 * (1.0 + std::cos(std::numbers::pi * step / steps)); break;
    case ScheduleKind::plateau: rate *= std::pow(recipe_.gamma, static_cast<double>(reductions_)); break;
    case ScheduleKind::exponential: rate *= std::pow(recipe_.gamma, static_cast<double>(epochs_)); break;
  }
  if (step_in_phase < recipe_.warmup_steps) rate *= (step + 1.0) / (static_cast<double>(recipe_.warmup_steps) + 1.0);
  return rate;
}

void Schedule::end_epoch(double training_loss) {
  ++epochs_;
  if (training_loss < best_loss_) {
    best_loss_ = training_loss;
    epochs_without_progress_ = 0;
  } else if (++epochs_without_progress_ > recipe_.patience) {
    ++reductions_;
    epochs_without_progress_ = 0;
  }
}

void Schedule::save(StateWriter& state) const {
  state.real("schedule.best_loss", best_loss_);
  state.integer("schedule.epochs_without_progress", epochs_without_progress_);
  state.integer("schedule.reductions", reductions_);
  state.integer("schedule.epochs", epochs_);
}

void Schedule::load(StateReader& state) {
  best_loss_ = state.real("schedule.best_loss");
  epochs_without_progress_ = state.integer("schedule.epochs_without_progress");
  reductions_ = state.integer("schedule.reductions");
  epochs_ = state.integer("schedule.epochs");
}

}  // namespace bitwright
