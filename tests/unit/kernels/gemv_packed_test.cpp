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
  std::vector<std::uint8_t> codes;
  std::vector<float> table;
  std::vector<float> bias;
  std::vector<float> x;  // rows of inputs + 3, the last three NaN: reading them would show
  std::int64_t bucket_size = 0;
  std::vector<float> scales;
  std::vector<float> mins;

  Problem(std::int64_t outputs_, std::int64_t inputs_, std::int64_t batch_, int levels_)
      : outputs(outputs_), inputs(inputs_), batch(batch_), levels(levels_) {
    const Rng rng =
        Rng(11, "gemv_packed_test").at_step(static_cast<std::uint64_t>(outputs * 1000003 + inputs * 1009 + batch * 37 + levels));
    for (std::int64_t i = 0; i < outputs * inputs; ++i) {
      codes.push_back(
          static_cast<std::uint8_t>(rng.split("codes").below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(levels))));
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
  Problem& cut_into_buckets(std::int64_t size) {
    const Rng rng = Rng(13, "gemv_packed_test").at_step(static_cast<std::uint64_t>(size));
    bucket_size = size;
    for (std::int64_t i = 0; i < (outputs * inputs + size - 1) / size; ++i) {
      scales.push_back(0.5F + static_cast<float>(rng.split("scales").uniform01(static_cast<std::uint64_t>(i))));
      mins.push_back(static_cast<float>(rng.split("mins").normal(static_cast<std::uint64_t>(i))));
    }
    return *this;
  }
  [[nodiscard]] GemvPackedWeights packed() const {
    return GemvPackedWeights(codes, outputs, inputs, table, {.size = bucket_size, .scales = scales, .mins = mins});
  }
  // What the number formats decode.
  [[nodiscard]] float weight(std::int64_t j, std::int64_t i) const {
    const float value = table[static_cast<std::size_t>(codes[static_cast<std::size_t>(j * inputs + i)])];
    if (scales.empty()) return value;
    const auto bucket = static_cast<std::size_t>((j * inputs + i) / bucket_size);
    const float scaled = scales[bucket] * value;
    return mins[bucket] + scaled;
  }
  [[nodiscard]] GemvActivations activations() const { return {.values = x.data(), .batch = batch, .stride = stride()}; }

  // Rows of outputs + 2; what the kernel does not write stays 99.
  [[nodiscard]] std::vector<float> run(GemvPackedFunction function, const float* bias_or_null) const {
    const GemvPackedWeights weights = packed();
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
  const GemvPackedWeights weights = problem.packed();
  std::vector<double> reference(static_cast<std::size_t>(problem.batch * problem.outputs));
  gemv_packed_reference(weights.view(), bias, problem.activations(), reference);
  const double nu = static_cast<double>(problem.inputs + 1) * (0x1p-24 + 0x1p-53);
  for (std::int64_t n = 0; n < problem.batch; ++n) {
    for (std::int64_t j = 0; j < problem.outputs; ++j) {
      double magnitude = bias == nullptr ? 0.0 : std::abs(static_cast<double>(bias[j]));
      for (std::int64_t i = 0; i < problem.inputs; ++i) {
        magnitude += std::abs(static_cast<double>(problem.weight(j, i)) *
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
  // 3 levels: three inputs to a code, 64 codes to a tile, so 400 inputs are two tiles and a part of one.
  for (const int levels : {1, 2, 3, 4, 5, 7, 16, 17, 32, 33, 65, 256}) {
    for (const std::int64_t batch : {1, 3, 8}) {
      for (const auto& [outputs, inputs] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {17, 33}, {150, 96}, {20, 400}}) {
        const Problem problem(outputs, inputs, batch, levels);
        expect_within_bound(problem, problem.run(GetParam().function, problem.bias.data()), problem.bias.data());
      }
    }
  }
}

TEST_P(EveryKernel, BucketsHaveTheirOwnScaleAndMinimum) {
  struct Case {
    std::int64_t outputs, inputs, bucket;
  };
  // Boundaries at every 32, 48 and 64 inputs; one bucket per row; per two rows; one that ends behind the matrix.
  for (const auto& [outputs, inputs, bucket] : {Case{.outputs = 20, .inputs = 160, .bucket = 96},
                                                {.outputs = 40, .inputs = 144, .bucket = 48},
                                                {.outputs = 33, .inputs = 256, .bucket = 64},
                                                {.outputs = 70, .inputs = 37, .bucket = 37},
                                                {.outputs = 35, .inputs = 40, .bucket = 80},
                                                {.outputs = 16, .inputs = 70, .bucket = 4096}}) {
    for (const int levels : {2, 3, 4, 8, 16, 32, 64, 128, 256}) {
      for (const std::int64_t batch : {1, 5}) {
        const Problem problem = Problem(outputs, inputs, batch, levels).cut_into_buckets(bucket);
        expect_within_bound(problem, problem.run(GetParam().function, problem.bias.data()), problem.bias.data());
      }
    }
  }
}

TEST_P(EveryKernel, JointCodesAgreeWithScalarToTheBit) {
  for (const int levels : {1, 2, 3, 4, 5}) {
    for (const std::int64_t batch : {1, 2, 5, 8}) {
      const Problem problem(70, 400, batch, levels);
      EXPECT_EQ(problem.run(GetParam().function, problem.bias.data()),
                problem.run(gemv_packed_kernels().front().function, problem.bias.data()));
    }
  }
}

TEST_P(EveryKernel, WorksWithoutBias) {
  const Problem problem(33, 40, 2, 17);
  expect_within_bound(problem, problem.run(GetParam().function, nullptr), nullptr);
}

TEST_P(EveryKernel, EveryCodeAtEveryPlaceOfAWord) {
  // x picks one input, so y is the table value itself: exact, whatever the order of summation.
  for (const int levels : {2, 3, 4, 5, 8, 16, 32, 64, 128, 256}) {
    Problem problem(levels, 35, 1, levels);
    for (std::int64_t i = 0; i < problem.inputs; ++i) {
      for (std::int64_t j = 0; j < levels; ++j)
        problem.codes[static_cast<std::size_t>(j * problem.inputs + i)] = static_cast<std::uint8_t>((j + i) % levels);
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

TEST(GemvPackedWeights, HoldEveryWeightAsTheFormatsDecodeIt) {
  for (const int levels : {1, 2, 3, 4, 5, 7, 16, 17, 33, 128, 256}) {
    for (const std::int64_t bucket : {0, 64}) {
      Problem problem(21, 192, 1, levels);
      if (bucket > 0) problem.cut_into_buckets(bucket);
      const GemvPackedWeights weights = problem.packed();
      for (std::int64_t j = 0; j < problem.outputs; ++j) {
        for (std::int64_t i = 0; i < problem.inputs; ++i) ASSERT_EQ(gemv_packed_weight(weights.view(), j, i), problem.weight(j, i));
      }
    }
  }
}

TEST(GemvPackedWeights, TakeTheBytesThatTheHeaderSays) {
  struct Case {
    int levels, bits, tuple;
  };
  for (const auto& [levels, bits, tuple] : {Case{.levels = 2, .bits = 5, .tuple = 5},
                                            {.levels = 3, .bits = 5, .tuple = 3},
                                            {.levels = 4, .bits = 4, .tuple = 2},
                                            {.levels = 5, .bits = 5, .tuple = 2},
                                            {.levels = 6, .bits = 3, .tuple = 1},
                                            {.levels = 17, .bits = 5, .tuple = 1},
                                            {.levels = 129, .bits = 8, .tuple = 1}}) {
    const std::vector<std::uint8_t> codes(512 * 1920, 0);
    const GemvPackedWeights weights(codes, 512, 1920, std::vector<float>(static_cast<std::size_t>(levels), 1.0F));
    EXPECT_EQ(weights.code_bits(), bits);
    EXPECT_EQ(weights.tuple(), tuple);
    EXPECT_EQ(weights.block_count(), 32);
    EXPECT_EQ(weights.bytes() * 8 * tuple, 512 * 1920 * bits) << levels;  // 1920 inputs are whole tiles: nothing is wasted
  }
  // A scale and a minimum for every 64 weights cost one bit a weight.
  const std::vector<float> ones(512 * 960 / 64, 1.0F);
  const GemvPackedWeights weights(std::vector<std::uint8_t>(512 * 960), 512, 960, std::vector<float>(16, 1.0F),
                                  {.size = 64, .scales = ones, .mins = ones});
  EXPECT_EQ(weights.bytes() * 8, 512 * 960 * 5);
}

TEST(GemvPackedWeights, RefuseWhatDoesNotFit) {
  const std::vector<float> table(4);
  expect_error(ErrorCode::invalid_input, "gemv_packed: the value table does not fit (found 257 levels, need 1 to 256); use another kernel.",
               [] { GemvPackedWeights(std::vector<std::uint8_t>(4), 2, 2, std::vector<float>(257)); });
  expect_error(ErrorCode::invalid_input, "gemv_packed: the codes do not fill the matrix (found 5, need 2 x 2); check the shape.",
               [&] { GemvPackedWeights(std::vector<std::uint8_t>(5), 2, 2, table); });
  for (const std::uint8_t bad : {std::uint8_t{4}, std::uint8_t{255}}) {
    expect_error(ErrorCode::invalid_input,
                 fmt::format("gemv_packed: a code is outside the table (found {} at index 2, need 0 to 3); check the tensor.", bad), [&] {
                   GemvPackedWeights(std::vector<std::uint8_t>{0, 1, bad, 3}, 2, 2, table);
                 });
  }
  const std::vector<float> few(4, 1.0F);
  expect_error(ErrorCode::invalid_input,
               "gemv_packed: buckets of 256 cut rows of 500 too often (found every 4 inputs, need >= 32); use another.",
               [&] { GemvPackedWeights(std::vector<std::uint8_t>(1000), 2, 500, table, {.size = 256, .scales = few, .mins = few}); });
  expect_error(ErrorCode::invalid_input, "gemv_packed: buckets are missing (found 4, need more than 4); check the tensor.",
               [&] { GemvPackedWeights(std::vector<std::uint8_t>(320), 5, 64, table, {.size = 64, .scales = few, .mins = few}); });
}

TEST(SelectGemvPacked, RefusesWithValues) {
  using ::testing::ElementsAre;
  const Isa best = available_isas().back();
  EXPECT_THAT(select_gemv_packed({.batch = 128, .levels = 17}, best).refusals,
              ElementsAre("gemv_packed: batch is 128, this kernel needs <= 8"));
  EXPECT_THAT(
      select_gemv_packed({.batch = 9, .levels = 512, .segment = 4, .inputs = 500}, best).refusals,
      ElementsAre("gemv_packed: batch is 9, this kernel needs <= 8", "gemv_packed: the format has 512 levels, this kernel needs <= 256",
                  "gemv_packed: buckets begin every 4 inputs of a row of 500, this kernel needs >= 32"));
  EXPECT_EQ(select_gemv_packed({.batch = 9, .levels = 2}, best).kernel, nullptr);
  EXPECT_EQ(gemv_packed_segment(10, 500, 256), 4);
  EXPECT_EQ(gemv_packed_segment(10, 500, 5000), 500);
  EXPECT_NE(select_gemv_packed({.batch = 1, .levels = 16, .segment = 20, .inputs = 20}, best).kernel, nullptr);
}

TEST(SelectGemvPacked, NamesTheSlowerPathOfLargeTables) {
  const GemvPackedChoice choice = select_gemv_packed({.batch = 1, .levels = 64}, gemv_packed_kernels().back().isa);
  ASSERT_NE(choice.kernel, nullptr);
  EXPECT_THAT(choice.refusals,
              ::testing::Contains(fmt::format(
                  "{}: the format has 64 levels, tables in registers need <= 32; values are gathered from memory", choice.kernel->name)));
}

TEST(SelectGemvPacked, SaysWhyFasterOnesWereNotTaken) {
  const GemvPackedChoice choice = select_gemv_packed({.batch = 8, .levels = 32}, Isa::scalar);
  ASSERT_NE(choice.kernel, nullptr);
  EXPECT_EQ(choice.kernel->name, "gemv_packed:scalar");
  ASSERT_EQ(choice.refusals.size(), gemv_packed_kernels().size() - 1);
  const GemvPackedKernel& fastest = gemv_packed_kernels().back();
  EXPECT_EQ(choice.refusals.front(),
            fmt::format("{0}: the instruction set is scalar, this kernel needs {1}", fastest.name, isa_name(fastest.isa)));
}

}  // namespace
}  // namespace bitwright
