// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_int8/gemv_int8.h"

#include "bitwright/core/rng.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>

#include <cmath>

namespace bitwright {
namespace {

using test::expect_error;
using ::testing::ElementsAre;

enum class Extreme : std::uint8_t { none, largest };

struct Problem {
  std::int64_t outputs;
  std::int64_t inputs;
  std::int64_t batch;
  std::vector<std::uint8_t> codes;
  std::vector<GemvInt8Plane> planes;
  std::vector<std::uint8_t> x;  // rows of gemv_int8_padded + 7, zeros behind the inputs
  std::int32_t zero_point = 0;

  Problem(std::int64_t outputs_, std::int64_t inputs_, std::int64_t batch_, int levels, int plane_count, Extreme extreme = Extreme::none)
      : outputs(outputs_), inputs(inputs_), batch(batch_) {
    const Rng rng = Rng(11, "gemv_int8_test").at_step(static_cast<std::uint64_t>(outputs * 1000003 + inputs * 1009 + batch * 37 + levels));
    for (std::int64_t i = 0; i < outputs * inputs; ++i) {
      codes.push_back(
          static_cast<std::uint8_t>(rng.split("codes").below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(levels))));
    }
    for (int p = 0; p < plane_count; ++p) {
      GemvInt8Plane plane{.levels = {}, .scale = p == 0 ? 0.5F : 3.0F};
      for (int c = 0; c < levels; ++c) {
        const auto draw = static_cast<int>(rng.split("levels").below(static_cast<std::uint64_t>(64 * p + c), 129)) - 64;
        plane.levels.push_back(static_cast<std::int8_t>(extreme == Extreme::largest ? (p == 0 ? 64 : -64) : draw));
      }
      planes.push_back(plane);
    }
    x.assign(static_cast<std::size_t>(batch * stride()), 0);
    for (std::int64_t n = 0; n < batch; ++n) {
      for (std::int64_t i = 0; i < inputs; ++i) {
        x[static_cast<std::size_t>(n * stride() + i)] =
            extreme == Extreme::largest ? 255
                                        : static_cast<std::uint8_t>(rng.split("x").below(static_cast<std::uint64_t>(n * inputs + i), 256));
      }
    }
  }
  [[nodiscard]] std::int64_t stride() const { return gemv_int8_padded(inputs) + 7; }
  [[nodiscard]] GemvInt8Activations activations() const {
    return {.values = x.data(), .batch = batch, .stride = stride(), .zero_point = zero_point};
  }
  [[nodiscard]] GemvInt8Weights packed(GemvInt8Layout layout) const { return GemvInt8Weights(codes, outputs, inputs, planes, layout); }
  [[nodiscard]] std::vector<std::int32_t> empty() const {
    return std::vector<std::int32_t>(static_cast<std::size_t>(batch * outputs) * planes.size(), 99);
  }
};

class EveryInt8Kernel : public ::testing::TestWithParam<GemvInt8Kernel> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam().isa)) GTEST_SKIP() << "this processor has no " << isa_name(GetParam().isa);
  }
  static void expect_reference(const Problem& problem, GemvInt8Layout layout) {
    const GemvInt8Weights weights = problem.packed(layout);
    std::vector<std::int32_t> reference = problem.empty();
    gemv_int8_reference(weights.view(), problem.activations(), reference);
    std::vector<std::int32_t> sums = problem.empty();
    GetParam().function(weights.view(), problem.activations(), sums.data(), {.begin = 0, .end = weights.block_count()});
    EXPECT_EQ(sums, reference) << problem.outputs << " x " << problem.inputs << ", batch " << problem.batch << ", levels "
                               << problem.planes[0].levels.size() << ", layout " << static_cast<int>(layout);
  }
};

TEST_P(EveryInt8Kernel, EqualsTheReference) {
  for (const int levels : {1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64}) {
    for (const int planes : {1, 2}) {
      for (const std::int64_t batch : {1, 4, 7}) {
        for (const auto& [outputs, inputs] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {17, 33}, {150, 96}, {70, 141}}) {
          Problem problem(outputs, inputs, batch, levels, planes);
          problem.zero_point = static_cast<std::int32_t>(outputs + inputs) % 256;
          expect_reference(problem, GemvInt8Layout::bits);
          if (levels <= 3) expect_reference(problem, GemvInt8Layout::digits);
        }
      }
    }
  }
}

TEST_P(EveryInt8Kernel, TheLargestProductsDoNotOverflow) {
  // 255 * 64 twice is what the int16 of pairs must hold; 30000 inputs of them what the int32 must.
  for (const int levels : {3, 17}) {
    const Problem problem(17, 30000, 1, levels, 2, Extreme::largest);
    expect_reference(problem, GemvInt8Layout::bits);
    if (levels == 3) expect_reference(problem, GemvInt8Layout::digits);
  }
}

TEST_P(EveryInt8Kernel, WritesOnlyTheBlocksItIsGiven) {
  const Problem problem(50, 40, 1, 3, 1);
  const GemvInt8Weights weights = problem.packed(GemvInt8Layout::bits);
  ASSERT_EQ(weights.block_count(), 4);
  std::vector<std::int32_t> all = problem.empty();
  gemv_int8_reference(weights.view(), problem.activations(), all);
  std::vector<std::int32_t> sums = problem.empty();
  GetParam().function(weights.view(), problem.activations(), sums.data(), {.begin = 1, .end = 3});
  for (std::size_t j = 0; j < 50; ++j) EXPECT_EQ(sums[j], j >= 16 && j < 48 ? all[j] : 99) << j;
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryInt8Kernel, ::testing::ValuesIn(gemv_int8_kernels().begin(), gemv_int8_kernels().end()),
                         [](const auto& param_info) { return std::string(isa_name(param_info.param.isa)); });

TEST(GemvInt8Weights, HoldEveryCodeInTheBytesThatTheHeaderSays) {
  for (const int levels : {1, 2, 3, 4, 7, 16, 17, 33, 64}) {
    const Problem problem(33, 160, 1, levels, 1);
    for (const GemvInt8Layout layout : {GemvInt8Layout::bits, GemvInt8Layout::digits}) {
      if (layout == GemvInt8Layout::digits && levels > 3) continue;
      const GemvInt8Weights weights = problem.packed(layout);
      for (std::int64_t j = 0; j < problem.outputs; ++j) {
        for (std::int64_t i = 0; i < problem.inputs; ++i) {
          ASSERT_EQ(gemv_int8_code(weights.view(), j, i), problem.codes[static_cast<std::size_t>(j * problem.inputs + i)]);
        }
      }
      const std::int64_t bits = levels <= 2 ? 1 : static_cast<std::int64_t>(std::ceil(std::log2(levels)));
      EXPECT_EQ(weights.bytes(), layout == GemvInt8Layout::digits ? 48 * 160 / 5 : 48 * 160 * bits / 8) << levels;
    }
  }
}

// Worked by hand: two inputs, y = 0.25 + 2 * (0.5 * (1 * 7 - 3 * 2) + 3 * (4 * 7 + 5 * 2)) = 0.25 + 2 * (0.5 + 114).
TEST(GemvInt8Finish, ScalesPlanesThenOutputs) {
  const std::vector<GemvInt8Plane> planes = {{.levels = {1, -3}, .scale = 0.5F}, {.levels = {4, 5}, .scale = 3.0F}};
  const GemvInt8Weights weights(std::vector<std::uint8_t>{0, 1}, 1, 2, planes, GemvInt8Layout::bits);
  std::vector<std::uint8_t> x(static_cast<std::size_t>(gemv_int8_padded(2)));
  x[0] = 10;
  x[1] = 5;
  std::vector<std::int32_t> sums(2);
  gemv_int8_kernels().front().function(weights.view(), {.values = x.data(), .batch = 1, .stride = 160, .zero_point = 3}, sums.data(),
                                       {.begin = 0, .end = 1});
  EXPECT_THAT(sums, ElementsAre(1, 38));
  float y = 0.0F;
  const float scale = 2.0F;
  const float bias = 0.25F;
  gemv_int8_finish({.plane_scales = weights.plane_scales(), .scale = &scale, .bias = &bias}, sums.data(), 1, 0, 1, &y);
  EXPECT_EQ(y, 229.25F);
}

void expect_exact(std::span<const float> values, std::size_t plane_count) {
  const std::vector<GemvInt8Plane> planes = gemv_int8_planes(values);
  ASSERT_EQ(planes.size(), plane_count);
  for (std::size_t i = 0; i < values.size(); ++i) {
    double sum = 0.0;
    for (const GemvInt8Plane& plane : planes) {
      EXPECT_LE(std::abs(plane.levels[i]), 64);
      sum += static_cast<double>(plane.scale) * plane.levels[i];
    }
    EXPECT_EQ(sum, static_cast<double>(values[i]));
  }
}

TEST(GemvInt8Planes, AddUpToTheValuesExactly) {
  expect_exact(std::vector<float>{0.0F, 0.07F, -0.07F}, 1);
  expect_exact(std::vector<float>{0.0F, 0.07F, -0.05F}, 2);  // ternary with two scales
  expect_exact(std::vector<float>{0.0F, 0.0F, 0.0F}, 1);
  std::vector<float> powers = {0.0F};  // pow2:4 reaches 2^3, pow2:5 2^7 of its smallest value
  for (int e = 0; e < 4; ++e) powers.insert(powers.end(), {std::ldexp(1.0F, e - 9), -std::ldexp(1.0F, e - 9)});
  expect_exact(powers, 1);
  for (int e = 4; e < 8; ++e) powers.insert(powers.end(), {std::ldexp(1.0F, e - 9), -std::ldexp(1.0F, e - 9)});
  expect_exact(powers, 2);
  expect_exact(std::vector<float>{-16.0F * 0x1p-3F, 15.0F * 0x1p-3F, 0x1p-3F}, 1);  // fixed<2,3>
  EXPECT_TRUE(gemv_int8_planes(std::vector<float>{0.1F, 0.23F, 0.37F}).empty());
  EXPECT_TRUE(gemv_int8_planes(std::vector<float>{1.0F, 8192.0F, 3.0F}).empty());
  EXPECT_TRUE(gemv_int8_planes(std::vector<float>{INFINITY}).empty());
}

TEST(GemvInt8Weights, RefuseWhatDoesNotFit) {
  const std::vector<std::uint8_t> codes(4);
  const auto pack = [&](const std::vector<GemvInt8Plane>& planes, GemvInt8Layout layout) { GemvInt8Weights(codes, 2, 2, planes, layout); };
  const GemvInt8Plane three{.levels = {0, 1, -1}};
  expect_error(ErrorCode::invalid_input, "gemv_int8: wrong number of planes (found 3, need 1 to 2); use another kernel.", [&] {
    pack({three, three, three}, GemvInt8Layout::bits);
  });
  expect_error(
      ErrorCode::invalid_input,
      "gemv_int8: the level table does not fit (found 4 levels, need 1 to 3, the same in every plane); use another layout or kernel.", [&] {
        pack({{.levels = {0, 1, 2, 3}}}, GemvInt8Layout::digits);
      });
  expect_error(ErrorCode::invalid_input, "gemv_int8: a level is too large (found 65, need -64 to 64); sums of pairs would overflow.",
               [&] { pack({{.levels = {65}}}, GemvInt8Layout::bits); });
  expect_error(ErrorCode::invalid_input,
               "gemv_int8: the codes do not fill the matrix (found 3, need 2 x 2, at most 131072 inputs); check the shape.",
               [&] { GemvInt8Weights(std::vector<std::uint8_t>(3), 2, 2, std::vector{three}, GemvInt8Layout::bits); });
  expect_error(ErrorCode::invalid_input, "gemv_int8: a code is outside the table (found 3 at index 1, need 0 to 2); check the tensor.",
               [&] {
                 GemvInt8Weights(std::vector<std::uint8_t>{0, 3, 0, 0}, 2, 2, std::vector{three}, GemvInt8Layout::bits);
               });
}

TEST(SelectGemvInt8, RefusesWithValues) {
  EXPECT_THAT(select_gemv_int8({.batch = 9, .inputs = 200000, .levels = 65}, Isa::scalar).refusals,
              ElementsAre("gemv_int8: batch is 9, this kernel needs <= 8",
                          "gemv_int8: a row has 200000 inputs, this kernel needs <= 131072: int32 would overflow",
                          "gemv_int8: the format has 65 levels, this kernel needs <= 64"));
  EXPECT_THAT(select_gemv_int8({.inputs = 20, .levels = 16, .planes = 0}, Isa::scalar).refusals,
              ElementsAre("gemv_int8: the values are no small multiples of one or two numbers, this kernel needs integers"));
  const GemvInt8Choice choice = select_gemv_int8({.inputs = 20, .levels = 3}, Isa::scalar);
  ASSERT_NE(choice.kernel, nullptr);
  EXPECT_EQ(choice.kernel->name, "gemv_int8:scalar");
  EXPECT_EQ(choice.refusals.size(), gemv_int8_kernels().size() - 1);
}

}  // namespace
}  // namespace bitwright
