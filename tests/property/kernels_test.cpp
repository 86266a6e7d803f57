// SPDX-License-Identifier: Apache-2.0
// Laws of the packed matrix kernels for any shape, format and batch: all instruction sets agree with the reference within the derived
// bound.
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace bitwright {
namespace {

struct Problem {
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  std::int64_t batch = 0;
  std::vector<std::uint8_t> codes;
  std::vector<float> table;
  std::vector<float> x;
};

float any_float() { return static_cast<float>(*rc::gen::inRange(-1000000, 1000000)) * 0x1p-16F; }

Problem any_problem() {
  Problem problem{.outputs = *rc::gen::inRange<std::int64_t>(1, 70),
                  .inputs = *rc::gen::inRange<std::int64_t>(1, 300),
                  .batch = *rc::gen::inRange<std::int64_t>(1, kGemvPackedMaxBatch + 1),
                  .codes = {},
                  .table = {},
                  .x = {}};
  const int levels = *rc::gen::inRange(1, kGemvPackedMaxLevels + 1);
  for (int i = 0; i < levels; ++i) problem.table.push_back(any_float());
  const std::vector<int> codes = *rc::gen::container<std::vector<int>>(static_cast<std::size_t>(problem.outputs * problem.inputs),
                                                                       rc::gen::inRange(0, levels));
  for (const int code : codes) problem.codes.push_back(static_cast<std::uint8_t>(code));
  for (std::int64_t i = 0; i < problem.batch * problem.inputs; ++i) problem.x.push_back(any_float());
  return problem;
}

RC_GTEST_PROP(GemvPacked, EveryKernelIsWithinTheBoundOfTheReference, ()) {
  const Problem problem = any_problem();
  const GemvPackedWeights weights(problem.codes, problem.outputs, problem.inputs, problem.table);
  const GemvActivations x{.values = problem.x.data(), .batch = problem.batch, .stride = problem.inputs};
  std::vector<double> reference(static_cast<std::size_t>(problem.batch * problem.outputs));
  gemv_packed_reference(weights.view(), nullptr, x, reference);
  for (const GemvPackedKernel& kernel : gemv_packed_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    std::vector<float> y(reference.size());
    kernel.function(weights.view(), nullptr, x, {.values = y.data(), .stride = problem.outputs},
                    {.begin = 0, .end = weights.block_count()});
    for (std::size_t row = 0; row < y.size(); ++row) {
      const std::size_t n = row / static_cast<std::size_t>(problem.outputs);
      const std::size_t j = row % static_cast<std::size_t>(problem.outputs);
      double magnitude = 0.0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(problem.inputs); ++i) {
        const auto code = static_cast<std::size_t>(problem.codes[j * static_cast<std::size_t>(problem.inputs) + i]);
        magnitude += std::abs(static_cast<double>(problem.table[code]) *
                              static_cast<double>(problem.x[n * static_cast<std::size_t>(problem.inputs) + i]));
      }
      // gamma(inputs + 1): the bias counts as a term even where there is none (docs/runtime.md, R5).
      const double nu = static_cast<double>(problem.inputs + 1) * (0x1p-24 + 0x1p-53);
      RC_ASSERT(std::abs(static_cast<double>(y[row]) - reference[row]) <= nu / (1.0 - nu) * magnitude);
    }
  }
}

RC_GTEST_PROP(GemvPacked, BlocksMayBeComputedInAnyDivision, ()) {
  const Problem problem = any_problem();
  const GemvPackedWeights weights(problem.codes, problem.outputs, problem.inputs, problem.table);
  const GemvActivations x{.values = problem.x.data(), .batch = problem.batch, .stride = problem.inputs};
  const std::int64_t split = *rc::gen::inRange<std::int64_t>(0, weights.block_count() + 1);
  for (const GemvPackedKernel& kernel : gemv_packed_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    std::vector<float> whole(static_cast<std::size_t>(problem.batch * problem.outputs));
    std::vector<float> parts = whole;
    kernel.function(weights.view(), nullptr, x, {.values = whole.data(), .stride = problem.outputs},
                    {.begin = 0, .end = weights.block_count()});
    kernel.function(weights.view(), nullptr, x, {.values = parts.data(), .stride = problem.outputs}, {.begin = 0, .end = split});
    kernel.function(weights.view(), nullptr, x, {.values = parts.data(), .stride = problem.outputs},
                    {.begin = split, .end = weights.block_count()});
    RC_ASSERT(whole == parts);
  }
}

}  // namespace
}  // namespace bitwright
