// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/spec_fields.h"
#include "bitwright/train/method_options.h"
#include "bitwright/train/methods/qd/qd.h"

#include <array>

namespace bitwright::qd {
namespace {

constexpr std::int64_t kMostBits = 16;
const std::array<std::string, 3> kRoundings = {"nearest_even", "nearest_down", "stochastic"};

}  // namespace

QdOptions parse_qd_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  QdOptions options;
  if (const auto bits = read.integer("bits", 1, kMostBits)) options.bits = static_cast<int>(*bits);
  if (const auto bucket = read.integer("bucket", 0, kLargestBucket)) {
    options.bucket = *bucket > 0 ? std::optional(*bucket) : std::nullopt;
  }
  options.rounding = parse_rounding(kRoundings[read.name("rounding", kRoundings)]);
  options.gradient = read.boolean("through_scale").value_or(false) ? ScaleGradient::through : ScaleGradient::constant;
  options.layers = static_cast<LayerChoice>(read.name("layers", kLayerChoices));
  options.plan = read.plan("uniform", "uniform:BITS/BUCKET");
  read.finish();
  return options;
}

}  // namespace bitwright::qd
