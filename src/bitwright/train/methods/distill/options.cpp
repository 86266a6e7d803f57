// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/method_options.h"
#include "bitwright/train/methods/distill/distill.h"

#include <array>

namespace bitwright::distill {
namespace {

const std::array<std::string, 2> kReductions = {"batch_mean", "all_mean"};

}  // namespace

DistillOptions parse_distill_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  DistillOptions options;
  if (auto teacher = read.text("teacher")) options.teacher = std::move(*teacher);
  if (const auto temperature = read.real("temperature", 1e-3, 1e3)) options.temperature = *temperature;
  if (const auto weight = read.real("distill_weight", 0.0, 1.0)) options.weight = *weight;
  options.reduction = static_cast<KlReduction>(read.name("kl_reduction", kReductions));
  read.finish();
  return options;
}

}  // namespace bitwright::distill
