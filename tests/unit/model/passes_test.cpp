// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/passes.h"

#include "bitwright/model/zoo.h"
#include "tests/support/expect_error.h"
#include "tests/support/small_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace bitwright {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;

/// input [?, 3] -> Gemm fc -> BatchNormalization bn ("out").
Model gemm_and_norm(Weight weight, bool with_bias) {
  Model model = test::tiny_model(std::move(weight));
  Node& fc = model.graph.nodes[0];
  fc.outputs = {"product"};
  if (!with_bias) {
    fc.inputs.pop_back();
    model.weights.erase("fc.bias");
  }
  model.graph.nodes.push_back(Node{.name = "bn",
                                   .op = Op::BatchNormalization,
                                   .inputs = {"product", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"},
                                   .outputs = {"logits"},
                                   .attributes = {{"epsilon", 0.25F}}});
  model.weights.emplace("bn.weight", FloatTensor{Shape{2}, {1.5F, -0.3F}});
  model.weights.emplace("bn.bias", FloatTensor{Shape{2}, {0.1F, 0.7F}});
  model.weights.emplace("bn.running_mean", FloatTensor{Shape{2}, {-0.9F, 0.4F}});
  model.weights.emplace("bn.running_var", FloatTensor{Shape{2}, {1.7F, 0.05F}});
  return model;
}

/// Gemm, then BatchNormalization where there is one, by definition in double; also the sum of magnitudes, for error bounds.
struct Output {
  double value = 0.0;
  double magnitude = 0.0;
};

std::vector<Output> evaluate(const Model& model, const std::vector<double>& x) {
  const Node& fc = model.graph.nodes[0];
  const std::vector<float> weight = weight_values(model.weights.find(fc.inputs[1])->second);
  std::vector<Output> y(2);
  for (std::size_t c = 0; c < 2; ++c) {
    for (std::size_t i = 0; i < 3; ++i) {
      y[c].value += weight[3 * c + i] * x[i];
      y[c].magnitude += std::fabs(weight[3 * c + i] * x[i]);
    }
    if (fc.inputs.size() > 2) {
      const double bias = weight_values(model.weights.find(fc.inputs[2])->second)[c];
      y[c].value += bias;
      y[c].magnitude += std::fabs(bias);
    }
    if (model.graph.nodes.size() < 2) continue;
    const Node& bn = model.graph.nodes[1];
    const auto parameter = [&](std::size_t input) -> double { return weight_values(model.weights.find(bn.inputs[input])->second)[c]; };
    const double factor = parameter(1) / std::sqrt(parameter(4) + bn.float_attribute("epsilon", 1e-5F));
    y[c].value = (y[c].value - parameter(3)) * factor + parameter(2);
    y[c].magnitude = (y[c].magnitude + std::fabs(parameter(3))) * std::fabs(factor) + std::fabs(parameter(2));
  }
  return y;
}

// Folding rounds each stored number once to float32 (relative u = 2^-24), so the outputs move by at most u times the sum of the magnitudes
// of the terms; 1.001 covers the double arithmetic of pass and test, far below it.
void expect_same_function(const Model& before, const Model& after) {
  for (const std::vector<double>& x : {std::vector<double>{1, 0, 0}, {0.3, -2.0, 5.0}, {-1, -1, 7.5}, {0, 0, 0}}) {
    const std::vector<Output> a = evaluate(before, x);
    const std::vector<Output> b = evaluate(after, x);
    for (std::size_t c = 0; c < 2; ++c) EXPECT_NEAR(a[c].value, b[c].value, 1.001 * kUnitRoundoff * a[c].magnitude) << c;
  }
}

FloatTensor some_weights() { return {Shape{2, 3}, {1.5F, -0.25F, 0.1F, 3.0F, -2.0F, 0.125F}}; }

TEST(FoldBatchNormalization, FloatWeightsTakeItIn) {
  for (const bool with_bias : {false, true}) {
    const Model before = gemm_and_norm(some_weights(), with_bias);
    const Model after = fold_batch_normalization(before);
    validate(after);
    ASSERT_EQ(after.graph.nodes.size(), 1U);
    EXPECT_EQ(after.graph.outputs, before.graph.outputs);
    std::vector<std::string> names;
    for (const auto& [name, weight] : after.weights) names.push_back(name);
    EXPECT_THAT(names, testing::ElementsAre("fc.bias", "fc.weight"));
    expect_same_function(before, after);
  }
}

TEST(FoldBatchNormalization, QuantizedWeightsKeepTheirCodes) {
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    if (std::holds_alternative<FloatTensor>(tiny.weight)) continue;
    for (const bool with_bias : {false, true}) {
      const Model before = gemm_and_norm(tiny.weight, with_bias);
      const Model after = fold_batch_normalization(before);
      validate(after);
      ASSERT_EQ(after.graph.nodes.size(), 2U) << tiny.name;
      EXPECT_EQ(after.weights.at("fc.weight"), before.weights.at("fc.weight")) << tiny.name;
      EXPECT_EQ(after.graph.nodes[0].inputs.size(), 2U);
      const Node& bn = after.graph.nodes[1];
      EXPECT_EQ(bn.float_attribute("epsilon", 1.0F), 0.0F);
      EXPECT_THAT(weight_values(after.weights.at("bn.running_mean")), testing::Each(0.0F));
      EXPECT_THAT(weight_values(after.weights.at("bn.running_var")), testing::Each(1.0F));
      expect_same_function(before, after);
      EXPECT_EQ(fold_batch_normalization(after), after) << "folding again changes nothing";
    }
  }
}

TEST(FoldBatchNormalization, LeavesAProductThatOthersRead) {
  Model model = gemm_and_norm(some_weights(), true);
  model.graph.nodes.push_back(Node{.name = "add", .op = Op::Add, .inputs = {"product", "logits"}, .outputs = {"sum"}, .attributes = {}});
  model.graph.outputs = {"sum"};
  EXPECT_EQ(fold_batch_normalization(model), model);
}

TEST(FoldBatchNormalization, LeavesAProductThatIsAnOutput) {
  Model model = gemm_and_norm(some_weights(), true);
  model.graph.outputs = {"logits", "product"};
  EXPECT_EQ(fold_batch_normalization(model), model);
}

TEST(FoldBatchNormalization, LeavesANormOfAnythingElse) {
  Model model = gemm_and_norm(some_weights(), true);
  model.graph.nodes.insert(model.graph.nodes.begin() + 1,
                           Node{.name = "relu", .op = Op::Relu, .inputs = {"product"}, .outputs = {"r"}, .attributes = {}});
  model.graph.nodes[2].inputs[0] = "r";
  EXPECT_EQ(fold_batch_normalization(model), model);
}

TEST(FoldBatchNormalization, ASharedWeightIsCopied) {
  Model model = gemm_and_norm(some_weights(), true);
  model.graph.nodes.push_back(Node{.name = "other",
                                   .op = Op::Gemm,
                                   .inputs = {"input", "fc.weight"},
                                   .outputs = {"second"},
                                   .attributes = {{"transB", std::int64_t{1}}}});
  model.graph.outputs.push_back("second");
  const Model after = fold_batch_normalization(model);
  validate(after);
  EXPECT_EQ(after.weights.at("fc.weight"), model.weights.at("fc.weight")) << "the other reader's weights stay";
  EXPECT_EQ(after.graph.nodes[0].inputs[1], "fc.weight.2");
  EXPECT_EQ(after.graph.nodes[1].inputs[1], "fc.weight");
  Model alone = after;
  alone.graph.nodes.pop_back();
  expect_same_function(gemm_and_norm(some_weights(), true), alone);
}

TEST(FoldBatchNormalization, ConvolutionsFoldPerOutputChannel) {
  const Model before = test::every_operator_model();
  const Model after = fold_batch_normalization(before);
  validate(after);
  EXPECT_EQ(after.graph.nodes.size(), before.graph.nodes.size() - 1);
  const std::vector<float> scale = weight_values(before.weights.at("bn.weight"));
  const std::vector<float> variance = weight_values(before.weights.at("bn.running_var"));
  const std::vector<float> old_weight = weight_values(before.weights.at("conv.weight"));
  const std::vector<float> new_weight = weight_values(after.weights.at("conv.weight"));
  for (std::size_t i = 0; i < old_weight.size(); ++i) {
    const std::size_t channel = i / 9;
    const double exact = old_weight[i] * (scale[channel] / std::sqrt(static_cast<double>(variance[channel]) + 1e-5F));
    EXPECT_NEAR(new_weight[i], exact, kUnitRoundoff * 1.001 * std::fabs(exact)) << i;
  }
}

TEST(FoldBatchNormalization, ResnetLosesAllItsNorms) {
  const Model after = fold_batch_normalization(build_zoo_model("resnet20", 1));
  validate(after);
  EXPECT_EQ(std::ranges::count(after.graph.nodes, Op::BatchNormalization, &Node::op), 0);
  EXPECT_EQ(std::ranges::count(after.graph.nodes, Op::Conv, &Node::op), 19);
  EXPECT_TRUE(after.weights.contains("layer3.2.conv2.bias"));
}

TEST(FoldBatchNormalization, RefusesANegativeVariance) {
  Model model = gemm_and_norm(some_weights(), true);
  std::get<FloatTensor>(model.weights["bn.running_var"]).values[1] = -0.5F;
  test::expect_error(
      ErrorCode::invalid_input,
      "tiny: node \"bn\": variance plus epsilon of channel 1 is not positive (found -0.25, need above 0); check the weights.",
      [&] { (void)fold_batch_normalization(model); });
}

Node dropout(std::string name, std::string from, std::string to) {
  return Node{.name = std::move(name), .op = Op::Dropout, .inputs = {std::move(from)}, .outputs = {std::move(to)}, .attributes = {}};
}

TEST(RemoveTrainingNodes, ReadersReadTheDropoutsInput) {
  const Model before = test::every_operator_model();
  const Model after = remove_training_nodes(before);
  validate(after);
  EXPECT_EQ(after.graph.nodes.size(), before.graph.nodes.size() - 1);
  const auto gap = std::ranges::find(after.graph.nodes, "gap", &Node::name);
  ASSERT_NE(gap, after.graph.nodes.end());
  EXPECT_EQ(gap->inputs[0], "pad");
}

TEST(RemoveTrainingNodes, OutputsKeepTheirNames) {
  Model model = test::tiny_model(some_weights());
  model.graph.nodes[0].outputs = {"product"};
  model.graph.nodes.push_back(dropout("d1", "product", "dropped"));
  model.graph.nodes.push_back(dropout("d2", "dropped", "logits"));
  const Model after = remove_training_nodes(model);
  validate(after);
  EXPECT_EQ(after, test::tiny_model(some_weights()));
}

TEST(RemoveTrainingNodes, AnOutputThatIsTheInputTakesItsName) {
  Model model = test::tiny_model(some_weights());
  model.graph.nodes.push_back(dropout("d", "input", "same"));
  model.graph.outputs = {"logits", "same"};
  const Model after = remove_training_nodes(model);
  validate(after);
  EXPECT_THAT(after.graph.outputs, testing::ElementsAre("logits", "input"));
}

}  // namespace
}  // namespace bitwright
