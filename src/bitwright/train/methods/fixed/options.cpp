// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/fixed/options.h"

#include "bitwright/core/error.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/train/method_options.h"

#include <array>
#include <string>

namespace bitwright::fixed {
namespace {

const std::array<std::string, 2> kRoundings = {"stochastic", "nearest"};
const std::array<std::string, 2> kArithmetics = {"exact", "float32"};
const std::array<std::string, 2> kSaturatedErrors = {"pass", "stop"};

constexpr std::int64_t kMaxEpochs = 1'000'000;

void require_width(std::string_view key, const FixedPoint& format, int most) {
  if (format.word_bits() <= most) return;
  fail(ErrorCode::usage, "recipe: method fixed: {} is too wide (found {}, {} bits, need at most {}); shorten it.", key, format.spec(),
       format.word_bits(), most);
}

std::optional<FixedPoint> read_format(MethodOptions& read, std::string_view key, int most) {
  const std::optional<std::string> text = read.text(key);
  if (!text) return std::nullopt;
  const NumberFormat parsed = NumberFormat::parse(*text);
  const auto* format = parsed.get_if<FixedPoint>();
  if (format == nullptr) {
    fail(ErrorCode::usage, "recipe: method fixed: {} is not a fixed-point format (found {}, need fixed<IL,FL>); e.g. {} = \"fixed<4,12>\".",
         key, *text, key);
  }
  require_width(key, *format, most);
  return *format;
}

std::vector<BitRule> read_plan(MethodOptions& read) {
  std::vector<BitRule> plan = read.plan("fixed", "fixed<IL,FL>");
  for (const BitRule& rule : plan) {
    if (!rule.format) {
      fail(ErrorCode::usage,
           "recipe: method fixed: plan keeps \"{}\" in float (need fixed<IL,FL>); there is no float weight in this method.", rule.pattern);
    }
    require_width("plan", *rule.format->get_if<FixedPoint>(), kMaxWeightBits);
  }
  return plan;
}

}  // namespace

FixedOptions parse_fixed_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  FixedOptions options;
  if (const auto format = read_format(read, "weights", kMaxWeightBits)) options.weights = *format;
  options.bias = read_format(read, "bias", kMaxWeightBits);
  if (const auto format = read_format(read, "outputs", kMaxActivationBits)) options.outputs = *format;
  options.errors = read_format(read, "errors", kMaxActivationBits);
  options.updates = read_format(read, "updates", kMaxWeightBits);
  options.plan = read_plan(read);
  options.rounding = read.name("rounding", kRoundings) == 0 ? Rounding::stochastic : Rounding::nearest_down;
  if (const auto bits = read.integer("random_bits", 1, 32)) {
    options.random_bits = static_cast<int>(*bits);
    if (options.rounding != Rounding::stochastic) {
      fail(ErrorCode::usage, "recipe: method fixed: random_bits needs rounding = \"stochastic\" (found \"nearest\"); remove one of them.");
    }
  }
  options.arithmetic = static_cast<Arithmetic>(read.name("arithmetic", kArithmetics));
  options.saturated_errors = static_cast<SaturatedErrors>(read.name("saturated_errors", kSaturatedErrors));
  options.switch_epoch = read.integer("switch_epoch", 1, kMaxEpochs);
  options.switch_weights = read_format(read, "switch_weights", kMaxWeightBits);
  options.init_deviation = read.real("init_deviation", 1e-6, 1e3);
  read.finish();
  if (options.switch_epoch.has_value() != options.switch_weights.has_value()) {
    fail(ErrorCode::usage, "recipe: method fixed: {} needs {} beside it; add it or remove both.",
         options.switch_epoch ? "switch_epoch" : "switch_weights", options.switch_epoch ? "switch_weights" : "switch_epoch");
  }
  return options;
}

}  // namespace bitwright::fixed
