// SPDX-License-Identifier: Apache-2.0
// Sessions of one operator against the reference, over shapes, layouts and operands that repeat; the derived bound is the only tolerance.
#include "tests/support/operator_cases.h"

#include <gmock/gmock.h>

#include <cmath>

namespace bitwright {
namespace {

using test::expect_close;
using test::expect_within_bound;
using test::GraphMaker;
using test::OperatorCase;
using test::quantized;

class OperatorSweep : public ::testing::TestWithParam<OperatorCase> {};

TEST_P(OperatorSweep, WithinBound) {
  for (const std::int64_t batch : {1, 3}) expect_within_bound(GetParam().model, {.threads = 1, .batch = batch});
  expect_within_bound(GetParam().model, {.threads = 2, .batch = 2});
}

INSTANTIATE_TEST_SUITE_P(All, OperatorSweep, ::testing::ValuesIn(test::operator_cases()),
                         [](const auto& param_info) { return param_info.param.name; });

// What the bound takes for granted of oneDNN's functions (R10), held over the whole range where they do something.
TEST(LibraryFunctions, AreAsCloseAsTheBoundSays) {
  std::vector<float> input;
  for (int i = -40000; i <= 40000; ++i) input.push_back(static_cast<float>(i) / 2000.0F);
  for (int exponent = -120; exponent <= 6; ++exponent) {
    for (const double mantissa : {1.0, 1.1875, 1.5, 1.96875}) {
      const auto value = static_cast<float>(std::ldexp(mantissa, exponent));
      input.push_back(value);
      input.push_back(-value);
    }
  }
  input.push_back(0.0F);
  struct Function {
    Op op;
    GraphMaker::Attributes attributes;
    float least;
    float most;
  };
  const Function functions[] = {{Op::Sigmoid, {}, -200.0F, 200.0F},
                                {Op::Tanh, {}, -200.0F, 200.0F},
                                {Op::Erf, {}, -200.0F, 200.0F},
                                {Op::Gelu, {}, -200.0F, 200.0F},
                                {Op::Gelu, {{"approximate", std::string("tanh")}}, -200.0F, 200.0F},
                                {Op::Elu, {{"alpha", 2.0F}}, -200.0F, 200.0F},
                                {Op::HardSwish, {}, -200.0F, 200.0F},
                                {Op::HardSigmoid, {}, -200.0F, 200.0F},
                                {Op::Exp, {}, -200.0F, 88.0F},
                                {Op::Sqrt, {}, 0.0F, 200.0F}};
  for (const Function& function : functions) {
    SCOPED_TRACE(op_entry(function.op).name);
    std::vector<float> inside = input;
    for (float& value : inside) value = std::min(std::max(value, function.least), function.most);
    GraphMaker maker(Shape{static_cast<std::int64_t>(inside.size())});
    const std::string out = maker.node(function.op, {"input"}, function.attributes);
    const Model model = std::move(maker).finish(out);
    Session session(model);
    expect_close(test::run_session(session, inside), model, inside, 1, test::Sharpness::any);
    if (HasFatalFailure()) return;
  }
}

TEST(MatMulOperator, EveryFormatAndNumberOfRows) {
  for (const std::int64_t tokens : {1, 3, 11}) {
    GraphMaker maker(Shape{tokens, 37});
    const std::string product = maker.node(Op::MatMul, {"input", maker.weight("w", Shape{37, 21}, 0.0, 0.3)});
    const std::string out = maker.node(Op::Relu, {maker.node(Op::Add, {product, maker.weight("b", Shape{21})})});
    const Model model = std::move(maker).finish(out);
    EXPECT_EQ(quantizable_weights(model.graph), std::vector<std::string>{"w0"});
    for (const char* format : {"pow2:3", "pow2:6", "ternary", "uniform:5", "uniform:3/64", "codebook:27", "fixed<1,4>"}) {
      SCOPED_TRACE(format);
      for (const int threads : {1, 2}) {
        expect_within_bound(quantized(model, NumberFormat::parse(format)), {.threads = threads, .batch = 2});
      }
    }
    const Session session(quantized(model, NumberFormat::parse("pow2:3")), {.threads = 1, .batch = 2});
    EXPECT_THAT(test::report_of(session, "MatMul0").kernel, ::testing::StartsWith(tokens < 4 ? "gemv_packed:" : "onednn:inner_product:"));
    EXPECT_EQ(test::report_of(session, "Relu2").kernel, "fused into MatMul0");
  }
}

TEST(EncoderBlock, FloatAndQuantized) {
  const Model model = test::encoder_block();
  EXPECT_EQ(quantizable_weights(model.graph).size(), 7U);
  for (const std::int64_t batch : {1, 2, 5}) {
    expect_within_bound(model, {.threads = 1, .batch = batch}, test::Sharpness::any);
    expect_within_bound(quantized(model, NumberFormat::parse("pow2:4")), {.threads = 2, .batch = batch}, test::Sharpness::any);
  }
}

TEST(BroadcastingAdd, IsNoResidualOfAProduct) {
  GraphMaker maker(Shape{16, 6, 6});
  const std::string gate = maker.node(Op::GlobalAveragePool, {"input"});
  const std::string product = maker.conv("input", Shape{16, 16, 1, 1});
  const std::string out = maker.node(Op::Relu, {maker.node(Op::Add, {product, gate})});
  expect_within_bound(std::move(maker).finish(out), {.threads = 1, .batch = 2});
}

}  // namespace
}  // namespace bitwright
