// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/fixed_point/stage.h"

#include "bitwright/train/fixed_point/chain.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace bitwright::fixed_point {
namespace {

using test::error_of;
using test::expect_error;
using ::testing::ElementsAre;
using Ints = std::vector<std::int64_t>;
using Codes = std::vector<std::int16_t>;

at::Tensor tensor_of(const Codes& codes, const Ints& sizes) { return at::tensor(codes, at::kShort).reshape(sizes); }

Codes codes_of(const at::Tensor& codes) {
  const at::Tensor dense = codes.contiguous();
  return {dense.data_ptr<std::int16_t>(), dense.data_ptr<std::int16_t>() + dense.numel()};
}

const PassRule kTraining{.mode = Mode::train, .seed = 5};  // nearest: results by hand

Node gemm_node() { return {"fc", Op::Gemm, {"x", "w", "b"}, {"y"}, {{"transB", std::int64_t{1}}}}; }

TEST(FixedConvert, RoundsTheTableOfThePageAndSaturates) {
  const FixedPoint format{8, 8};
  const std::vector<double> steps = {0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 25.6, -25.6, 0.384, 127.998 * 256, 300.0 * 256, -128.3 * 256, -0.0};
  const Converted found = convert_values(at::tensor(steps, at::kDouble) / 256.0, format, {});
  EXPECT_THAT(codes_of(found.codes), ElementsAre(0, -1, 1, -2, 2, -3, 26, -26, 0, 32767, 32767, -32768, 0));
  EXPECT_EQ(found.saturated, 2) << "127.998 rounds to the highest code; it is not moved there";
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(codes_of(convert_values(at::tensor({infinity, -infinity}, at::kDouble), format, {}).codes), ElementsAre(32767, -32768));
  const auto error = error_of([&] { (void)convert_values(at::tensor({std::nan("")}, at::kDouble), format, {}); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
}

TEST(FixedConvert, StochasticRoundingHasTheRightMeanAndMovesNoCode) {
  constexpr std::int64_t kCount = 100000;
  const FixedPoint format{8, 8};
  const Conversion conversion{Rounding::stochastic, Rng(1, "stage_test")};
  for (const double p : {0.25, 0.5}) {
    const Converted found = convert_values(at::full({kCount}, (-7.0 + p) / 256.0, at::kDouble), format, conversion);
    const double up = (found.codes.to(at::kDouble) + 7.0).mean().item<double>();
    EXPECT_NEAR(up, p, 5.0 * std::sqrt(p * (1.0 - p) / kCount));
  }
  const at::Tensor codes = at::arange(-32768, 32768, at::kShort);
  EXPECT_TRUE(at::equal(convert_values(values_of(codes, format), format, conversion).codes, codes));
}

// 3x3 windows, stride 2, over a 5x5 plane: neighbours share a row or column.
TEST(FixedMaxPool, ErrorsGoToTheFirstLargestCodeAndAddUp) {
  const Node node{"pool", Op::MaxPool, {"x"}, {"y"}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}}};
  MaxPoolStage pool(node, {4, 4});
  Codes plane(25, 0);
  plane[12] = 9;  // the centre is in all four windows
  EXPECT_THAT(codes_of(pool.forward(tensor_of(plane, {1, 1, 5, 5}), kTraining)), ElementsAre(9, 9, 9, 9));
  Codes errors = codes_of(pool.backward(tensor_of({1, 2, 3, -10}, {1, 1, 2, 2}), kTraining));
  EXPECT_EQ(errors[12], -4);
  EXPECT_EQ(std::ranges::count(errors, 0), 24);
  // 4 * 100 is beyond 8 bits.
  EXPECT_EQ(codes_of(pool.backward(tensor_of({100, 100, 100, 100}, {1, 1, 2, 2}), kTraining))[12], 127);
  EXPECT_EQ(pool.input_errors.saturated, 1);
  // Equal codes: the first in reading order.
  (void)pool.forward(at::full({1, 1, 5, 5}, -3, at::kShort), kTraining);
  errors = codes_of(pool.backward(tensor_of({1, 2, 3, 4}, {1, 1, 2, 2}), kTraining));
  EXPECT_EQ(errors[0], 1);
  EXPECT_EQ(errors[2], 2);
  EXPECT_EQ(errors[10], 3);
  EXPECT_EQ(errors[12], 4);
}

TEST(FixedMaxPool, PadsAndCeilModeAreLibTorchs) {
  const Node node{"pool",
                  Op::MaxPool,
                  {"x"},
                  {"y"},
                  {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"ceil_mode", std::int64_t{1}}}};
  MaxPoolStage pool(node, {8, 8});
  const Rng rng(2, "stage_test");
  Codes codes(2 * 3 * 8 * 7);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int16_t>(static_cast<int>(rng.below(i, 2000)) - 1000);
  const at::Tensor src = tensor_of(codes, {2, 3, 8, 7});
  const at::Tensor need = at::max_pool2d(src.to(at::kFloat), {3, 2}, {2, 2}, {1, 1}, {1, 1}, true);
  EXPECT_TRUE(at::equal(pool.forward(src, kTraining).to(at::kFloat), need));
  EXPECT_TRUE(at::equal(pool.forward(src, {}).to(at::kFloat), need));
}

// 0.25 steps become code 0, yet the accumulator was above 0: its error passes. At 0 and below it does not (4.3).
TEST(FixedRelu, TheMaskIsTheSignOfTheAccumulatorNotOfTheCode) {
  const Node node = gemm_node();
  ProductStage stage(node, Shape{1, 1}, Product::Activation::relu, ProductStage::Position::inner);
  const std::vector<std::int32_t> weights = {1};
  stage.product().set_parameters({{6, 2}, {6, 2}, {6, 2}, {6, 2}, {6, 2}}, weights, {});
  const at::Tensor dst = stage.forward(tensor_of({1, 0, -1, 40}, {4, 1}), kTraining);  // accumulators in 1/16
  EXPECT_THAT(codes_of(dst), ElementsAre(0, 0, 0, 10));
  (void)stage.backward(tensor_of({5, 6, 7, 8}, {4, 1}), kTraining);
  std::vector<std::int64_t> weight_sum(1), bias_sum(1);
  stage.gradients(weight_sum, bias_sum, Arithmetic::exact);
  EXPECT_EQ(bias_sum[0], 5 + 8);
  EXPECT_EQ(weight_sum[0], 5 * 1 + 8 * 40);
}

TEST(FixedRelu, AloneItsMaskIsTheCodes) {
  ReluStage relu;
  EXPECT_THAT(codes_of(relu.forward(tensor_of({-3, 0, 4}, {3}), kTraining)), ElementsAre(0, 0, 4));
  EXPECT_THAT(codes_of(relu.backward(tensor_of({5, 6, 7}, {3}), kTraining)), ElementsAre(0, 0, 7));
}

TEST(FixedSaturation, OutputsAtAnEndOfTheRangePassTheirErrorUnlessStopped) {
  const Node node = gemm_node();
  using Saturated = ProductStage::SaturatedErrors;
  for (const auto& [choice, need] : {std::pair{Saturated::pass, 1 + 2 + 4}, std::pair{Saturated::stop, 2}}) {
    ProductStage stage(node, Shape{1, 1}, Product::Activation::none, ProductStage::Position::first);
    stage.set_saturated_errors(choice);
    const std::vector<std::int32_t> weights = {1};
    stage.product().set_parameters({{16, 0}, {16, 0}, {16, 0}, {4, 0}, {16, 0}}, weights, {});
    EXPECT_THAT(codes_of(stage.forward(tensor_of({100, 3, -100}, {3, 1}), kTraining)), ElementsAre(7, 3, -8));
    EXPECT_EQ(stage.outputs.saturated, 2);
    EXPECT_EQ(stage.outputs.elements, 3);
    EXPECT_FALSE(stage.backward(tensor_of({1, 2, 4}, {3, 1}), kTraining).defined()) << "nobody needs the errors of the input";
    std::vector<std::int64_t> weight_sum(1), bias_sum(1);
    stage.gradients(weight_sum, bias_sum, Arithmetic::exact);
    EXPECT_EQ(bias_sum[0], need);
  }
}

// -1 * -0.5 + 2^-15 * 16385 * 2^-15: half a step and one unit of the accumulator above a code. A float32 sum loses the unit, and the half
// alone goes down.
TEST(FixedEvaluation, IsExactWhateverTrainingMultipliesWith) {
  const Node node = gemm_node();
  ProductStage stage(node, Shape{1, 2}, Product::Activation::none, ProductStage::Position::first);
  const std::vector<std::int32_t> weights = {-16384, 16385};
  const FixedPoint format{1, 15};
  stage.product().set_parameters({format, format, format, format, format}, weights, {});
  const at::Tensor src = tensor_of({-32768, 1}, {1, 2});
  PassRule rule = kTraining;
  EXPECT_THAT(codes_of(stage.forward(src, rule)), ElementsAre(16385));
  rule.arithmetic = Arithmetic::float32;
  EXPECT_THAT(codes_of(stage.forward(src, rule)), ElementsAre(16384));
  rule.mode = Mode::eval;
  EXPECT_THAT(codes_of(stage.forward(src, rule)), ElementsAre(16385));
}

TEST(FixedDropout, ScalesAndDropsInTrainingOnly) {
  const Node node{"dropout", Op::Dropout, {"x"}, {"y"}, {{"ratio", 0.5F}}};
  DropoutStage dropout(node, {8, 8}, {4, 4});
  const at::Tensor src = at::full({1000}, 50, at::kShort);
  EXPECT_TRUE(at::equal(dropout.forward(src, {}), src));
  const at::Tensor dst = dropout.forward(src, kTraining);
  const auto kept = dst.eq(100).sum().item<std::int64_t>();
  EXPECT_EQ(dst.eq(0).sum().item<std::int64_t>(), 1000 - kept);
  EXPECT_NEAR(static_cast<double>(kept), 500.0, 5.0 * std::sqrt(250.0));
  // Errors pass where values did, and saturate in their own format.
  const at::Tensor errors = dropout.backward(at::full({1000}, 100, at::kShort), kTraining);
  EXPECT_TRUE(at::equal(errors, dst.eq(100).to(at::kShort) * 127));
  PassRule next = kTraining;
  next.step = 1;
  EXPECT_FALSE(at::equal(dropout.forward(src, next), dst));
}

Model chain_model(std::vector<Node> nodes) {
  Model model = test::tiny_model();
  model.graph.nodes = std::move(nodes);
  model.graph.outputs = {model.graph.nodes.back().outputs[0]};
  return model;
}

TEST(FixedChain, NamesEveryNodeThatHasNoIntegerForm) {
  const Model model = test::tiny_model();
  Model other = model;
  other.graph.nodes.push_back({"mean", Op::GlobalAveragePool, {"pool"}, {"mean"}, {}});
  const auto make = [](const Model& from) {
    return Chain(from.graph, weight_shapes(from), ChainFormats{}, [](const Node&) { return FixedPoint{6, 10}; });
  };
  expect_error(ErrorCode::unsupported,
               "fixed point: tiny has nodes without an integer form (found bn (BatchNormalization), mean (GlobalAveragePool); need Conv, "
               "Gemm, Relu, MaxPool, Flatten, Dropout); use another model.",
               [&] { (void)make(other); });
  const Model forked = chain_model({{"flatten", Op::Flatten, {"input"}, {"flatten"}, {}},
                                    {"a", Op::Gemm, {"flatten", "fc.weight"}, {"a"}, {}},
                                    {"b", Op::Gemm, {"flatten", "fc.weight"}, {"b"}, {}}});
  expect_error(ErrorCode::unsupported,
               "fixed point: value \"flatten\" of tiny has 2 readers (need 1); use a model whose nodes stand in a row.",
               [&] { (void)make(forked); });
  const Model empty = chain_model({{"flatten", Op::Flatten, {"input"}, {"flatten"}, {}}});
  expect_error(ErrorCode::unsupported, "fixed point: tiny has no Conv and no Gemm; there is nothing to compute.",
               [&] { (void)make(empty); });
}

}  // namespace
}  // namespace bitwright::fixed_point
