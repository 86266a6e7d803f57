// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include "bitwright/core/rng.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace bitwright {
namespace {

using test::expect_error;

struct Problem {
  std::int64_t outputs;
  std::int64_t inputs;
  std::int64_t batch;
  int levels;
  std::vector<std::int32_t> codes;
  std::vector<float> table;
  std::vector<float> bias;
  std::vector<float> x;  // rows of inputs + 3, the last three NaN: reading them would show

  Problem(std::int64_t outputs_, std::int64_t inputs_, std::int64_t batch_, int levels_)
      : outputs(outputs_), inputs(inputs_), batch(batch_), levels(levels_) {
    const Rng rng =
        Rng(11, "gemv_packed_test").at_step(static_cast<std::uint64_t>(outputs * 1000003 + inputs * 1009 + batch * 37 + levels));
    for (std::int64_t i = 0; i < outputs * inputs; ++i) {
      codes.push_back(
          static_cast<std::int32_t>(rng.split("codes").below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(levels))));
    }
    for (int i = 0; i < levels; ++i) table.push_back(static_cast<float>(rng.split("table").normal(static_cast<std::uint64_t>(i))));
    for (std::int64_t i = 0; i < outputs; ++i) bias.push_back(static_cast<float>(rng.split("bias").normal(static_cast<std::uint64_t>(i))));
    x.assign(static_cast<std::size_t>(batch * stride()), std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t n = 0; n < batch; ++n) {
      for (std::int64_t i = 0; i < inputs; ++i) {
        x[static_cast<std::size_t>(n * stride() + i)] =
            static_cast<float>(rng.split("x").normal(static_cast<std::uint64_t>(n * inputs + i)));
      }
    }
  }
  [[nodiscard]] std::int64_t stride() const { return inputs + 3; }
  [[nodiscard]] GemvActivations activations() const { return {.values = x.data(), .batch = batch, .stride = stride()}; }

  // Rows of outputs + 2; what the kernel does not write stays 99.
  [[nodiscard]] std::vector<float> run(GemvPackedFunction function, const float* bias_or_null) const {
    const GemvPackedWeights weights(codes, outputs, inputs, table);
    std::vector<float> y(static_cast<std::size_t>(batch * (outputs + 2)), 99.0F);
    function(weights.view(), bias_or_null, activations(), {.values = y.data(), .stride = outputs + 2},
             {.begin = 0, .end = weights.block_count()});
    return y;
  }
};

class EveryKernel : public ::testing::TestWithParam<GemvPackedKernel> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam().isa)) GTEST_SKIP() << "this processor has no " << isa_name(GetParam().isa);
  }
};

// |y - reference| <= gamma(inputs + 1) (|bias| + sum |table x|): any order of summation of `inputs` products and a bias rounds each term at
// most inputs + 1 times (docs/runtime.md, R5); the reference's own roundings, 2^-29 times smaller, fit into replacing 2^-24 by 2^-24 +
// 2^-53.
void expect_within_bound(const Problem& problem, const std::vector<float>& y, const float* bias) {
  const GemvPackedWeights weights(problem.codes, problem.outputs, problem.inputs, problem.table);
  std::vector<double> reference(static_cast<std::size_t>(problem.batch * problem.outputs));
  gemv_packed_reference(weights.view(), bias, problem.activations(), reference);
  const double nu = static_cast<double>(problem.inputs + 1) * (0x1p-24 + 0x1p-53);
  for (std::int64_t n = 0; n < problem.batch; ++n) {
    for (std::int64_t j = 0; j < problem.outputs; ++j) {
      double magnitude = bias == nullptr ? 0.0 : std::abs(static_cast<double>(bias[j]));
      for (std::int64_t i = 0; i < problem.inputs; ++i) {
        const auto code = static_cast<std::size_t>(problem.codes[static_cast<std::size_t>(j * problem.inputs + i)]);
        magnitude += std::abs(static_cast<double>(problem.table[code]) *
                              static_cast<double>(problem.x[static_cast<std::size_t>(n * problem.stride() + i)]));
      }
      const double found = static_cast<double>(y[static_cast<std::size_t>(n * (problem.outputs + 2) + j)]);
      ASSERT_LE(std::abs(found - reference[static_cast<std::size_t>(n * problem.outputs + j)]), nu / (1.0 - nu) * magnitude)
          << "levels " << problem.levels << ", batch " << problem.batch << ", image " << n << ", output " << j;
    }
    for (std::int64_t j = problem.outputs; j < problem.outputs + 2; ++j) {
      ASSERT_EQ(y[static_cast<std::size_t>(n * (problem.outputs + 2) + j)], 99.0F) << "written beyond the outputs";
    }
  }
}

TEST_P(EveryKernel, EqualsTheReferenceWithinTheBound) {
  for (const int levels : {1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 32}) {
    for (const std::int64_t batch : {1, 2, 3, 7, 8}) {
      for (const auto& [outputs, inputs] :
           {std::pair<std::int64_t, std::int64_t>{1, 1}, {10, 5}, {16, 32}, {17, 33}, {70, 61}, {130, 96}}) {
        const Problem problem(outputs, inputs, batch, levels);
        expect_within_bound(problem, problem.run(GetParam().function, problem.bias.data()), problem.bias.data());
      }
    }
  }
}

TEST_P(EveryKernel, WorksWithoutBias) {
  const Problem problem(33, 40, 2, 17);
  expect_within_bound(problem, problem.run(GetParam().function, nullptr), nullptr);
}

TEST_P(EveryKernel, EveryCodeAtEveryPlaceOfAWord) {
  // x picks one input, so y is the table value itself: exact, whatever the order of summation.
  for (const int levels : {2, 4, 8, 16, 32}) {
    Problem problem(levels, 35, 1, levels);
    for (std::int64_t i = 0; i < problem.inputs; ++i) {
      for (std::int64_t j = 0; j < levels; ++j)
        problem.codes[static_cast<std::size_t>(j * problem.inputs + i)] = static_cast<std::int32_t>((j + i) % levels);
    }
    for (std::int64_t i = 0; i < problem.inputs; ++i) {
      std::fill(problem.x.begin(), problem.x.end(), 0.0F);
      problem.x[static_cast<std::size_t>(i)] = 1.0F;
      const std::vector<float> y = problem.run(GetParam().function, nullptr);
      for (std::int64_t j = 0; j < levels; ++j) {
        ASSERT_EQ(y[static_cast<std::size_t>(j)], problem.table[static_cast<std::size_t>((j + i) % levels)])
            << levels << " levels, input " << i;
      }
    }
  }
}

TEST_P(EveryKernel, PowersOfTwoAgreeWithScalarToTheBit) {
  // Products by powers of two are exact, so a fused multiply-add rounds where a separate addition does.
  for (const int levels : {3, 5, 9, 17}) {
    for (const std::int64_t batch : {1, 2, 5, 8}) {
      Problem problem(70, 61, batch, levels);
      for (int i = 0; i < levels; ++i) {
        problem.table[static_cast<std::size_t>(i)] = i == 0 ? 0.0F : std::ldexp(i % 2 == 0 ? 1.0F : -1.0F, -(i / 2));
      }
      EXPECT_EQ(problem.run(GetParam().function, problem.bias.data()),
                problem.run(gemv_packed_kernels().front().function, problem.bias.data()));
    }
  }
}

TEST_P(EveryKernel, AnImageDoesNotDependOnTheOthers) {
  const Problem all(40, 50, 7, 17);
  const std::vector<float> y = all.run(GetParam().function, all.bias.data());
  for (std::int64_t n = 0; n < 7; ++n) {
    Problem one = all;
    one.batch = 1;
    one.x.assign(all.x.begin() + n * all.stride(), all.x.begin() + (n + 1) * all.stride());
    const std::vector<float> alone = one.run(GetParam().function, one.bias.data());
    EXPECT_EQ(alone, std::vector<float>(y.begin() + n * 42, y.begin() + (n + 1) * 42)) << "image " << n;
  }
}

TEST_P(EveryKernel, WritesOnlyTheBlocksItIsGiven) {
  const Problem problem(50, 20, 1, 9);
  const GemvPackedWeights weights(problem.codes, 50, 20, problem.table);
  ASSERT_EQ(weights.block_count(), 4);
  const std::vector<float> all = problem.run(GetParam().function, problem.bias.data());
  std::vector<float> y(52, 99.0F);
  GetParam().function(weights.view(), problem.bias.data(), problem.activations(), {.values = y.data(), .stride = 52},
                      {.begin = 1, .end = 3});
  for (std::size_t j = 0; j < 52; ++j) EXPECT_EQ(y[j], j >= 16 && j < 48 ? all[j] : 99.0F) << j;
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryKernel, ::testing::ValuesIn(gemv_packed_kernels().begin(), gemv_packed_kernels().end()),
                         [](const auto& param_info) { return std::string(isa_name(param_info.param.isa)); });

TEST(GemvPackedWeights, TakeTheBytesThatTheHeaderSays) {
  for (const auto& [levels, bits, per_word] : {std::tuple{2, 1, 32}, {3, 2, 16}, {5, 3, 10}, {9, 4, 8}, {17, 5, 6}, {32, 5, 6}}) {
    const std::vector<std::int32_t> codes(500 * 800, 0);
    const GemvPackedWeights weights(codes, 500, 800, std::vector<float>(static_cast<std::size_t>(levels), 1.0F));
    EXPECT_EQ(weights.code_bits(), bits);
    EXPECT_EQ(gemv_packed_codes_per_word(bits), per_word);
    EXPECT_EQ(weights.block_count(), 32);
    EXPECT_EQ(weights.bytes(), 32 * 64 * ((800 + per_word - 1) / per_word));
  }
}

TEST(GemvPackedWeights, RefuseWhatDoesNotFit) {
  const std::vector<float> table(4);
  expect_error(ErrorCode::invalid_input, "gemv_packed: the value table does not fit (found 33 levels, need 1 to 32); use another kernel.",
               [] { GemvPackedWeights(std::vector<std::int32_t>(4), 2, 2, std::vector<float>(33)); });
  expect_error(ErrorCode::invalid_input, "gemv_packed: the codes do not fill the matrix (found 5, need 2 x 2); check the shape.",
               [&] { GemvPackedWeights(std::vector<std::int32_t>(5), 2, 2, table); });
  for (const std::int32_t bad : {-1, 4}) {
    expect_error(ErrorCode::invalid_input,
                 fmt::format("gemv_packed: a code is outside the table (found {} at index 2, need 0 to 3); check the tensor.", bad), [&] {
                   GemvPackedWeights(std::vector<std::int32_t>{0, 1, bad, 3}, 2, 2, table);
                 });
  }
}

TEST(SelectGemvPacked, RefusesWithValues) {
  using ::testing::ElementsAre;
  const Isa best = available_isas().back();
  EXPECT_THAT(select_gemv_packed({.batch = 128, .levels = 17, .tables = 1}, best).refusals,
              ElementsAre("gemv_packed: batch is 128, this kernel needs <= 8"));
  EXPECT_THAT(
      select_gemv_packed({.batch = 9, .levels = 64, .tables = 3}, best).refusals,
      ElementsAre("gemv_packed: batch is 9, this kernel needs <= 8", "gemv_packed: the format has 64 levels, this kernel needs <= 32",
                  "gemv_packed: the weight has 3 buckets, this kernel needs 1"));
  EXPECT_EQ(select_gemv_packed({.batch = 9, .levels = 2, .tables = 1}, best).kernel, nullptr);
}

TEST(SelectGemvPacked, SaysWhyFasterOnesWereNotTaken) {
  const GemvPackedChoice choice = select_gemv_packed({.batch = 8, .levels = 32, .tables = 1}, Isa::scalar);
  ASSERT_NE(choice.kernel, nullptr);
  EXPECT_EQ(choice.kernel->name, "gemv_packed:scalar");
  ASSERT_EQ(choice.refusals.size(), gemv_packed_kernels().size() - 1);
  const GemvPackedKernel& fastest = gemv_packed_kernels().back();
  EXPECT_EQ(choice.refusals.front(),
            fmt::format("{0}: the instruction set is scalar, this kernel needs {1}", fastest.name, isa_name(fastest.isa)));
}

}  // namespace
}  // namespace bitwright
