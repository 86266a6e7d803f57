// SPDX-License-Identifier: Apache-2.0
// Sessions in bfloat16 and int8, held step by step to the reference of these modes.
#include "bitwright/runtime/activations.h"

#include "bitwright/model/zoo.h"
#include "bitwright/runtime/constant_cache.h"
#include "bitwright/runtime/plan.h"
#include "bitwright/runtime/reference_narrow.h"
#include "bitwright/runtime/reference_tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/operator_cases.h"
#include "tests/unit/runtime/narrow_steps.h"

#include <gmock/gmock.h>

namespace bitwright {
namespace {

using test::calibrated;
using test::expect_steps_within_bound;
using test::GraphMaker;
using test::quantized;
using test::report_of;
using test::StepCounts;

bool runs(Activations activations) { return activations_refusal(activations).empty(); }

class NarrowOperator : public ::testing::TestWithParam<test::OperatorCase> {};

TEST_P(NarrowOperator, EveryStepIsTheReferences) {
  const Model& model = GetParam().model;
  const Model scaled = calibrated(model);
  for (const auto& [batch, threads] : {std::pair{1, 1}, std::pair{3, 2}}) {
    (void)expect_steps_within_bound(model, Activations::bfloat16, batch, threads);
    (void)expect_steps_within_bound(scaled, Activations::int8, batch, threads);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(All, NarrowOperator, ::testing::ValuesIn(test::operator_cases()),
                         [](const auto& param_info) { return param_info.param.name; });

struct NetworkCase {
  const char* network;
  const char* format;  ///< of the weights; null = float32
  std::int64_t batch;
  int threads;
};

class NarrowNetwork : public ::testing::TestWithParam<NetworkCase> {};

TEST_P(NarrowNetwork, EveryStepIsTheReferences) {
  const auto& [network, format, batch, threads] = GetParam();
  Model model = build_zoo_model(network, 3);
  if (format != nullptr) model = quantized(std::move(model), NumberFormat::parse(format));
  const StepCounts wide = expect_steps_within_bound(model, Activations::bfloat16, batch, threads);
  const StepCounts codes = expect_steps_within_bound(calibrated(model), Activations::int8, batch, threads);
  if (runs(Activations::bfloat16)) {
    EXPECT_GE(wide.bfloat16_nodes, 2);
  }
  if (!runs(Activations::int8)) return;
  EXPECT_GE(codes.int8_nodes, 2);
  // The few roundings of float32 decide rarely: nearly every code is proven equal.
  EXPECT_LT(static_cast<double>(codes.open), 0.002 * static_cast<double>(codes.elements));
}

INSTANTIATE_TEST_SUITE_P(Zoo, NarrowNetwork,
                         ::testing::Values(NetworkCase{"lenet5", nullptr, 1, 1}, NetworkCase{"lenet5", "pow2:5", 9, 2},
                                           NetworkCase{"lenet5", "ternary", 17, 1}, NetworkCase{"lenet5", "uniform:4", 9, 1},
                                           NetworkCase{"lenet5", "codebook:16/256", 9, 2}, NetworkCase{"resnet20", nullptr, 2, 1},
                                           NetworkCase{"resnet20", "pow2:5", 1, 1}, NetworkCase{"resnet20", "pow2:5", 3, 2},
                                           NetworkCase{"resnet20", "pow2:5", 1, 2}, NetworkCase{"resnet20", "ternary", 2, 1},
                                           NetworkCase{"resnet20", "pow2:8", 1, 1}),
                         [](const auto& param_info) {
                           const NetworkCase& each = param_info.param;
                           std::string name = std::string(each.network) + "_" + (each.format == nullptr ? "float32" : each.format) + "_" +
                                              std::to_string(each.batch) + "_" + std::to_string(each.threads);
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
                           return name;
                         });

TEST(Activations, NamesRoundTrip) {
  for (const char* name : {"float32", "bfloat16", "int8"}) EXPECT_EQ(activations_name(parse_activations(name)), name);
  test::expect_error(ErrorCode::usage, "activations: unknown type (found \"int4\", need one of: float32, bfloat16, int8); choose one.",
                     [] { (void)parse_activations("int4"); });
}

TEST(Activations, ResnetIsCodesFromEndToEnd) {
  if (!runs(Activations::int8)) GTEST_SKIP() << activations_refusal(Activations::int8);
  const Model model = calibrated(quantized(build_zoo_model("resnet20", 3), NumberFormat::parse("pow2:5")));
  const Session session(model, {.threads = 1, .batch = 1, .activations = Activations::int8});
  int conversions = 0;
  for (const NodeReport& node : session.describe()) {
    if (node.op == "Conv") {
      EXPECT_EQ(node.type, ValueType::int8) << node.node;
    }
    conversions += static_cast<int>(node.op == "Reorder");
  }
  EXPECT_EQ(conversions, 1);  // of the image; the mean of the last codes is float32, which the packed kernel reads
  EXPECT_EQ(report_of(session, "pool").kernel, "loop:mean_of_codes");
}

TEST(Activations, TwoValuesInFewBitsAreAddedInFewBits) {
  for (const bool has_relu : {false, true}) {
    GraphMaker maker(Shape{3, 6, 6});
    const std::string a = maker.node(Op::Relu, {maker.conv("input", Shape{16, 3, 3, 3}, {{"pads", GraphMaker::Ints{1, 1, 1, 1}}})});
    const std::string b = maker.node(Op::MaxPool, {maker.conv(a, Shape{16, 16, 1, 1})},
                                     {{"kernel_shape", GraphMaker::Ints{3, 3}}, {"pads", GraphMaker::Ints{1, 1, 1, 1}}});
    std::string sum = maker.node(Op::Add, {a, b});  // Add4
    if (has_relu) sum = maker.node(Op::Relu, {sum});
    const Model model = std::move(maker).finish(maker.conv(sum, Shape{4, 16, 1, 1}));
    for (const Activations activations : {Activations::bfloat16, Activations::int8}) {
      const Model scaled = calibrated(model);
      (void)expect_steps_within_bound(scaled, activations, 2, 1);
      if (!runs(activations)) continue;
      const Session session(scaled, {.threads = 1, .batch = 2, .activations = activations});
      EXPECT_THAT(report_of(session, "Add4").kernel, ::testing::StartsWith("onednn:binary:jit"));
      EXPECT_NE(report_of(session, "Add4").type, ValueType::float32);
    }
  }
}

TEST(Activations, SumsThatMightLeave32BitsStayInFloat) {
  if (!runs(Activations::int8)) GTEST_SKIP() << activations_refusal(Activations::int8);
  for (const std::int64_t depth : {65793, 65794}) {
    GraphMaker maker(Shape{depth});
    const Model model = calibrated(std::move(maker).finish(maker.gemm("input", depth, 2)));
    const Session session(model, {.threads = 1, .batch = 1, .activations = Activations::int8});
    EXPECT_EQ(report_of(session, "Gemm0").type == ValueType::int8, depth == 65793);
  }
}

TEST(Activations, AModelWithoutScalesRunsInFloatAndSaysWhy) {
  const Session session(build_zoo_model("resnet20", 3), {.threads = 1, .batch = 1, .activations = Activations::int8});
  for (const NodeReport& node : session.describe()) EXPECT_EQ(node.type, ValueType::float32) << node.node;
  const std::string reason = runs(Activations::int8) ? "int8: \"input\" has no scale, this kernel needs a calibrated model"
                                                     : activations_refusal(Activations::int8);
  EXPECT_THAT(report_of(session, "conv1").refusals, ::testing::Contains(reason));
}

TEST(Activations, ScalesDoNotTouchFloat) {
  const Model model = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse("pow2:5"));
  Session plain(model, {.threads = 1, .batch = 2});
  Session scaled(calibrated(model), {.threads = 1, .batch = 2});
  const std::vector<float> input = test::random_input(plain);
  EXPECT_EQ(test::run_session(plain, input), test::run_session(scaled, input));
}

TEST(Activations, AnImageThatIsNoNumberIsAnError) {
  if (!runs(Activations::int8)) GTEST_SKIP() << activations_refusal(Activations::int8);
  Session session(calibrated(build_zoo_model("lenet5", 3)), {.threads = 1, .batch = 1, .activations = Activations::int8});
  std::vector<float> input = test::random_input(session);
  input[100] = std::nanf("");
  std::vector<float> output(10);
  test::expect_error(ErrorCode::numerical, "lenet5: \"input\" holds NaN (found it, need numbers); look where the image was made.",
                     [&] { session.run(input, output); });
}

// The answers are those of float32 up to what 8 bits lose: within a tenth of the largest logit, and the same class.
TEST(Activations, LogitsStayNearFloat) {
  const Model model = calibrated(quantized(build_zoo_model("resnet20", 3), NumberFormat::parse("pow2:5")), CalibrationRule::mse);
  Session reference(model, {.threads = 1, .batch = 4});
  const std::vector<float> input = test::random_input(reference);
  const std::vector<float> want = test::run_session(reference, input);
  float largest = 0.0F;
  for (const float value : want) largest = std::max(largest, std::abs(value));
  for (const Activations activations : {Activations::bfloat16, Activations::int8}) {
    Session session(model, {.threads = 1, .batch = 4, .activations = activations});
    const std::vector<float> found = test::run_session(session, input);
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(found[i], want[i], 0.1F * largest) << activations_name(activations);
  }
}

TEST(Activations, BatchAndThreadsDoNotChangeCodes) {
  if (!runs(Activations::int8)) GTEST_SKIP() << activations_refusal(Activations::int8);
  const Model model = calibrated(quantized(build_zoo_model("resnet20", 3), NumberFormat::parse("ternary")));
  Session many(model, {.threads = 2, .batch = 5, .activations = Activations::int8});
  Session one(model, {.threads = 1, .batch = 1, .activations = Activations::int8});
  const std::vector<float> input = test::random_input(many);
  const std::vector<float> all = test::run_session(many, input);
  const std::size_t image = input.size() / 5;
  for (std::size_t n = 0; n < 5; ++n) {
    const std::vector<float> single = test::run_session(one, {input.begin() + n * image, input.begin() + (n + 1) * image});
    for (std::size_t c = 0; c < 10; ++c) EXPECT_FLOAT_EQ(all[n * 10 + c], single[c]) << n;
  }
}

}  // namespace
}  // namespace bitwright
