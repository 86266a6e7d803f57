// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/train/method_options.h"
#include "bitwright/train/methods/inq/inq.h"

#include <array>
#include <cmath>

namespace bitwright::inq {
namespace {

const std::array<std::string, 2> kPartitions = {"magnitude", "random"};
const std::array<std::string, 2> kExponentRules = {"max", "search"};

constexpr std::int64_t kWhole = 10000;

std::vector<std::int64_t> parse_portions(const std::vector<double>& portions) {
  std::vector<std::int64_t> portions_e4;
  bool good = !portions.empty();
  std::int64_t last = 0;
  for (const double portion : portions) {
    if (!(portion > 0.0 && portion <= 1.0)) {
      good = false;
      break;
    }
    const std::int64_t e4 = std::llround(portion * kWhole);
    // Half a unit in the last digit that a person writes: 0.3333 passes, 0.33333 does not.
    if (std::abs(static_cast<double>(e4) - portion * kWhole) > 1e-6) {
      fail(ErrorCode::usage, "recipe: method inq: portions are counted in 1/10000 (found {}); e.g. portions = [0.5, 0.75, 0.875, 1.0].",
           portion);
    }
    good = good && e4 > last;
    last = e4;
    portions_e4.push_back(e4);
  }
  if (!good || last != kWhole) {
    fail(ErrorCode::usage, "recipe: method inq: portions must increase and end in 1 (found [{}]); e.g. portions = [0.5, 0.75, 0.875, 1.0].",
         fmt::join(portions, ", "));
  }
  return portions_e4;
}

}  // namespace

InqOptions parse_inq_options(const MethodRecipe& recipe) {
  MethodOptions read(recipe);
  InqOptions options;
  if (const auto bits = read.integer("bits")) {
    if (*bits < 2 || *bits > 8) {
      fail(ErrorCode::usage, "recipe: method inq: bits must be between 2 and 8 (found {}); e.g. bits = 5.", *bits);
    }
    options.bits = static_cast<int>(*bits);
  }
  if (const auto portions = read.numbers("portions")) options.portions_e4 = parse_portions(*portions);
  options.partition = static_cast<Partition>(read.name("partition", kPartitions));
  options.exponents = static_cast<ExponentRule>(read.name("exponents", kExponentRules));
  if (const auto epochs = read.integer("epochs_per_portion")) {
    if (*epochs < 1 || *epochs > 1'000'000) {
      fail(ErrorCode::usage, "recipe: method inq: epochs_per_portion is out of range (found {}, need 1 to 1000000); change it.", *epochs);
    }
    options.epochs_per_portion = *epochs;
  }
  options.plan = read.plan("pow2", "pow2:BITS");
  read.finish();
  return options;
}

}  // namespace bitwright::inq
