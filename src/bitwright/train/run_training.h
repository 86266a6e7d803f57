// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "bitwright/runs/run.h"
#include "bitwright/train/recipe.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace bitwright {

/// Where a run stands, for a progress bar.
struct TrainProgress {
  std::string phase;      ///< e.g. `inq 3/4 (87.5 % frozen)`
  std::int64_t step = 0;  ///< done in the whole run
  std::int64_t total_steps = 0;
  double loss = 0.0;               ///< moving mean
  std::optional<double> accuracy;  ///< last evaluation, percent
};

struct TrainEvents {
  std::function<void(const TrainProgress&)> on_progress;        ///< after steps, at most a few times a second
  const std::atomic<bool>* stop_requested = nullptr;            ///< set by a signal handler: write a checkpoint and return
  std::function<void(std::int64_t step, double loss)> on_step;  ///< after every step, counted from 1, with its loss; for traces
};

enum class StartPolicy {
  fresh,   ///< `Error(usage)` when the run folder already has a checkpoint or result
  resume,  ///< go on from the newest good checkpoint; from the start when there is none
};

struct TrainResult {
  bool completed = false;  ///< false: stopped on request, checkpoint written
  double accuracy = 0.0;   ///< percent, of the frozen codes, whole evaluation split, float32
  std::int64_t correct = 0;
  std::int64_t images = 0;
  double seconds = 0.0;
  Model model;  ///< frozen result, also written to RUN/model.bw
};

/// Runs a recipe to its end (or to a requested stop) and leaves everything in the run folder.
/// Throws: `Error(numerical)` on a non-finite loss: names the step, the first layer whose output is not finite and the last good
/// checkpoint.
TrainResult run_training(const Recipe& recipe, Run& run, StartPolicy start, const TrainEvents& events);

}  // namespace bitwright
