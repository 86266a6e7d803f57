// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/recipe.h"
#include "commands/commands.h"
#include "training.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace bitwright::apps {
namespace {

struct TrainOptions {
  std::string recipe;
  std::vector<std::string> settings;
  TrainingOptions training;
};

void train(TrainOptions options) {
  const Recipe recipe = load_recipe(options.recipe, options.settings);
  if (options.training.run_folder.empty()) {
    options.training.run_folder = (std::filesystem::path("runs") / std::filesystem::path(options.recipe).stem()).string();
  }
  run_recipe(recipe, options.training);
}

}  // namespace

Action declare_train(CLI::App& app) {
  auto options = std::make_shared<TrainOptions>();
  app.add_option("RECIPE", options->recipe, "Recipe file (TOML)")->required()->type_name("");
  app.add_option("--set", options->settings, "Change a key of the recipe, e.g. train.lr=0.1 or method.0.bits=3; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  declare_training_options(app, options->training);
  return [options] { train(*options); };
}

}  // namespace bitwright::apps
