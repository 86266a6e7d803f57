// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/train/method_options.h"
#include "bitwright/train/methods/ttq/ttq.h"

#include <array>

namespace bitwright::ttq {
namespace {

const std::array<std::string, 2> kPresets = {"default", "paper"};
const std::array<std::string, 3> kThresholds = {"ratio", "sparsity", "twn"};
const std::array<std::string, 2> kInits = {"means", "ones"};
const std::array<std::string, 2> kGuards = {"projected", "raw"};
const std::array<std::string, 3> kLayers = {"inner", "all", "all_but_first"};
const std::array<std::string, 2> kLayouts = {"small", "fast"};

/// The authors' weight decay on CIFAR-10, which their name pattern also gives to the scales.
constexpr double kPaperDecay = 2e-4;

bool has(const MethodRecipe& recipe, std::string_view key) { return recipe.options.contains(key); }

void refuse_useless(const MethodRecipe& recipe, std::string_view key, ThresholdRule rule) {
  if (!has(recipe, key)) return;
  fail(ErrorCode::usage, "recipe: method ttq: {} has no meaning where threshold is \"{}\"; remove one of the two.", key,
       kThresholds[static_cast<std::size_t>(rule)]);
}

}  // namespace

TtqOptions parse_ttq_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  TtqOptions options;
  const bool is_paper = read.name("preset", kPresets) == 1;
  options.threshold = static_cast<ThresholdRule>(read.name("threshold", kThresholds));
  if (has(recipe, "sparsity_target") && !has(recipe, "threshold")) options.threshold = ThresholdRule::sparsity;
  options.threshold_ratio = read.real("threshold_ratio", 1e-6, 0.999).value_or(options.threshold_ratio);
  options.sparsity_target = read.real("sparsity_target", 0.0, 0.999).value_or(options.sparsity_target);
  options.scale_init = static_cast<ScaleInit>(read.name("scale_init", kInits));
  if (is_paper && !has(recipe, "scale_init")) options.scale_init = ScaleInit::ones;
  options.scales = static_cast<ScaleGuard>(read.name("scales", kGuards));
  options.scale_decay = read.real("scale_decay", 0.0, 1.0).value_or(is_paper ? kPaperDecay : 0.0);
  options.scale_lr_ratio = read.real("scale_lr_ratio", 0.0, 1000.0).value_or(options.scale_lr_ratio);
  options.loss_limit = read.real("loss_limit", 1.0, 1e30).value_or(options.loss_limit);
  options.layers = static_cast<Layers>(read.name("layers", kLayers));
  options.layout = static_cast<TernaryLayout>(read.name("layout", kLayouts));
  options.plan = read.plan("ternary", Ternary::kSyntax);
  read.finish();

  if (options.threshold != ThresholdRule::ratio) refuse_useless(recipe, "threshold_ratio", options.threshold);
  if (options.threshold != ThresholdRule::sparsity) refuse_useless(recipe, "sparsity_target", options.threshold);
  if (options.threshold == ThresholdRule::twn) {
    for (const std::string_view key : {"preset", "scale_init", "scales", "scale_decay", "scale_lr_ratio"}) {
      refuse_useless(recipe, key, options.threshold);
    }
  }
  return options;
}

}  // namespace bitwright::ttq
