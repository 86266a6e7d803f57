// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/runtime/activations.h"
#include "bitwright/runtime/calibration.h"
#include "bitwright/train/recipe.h"
#include "commands/commands.h"
#include "common/model_facts.h"
#include "quantize_defaults.h"
#include "training.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace bitwright::apps {
namespace {

struct QuantizeOptions {
  std::string model;
  std::string method;
  QuantizeRequest request;
  std::optional<double> lr;
  std::optional<std::int64_t> batch;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> settings;
  std::string activations = "float32";
  CalibrationArguments calibration;
  TrainingOptions training;
};

Recipe build_recipe(const QuantizeOptions& options) {
  Recipe recipe;
  recipe.model.from = options.model;
  recipe.data.name = options.request.data;
  recipe.methods.push_back({options.method, {}});
  fill_recipe(options.request, recipe);
  recipe.train.lr = options.lr.value_or(recipe.train.lr);
  recipe.train.batch = options.batch.value_or(recipe.train.batch);
  recipe.train.seed = options.seed.value_or(recipe.train.seed);
  return recipe;
}

std::string default_run_folder(const QuantizeOptions& options) {
  const std::string model = std::filesystem::path(options.model.substr(0, options.model.find('@'))).stem().string();
  const std::string bits = options.request.bits ? fmt::format("-{}bit", *options.request.bits) : "";
  return fmt::format("runs/{}-{}{}", model.starts_with("zoo:") ? model.substr(4) : model, options.method, bits);
}

/// What --help says of the methods, `inq 2-8 (5), ttq 2`: those whose column is not empty; their names alone for the column of names.
std::string listed(std::string_view QuantizeDefaults::*column) {
  std::vector<std::string> words;
  for (const QuantizeDefaults& defaults : quantize_defaults()) {
    if ((defaults.*column).empty()) continue;
    words.push_back(column == &QuantizeDefaults::method ? std::string(defaults.method)
                                                        : fmt::format("{} {}", defaults.method, defaults.*column));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

void quantize(QuantizeOptions options) {
  const Recipe recipe = apply_settings(build_recipe(options), options.settings);
  if (options.training.run_folder.empty()) options.training.run_folder = default_run_folder(options);
  // Wrong words are refused before the training, not after it.
  (void)parse_calibration_rule(options.calibration.rule);
  if (parse_activations(options.activations) == Activations::int8) options.training.calibration = options.calibration;
  run_recipe(recipe, options.training);
}

}  // namespace

Action declare_quantize(CLI::App& app) {
  auto options = std::make_shared<QuantizeOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("--data", options->request.data, "Data set, as in `bitwright data list`")->required()->type_name("NAME");
  app.add_option("--method", options->method, "Method: " + listed(&QuantizeDefaults::method))->required()->type_name("NAME");
  app.add_option("--bits", options->request.bits, "Bits per weight: " + listed(&QuantizeDefaults::bits))->type_name("N");
  app.add_option("--portions", options->request.portions, "inq: accumulated shares of frozen weights, e.g. 0.5,0.75,1 (default: by bits)")
      ->type_name("LIST")
      ->delimiter(',');
  app.add_option("--epochs", options->request.epochs, "Epochs (" + listed(&QuantizeDefaults::epochs) + ")")->type_name("N");
  app.add_option("--lr", options->lr, "Learning rate at the start of each phase")->type_name("RATE");
  app.add_option("--batch", options->batch, "Images per step")->type_name("N");
  app.add_option("--seed", options->seed, "Seed (default: 1)")->type_name("N");
  app.add_option("--set", options->settings, "Change a key of the recipe, e.g. train.momentum=0.8; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--activations", options->activations,
                 "int8: store scales of the values too, in -o or RUN/model.int8.bw (default: float32)")
      ->type_name("TYPE");
  app.add_option("--calibration", options->calibration.rule, "With int8: minmax, percentile or mse (default: mse)")->type_name("RULE");
  app.add_option("-o,--output", options->training.output, "Write the packed result here too")->type_name("FILE");
  declare_training_options(app, options->training);
  return [options] { quantize(*options); };
}

}  // namespace bitwright::apps
