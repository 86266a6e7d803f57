// SPDX-License-Identifier: Apache-2.0
// Convolutions and pools in few bits whose primitives are not oneDNN's plain choice: pixels in pairs, rows shared by threads, pools of
// codes.
#include "bitwright/runtime/ops/narrow_conv.h"

#include "tests/unit/runtime/narrow_steps.h"

#include <gmock/gmock.h>

namespace bitwright {
namespace {

using test::calibrated;
using test::expect_steps_within_bound;
using test::GraphMaker;
using test::report_of;

bool runs(Activations activations) { return activations_refusal(activations).empty(); }
bool has_matrix_unit() { return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_amx && runs(Activations::int8); }

struct ConvCase {
  std::int64_t channels, outputs, height, width, kernel, stride, pad;
};

std::string text(const ConvCase& conv) {
  std::string name;
  for (const std::int64_t extent : {conv.channels, conv.outputs, conv.height, conv.width, conv.kernel, conv.stride, conv.pad})
    name += (name.empty() ? "" : "_") + std::to_string(extent);
  return name;
}

GraphMaker::Attributes window_of(const ConvCase& conv) {
  return {{"strides", GraphMaker::Ints{conv.stride, conv.stride}}, {"pads", GraphMaker::Ints(4, conv.pad)}};
}

// Two convolutions, so that the second reads codes that the first made, and a residual where shapes allow one.
Model model_of(const ConvCase& conv) {
  GraphMaker maker(Shape{3, conv.height, conv.width});
  const std::string first = maker.node(Op::Relu, {maker.conv("input", Shape{conv.channels, 3, 1, 1})});
  std::string y = maker.conv(first, Shape{conv.outputs, conv.channels, conv.kernel, conv.kernel}, window_of(conv));
  if (conv.outputs == conv.channels && conv.stride == 1 && 2 * conv.pad + 1 == conv.kernel) y = maker.node(Op::Add, {y, first});
  y = maker.node(Op::Relu, {y});
  return std::move(maker).finish(maker.conv(y, Shape{4, conv.outputs, 1, 1}));
}

class NarrowConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(NarrowConv, EveryStepIsTheReferences) {
  const Model model = calibrated(model_of(GetParam()));
  for (const auto& [batch, threads] : {std::pair{1, 1}, std::pair{1, 2}, std::pair{3, 1}, std::pair{1, 3}}) {
    for (const Activations activations : {Activations::bfloat16, Activations::int8}) {
      (void)expect_steps_within_bound(model, activations, batch, threads);
      if (HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, NarrowConv,
                         ::testing::Values(ConvCase{16, 16, 16, 16, 3, 1, 1}, ConvCase{16, 32, 16, 16, 3, 2, 1},
                                           ConvCase{32, 64, 32, 16, 3, 2, 1}, ConvCase{16, 16, 21, 10, 5, 1, 2},
                                           ConvCase{8, 8, 16, 13, 3, 1, 1}, ConvCase{16, 8, 31, 12, 1, 1, 0},
                                           ConvCase{16, 32, 15, 14, 1, 2, 0}, ConvCase{8, 16, 40, 18, 7, 2, 3},
                                           ConvCase{64, 64, 28, 14, 3, 1, 1}, ConvCase{16, 16, 18, 10, 3, 1, 0}),
                         [](const auto& param_info) { return text(param_info.param); });

TEST(NarrowConvChoice, PairsOfPixelsWhereChannelsAreFew) {
  if (!has_matrix_unit()) GTEST_SKIP() << "this processor has no matrix unit";
  const auto kernel_of = [](const ConvCase& conv) {
    const Session session(calibrated(model_of(conv)), {.threads = 1, .batch = 2, .activations = Activations::int8});
    return report_of(session, "Conv2").kernel;
  };
  EXPECT_THAT(kernel_of({16, 16, 16, 16, 3, 1, 1}), ::testing::EndsWith("amx_int8:pairs"));
  EXPECT_THAT(kernel_of({32, 64, 16, 16, 3, 2, 1}), ::testing::EndsWith("amx_int8:pairs"));
  EXPECT_THAT(kernel_of({32, 32, 16, 16, 3, 1, 1}), ::testing::Not(::testing::HasSubstr("pairs")));
  EXPECT_THAT(kernel_of({16, 16, 16, 13, 3, 1, 1}), ::testing::Not(::testing::HasSubstr("pairs")));
}

TEST(NarrowConvChoice, ThreadsShareTheRowsOfOneImage) {
  if (!runs(Activations::int8)) GTEST_SKIP() << activations_refusal(Activations::int8);
  const auto kernel_of = [](std::int64_t batch, int threads, std::int64_t height) {
    const Session session(calibrated(model_of({64, 64, height, 28, 3, 1, 1})),
                          {.threads = threads, .batch = batch, .activations = Activations::int8});
    return report_of(session, "Conv2").kernel;
  };
  EXPECT_THAT(kernel_of(1, 2, 28), ::testing::EndsWith(":by_rows"));
  EXPECT_THAT(kernel_of(1, 1, 28), ::testing::Not(::testing::HasSubstr("by_rows")));
  EXPECT_THAT(kernel_of(2, 2, 28), ::testing::Not(::testing::HasSubstr("by_rows")));
  EXPECT_THAT(kernel_of(1, 2, 12), ::testing::Not(::testing::HasSubstr("by_rows")));
}

struct PoolCase {
  std::int64_t height, width;
  GraphMaker::Ints kernel, strides, pads;
  std::int64_t ceil_mode;
};

TEST(NarrowPool, CodesHaveALoopOfOurs) {
  const std::vector<PoolCase> cases = {{12, 12, {3, 3}, {2, 2}, {1, 1, 1, 1}, 0}, {12, 12, {2, 2}, {2, 2}, {0, 0, 0, 0}, 0},
                                       {11, 9, {3, 2}, {2, 1}, {0, 1, 2, 0}, 0},  {13, 10, {3, 3}, {2, 2}, {0, 0, 0, 0}, 1},
                                       {7, 7, {7, 7}, {1, 1}, {0, 0, 0, 0}, 0},   {8, 8, {1, 1}, {3, 3}, {0, 0, 0, 0}, 0},
                                       {5, 5, {5, 5}, {1, 1}, {2, 2, 2, 2}, 0},   {6, 9, {4, 3}, {3, 4}, {1, 2, 1, 0}, 0}};
  for (const PoolCase& pool : cases) {
    for (const std::int64_t channels : {16, 40}) {
      GraphMaker maker(Shape{3, pool.height, pool.width});
      const std::string a = maker.node(Op::Relu, {maker.conv("input", Shape{channels, 3, 1, 1})});
      const std::string b = maker.node(
          Op::MaxPool, {a}, {{"kernel_shape", pool.kernel}, {"strides", pool.strides}, {"pads", pool.pads}, {"ceil_mode", pool.ceil_mode}});
      const Model model = calibrated(std::move(maker).finish(maker.conv(b, Shape{4, channels, 1, 1})));
      for (const auto& [batch, threads] : {std::pair{1, 1}, std::pair{2, 2}, std::pair{1, 3}}) {
        (void)expect_steps_within_bound(model, Activations::int8, batch, threads);
        if (::testing::Test::HasFatalFailure()) return;
      }
      if (!runs(Activations::int8)) continue;
      const Session session(model, {.threads = 1, .batch = 1, .activations = Activations::int8});
      EXPECT_EQ(report_of(session, "MaxPool2").kernel, "loop:max_of_codes");
    }
  }
}

}  // namespace
}  // namespace bitwright
