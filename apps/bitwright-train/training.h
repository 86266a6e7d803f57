// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/recipe.h"
#include "common/calibration_arguments.h"
#include "common/program.h"

#include <optional>
#include <string>

namespace bitwright::apps {

/// What both training verbs take beside the recipe.
struct TrainingOptions {
  std::string run_folder;
  std::string output;                               ///< packed file to write beside RUN/model.bw; empty = none
  std::optional<CalibrationArguments> calibration;  ///< set: the packed file beside gets scales for 8-bit activations
  bool resume = false;
  bool json = false;
};

/// Adds --run, --resume and --json.
void declare_training_options(CLI::App& app, TrainingOptions& options);

/// Runs a recipe to its end with a progress bar on stderr, then prints accuracy, bytes, bits per weight and path.
///
/// A run that is refused leaves no run folder behind.
/// Throws: as `run_training`; `Interrupted` after SIGINT or SIGTERM, with the checkpoint written.
void run_recipe(const Recipe& recipe, const TrainingOptions& options);

}  // namespace bitwright::apps
