// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/formats/spec_fields.h"
#include "bitwright/train/method_options.h"
#include "bitwright/train/methods/dq/dq.h"

#include <array>
#include <cmath>

namespace bitwright::dq {
namespace {

const std::array<std::string, 2> kLayers = {"all", "inner"};
const std::array<std::string, 2> kTrainRests = {"nothing", "bn_and_bias"};
const std::array<std::string, 3> kRedistributions = {"none", "gradient_norm", "equal_bytes"};

constexpr std::int64_t kMostBits = 16;  // of a codebook's codes
constexpr std::int64_t kMostLevels = 65536;
constexpr std::int64_t kMostBatches = 1'000'000;

int parse_levels(MethodOptions& read) {
  const std::optional<std::int64_t> bits = read.integer("bits", 1, kMostBits);
  const std::optional<std::int64_t> levels = read.integer("levels", 2, kMostLevels);
  if (bits && levels) {
    fail(ErrorCode::usage, "recipe: method dq: bits and levels say the same (found bits = {} and levels = {}); remove one of them.", *bits,
         *levels);
  }
  if (levels) return static_cast<int>(*levels);
  return bits ? 1 << *bits : DqOptions().levels;
}

std::vector<int> parse_bits(const std::vector<double>& numbers) {
  std::vector<int> bits;
  for (const double number : numbers) {
    if (!(number >= 1.0 && number <= static_cast<double>(kMostBits)) || number != std::floor(number)) {
      fail(ErrorCode::usage, "recipe: method dq: redistribute_bits must be whole numbers from 1 to {} (found {}); e.g. [2, 3, 4, 6, 8].",
           kMostBits, number);
    }
    bits.push_back(static_cast<int>(number));
  }
  if (bits.empty()) {
    fail(ErrorCode::usage, "recipe: method dq: redistribute_bits is empty (found 0 numbers, need at least 1); e.g. [2, 3, 4, 6, 8].");
  }
  return bits;
}

}  // namespace

DqOptions parse_dq_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  DqOptions options;
  options.levels = parse_levels(read);
  if (const auto bucket = read.integer("bucket", 0, kLargestBucket)) {
    options.bucket_size = *bucket == 0 ? std::nullopt : std::optional(*bucket);
  }
  options.layers = static_cast<Layers>(read.name("layers", kLayers));
  options.train_rest = static_cast<TrainRest>(read.name("train_rest", kTrainRests));
  options.redistribute = static_cast<Redistribution>(read.name("redistribute", kRedistributions));
  if (const auto batches = read.integer("redistribute_batches", 1, kMostBatches)) options.redistribute_batches = *batches;
  if (const auto bits = read.numbers("redistribute_bits")) options.redistribute_bits = parse_bits(*bits);
  options.plan = read.plan("codebook", "codebook:LEVELS/BUCKET");
  read.finish();
  if (options.redistribute == Redistribution::gradient_norm && options.levels < 4) {
    // floor(s/2) of (D15) would be one point.
    fail(ErrorCode::usage,
         "recipe: method dq: redistribute = \"gradient_norm\" needs points to give away (found {} levels, need at least 4); raise levels.",
         options.levels);
  }
  return options;
}

}  // namespace bitwright::dq
