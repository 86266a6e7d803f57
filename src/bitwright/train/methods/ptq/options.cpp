// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/formats/spec_fields.h"
#include "bitwright/train/method_options.h"
#include "bitwright/train/methods/ptq/ptq.h"

#include <array>

namespace bitwright::ptq {
namespace {

constexpr std::int64_t kMostBits = 16;
// Stochastic rounding has no place here: without training a network is rounded once, and nearest is the better once.
const std::array<std::string, 2> kRoundings = {"nearest_even", "nearest_down"};

}  // namespace

PtqOptions parse_ptq_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  PtqOptions options;
  const auto format = read.text("format");
  const auto bits = read.integer("bits", 1, kMostBits);
  const auto bucket = read.integer("bucket", 0, kLargestBucket);
  if (format && (bits || bucket)) {
    fail(ErrorCode::usage,
         "recipe: method ptq: format states the whole format (found format = \"{}\" and {} beside it); remove one of them.", *format,
         bits ? "bits" : "bucket");
  }
  if (format) {
    options.format = NumberFormat::parse(*format);
  } else {
    const std::int64_t elements = bucket.value_or(256);
    options.format =
        Uniform{.bits = static_cast<int>(bits.value_or(4)), .bucket_size = elements > 0 ? std::optional(elements) : std::nullopt};
  }
  options.rounding = parse_rounding(kRoundings[read.name("rounding", kRoundings)]);
  options.layers = static_cast<qd::LayerChoice>(read.name("layers", qd::kLayerChoices));
  options.plan = read.plan("", "any format");
  read.finish();
  return options;
}

}  // namespace bitwright::ptq
