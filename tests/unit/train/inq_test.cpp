// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/inq/inq.h"

#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <bit>
#include <cmath>
#include <set>

namespace bitwright::inq {
namespace {

using test::error_of;
using test::expect_error;
using ::testing::ElementsAre;

/// One fully connected layer with the given weights, in INQ's charge, and an optimizer.
class OneLayer {
 public:
  OneLayer(const std::vector<float>& weights, InqOptions options, TrainRecipe recipe = {})
      : network_(model_of(weights)), inq_(std::move(options)) {
    inq_.attach(network_, inq_.default_plan(network_));
    optimizer_.emplace(network_, recipe);
  }
  void begin_phase(std::size_t phase) {
    StepContext now = context(phase);
    inq_.begin_phase(now);
  }
  /// One step on a gradient of `value` everywhere.
  void step(std::size_t phase, float value) {
    StepContext now = context(phase);
    for (const Parameter& p : network_.parameters()) p.tensor.mutable_grad() = at::full_like(p.tensor, value).detach();
    inq_.after_backward(now);
    optimizer_->step();
    inq_.after_step(now);
  }
  Metrics end_epoch(std::size_t phase) {
    StepContext now = context(phase);
    Metrics metrics;
    inq_.end_epoch(now, metrics);
    return metrics;
  }
  [[nodiscard]] std::vector<float> weights() const { return tensor_values(network_.parameter("w")); }
  void set_weight(std::size_t index, float value) { float_span(network_.parameter("w").detach())[index] = value; }
  [[nodiscard]] std::vector<at::Tensor> states() const { return optimizer_->state_tensors("w"); }
  Inq& inq() { return inq_; }

 private:
  static Model model_of(const std::vector<float>& weights) {
    const auto size = static_cast<std::int64_t>(weights.size());
    Model model;
    model.graph.name = "one";
    model.graph.inputs = {{"x", Shape{Shape::kDynamic, size}}};
    model.graph.nodes = {{"g", Op::Gemm, {"x", "w", "b"}, {"y"}, {{"transB", std::int64_t{1}}}}};
    model.graph.outputs = {"y"};
    model.weights.emplace("w", FloatTensor{Shape{1, size}, weights});
    model.weights.emplace("b", FloatTensor{Shape{1}, {0.0F}});
    return model;
  }
  StepContext context(std::size_t phase) { return {.network = network_, .optimizer = *optimizer_, .phase = phase, .seed = 1}; }

  Network network_;
  Inq inq_;
  std::optional<Optimizer> optimizer_;
};

InqOptions options_of(int bits, std::vector<std::int64_t> portions_e4) {
  InqOptions options;
  options.bits = bits;
  options.portions_e4 = std::move(portions_e4);
  return options;
}

// Paper page section 4, "worked partition": b = 3, portions .5, .75, 1.
TEST(Inq, WorkedExample) {
  OneLayer layer({0.9F, -0.7F, 0.3F, 0.1F, -0.05F, 0.02F, 0.45F, -0.35F}, options_of(3, {5000, 7500, 10000}));
  layer.begin_phase(0);
  EXPECT_THAT(layer.weights(), ElementsAre(1.0F, -0.5F, 0.3F, 0.1F, -0.05F, 0.02F, 0.5F, -0.5F));
  EXPECT_EQ(layer.end_epoch(0).at("inq.frozen.w"), MetricValue(0.5));
  layer.set_weight(2, 0.8F);
  layer.set_weight(3, 0.7F);
  layer.set_weight(4, -0.65F);
  layer.set_weight(5, 0.2F);
  layer.begin_phase(1);
  EXPECT_THAT(layer.weights(), ElementsAre(1.0F, -0.5F, 1.0F, 0.5F, -0.65F, 0.2F, 0.5F, -0.5F));
  EXPECT_FALSE(layer.inq().settled());
  layer.begin_phase(2);
  EXPECT_THAT(layer.weights(), ElementsAre(1.0F, -0.5F, 1.0F, 0.5F, -0.5F, 0.0F, 0.5F, -0.5F));
  EXPECT_TRUE(layer.inq().settled());
  const auto codes = layer.inq().freeze("w");
  ASSERT_TRUE(codes.has_value());
  EXPECT_EQ(codes->dequantize(), layer.weights());
  EXPECT_EQ(codes->format().spec(), "pow2:3");
  EXPECT_EQ(std::get<PowerOfTwo::Parameters>(codes->parameters()), (PowerOfTwo::Parameters{.exp_max = 0, .exp_min = -1}));
  EXPECT_EQ(layer.inq().freeze("b"), std::nullopt);
}

TEST(Inq, FreeWeightsThatGrowBeyondTheGridSaturate) {
  OneLayer layer({0.9F, 0.5F, 0.25F, 0.1F}, options_of(4, {2500, 10000}));
  layer.begin_phase(0);
  layer.set_weight(1, 1.6F);  // (I4) read literally would make it 0
  layer.set_weight(2, -40.0F);
  layer.begin_phase(1);
  EXPECT_THAT(layer.weights(), ElementsAre(1.0F, 1.0F, -1.0F, 0.125F));
}

TEST(Inq, AllZeroLayerGetsCodesOfZero) {
  OneLayer layer(std::vector<float>(6, 0.0F), options_of(5, {5000, 10000}));
  layer.begin_phase(0);
  layer.step(0, 1.0F);  // free weights move, but there is no exponent to round them to (I8)
  layer.end_epoch(0);
  layer.begin_phase(1);
  for (const float weight : layer.weights()) EXPECT_TRUE(weight == 0.0F || std::abs(weight) == 1.0F) << weight;
  const auto codes = layer.inq().freeze("w");
  ASSERT_TRUE(codes.has_value());
  EXPECT_EQ(codes->dequantize(), layer.weights());
}

TEST(Inq, WeightsThatAreNotFiniteAreRefused) {
  OneLayer layer({0.5F, std::numeric_limits<float>::quiet_NaN()}, options_of(5, {10000}));
  const auto error = error_of([&] { layer.begin_phase(0); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
}

TEST(Inq, SearchedExponentHasTheSmallestError) {
  // b = 2: one magnitude 2^n1. One outlier of 1 fixes n1 = 0 by (I2); the rest around 0.25 wants n1 = -2.
  std::vector<float> values(50, 0.25F);
  values[0] = 1.0F;
  const PowerOfTwo ternary{.bits = 2};
  EXPECT_EQ(choose_exponents(ternary, values, ExponentRule::max), (PowerOfTwo::Parameters{.exp_max = 0, .exp_min = 0}));
  EXPECT_EQ(choose_exponents(ternary, values, ExponentRule::search), (PowerOfTwo::Parameters{.exp_max = -2, .exp_min = -2}));
  // Errors 0 at n1 = 0: the largest candidate wins.
  EXPECT_EQ(choose_exponents(ternary, std::vector<float>{1.0F, 0.0F}, ExponentRule::search), (PowerOfTwo::Parameters{0, 0}));
  EXPECT_EQ(choose_exponents(ternary, std::vector<float>{0.0F, 0.0F}, ExponentRule::search), (PowerOfTwo::Parameters{0, 0}));
}

struct Rule {
  std::string name;
  TrainRecipe recipe;
};

std::vector<Rule> update_rules() {
  TrainRecipe sgd;
  sgd.lr = 0.1;
  sgd.weight_decay = 0.5;
  TrainRecipe nesterov = sgd;
  nesterov.nesterov = true;
  TrainRecipe adam = sgd;
  adam.optimizer = OptimizerKind::adam;
  return {{"Momentum", sgd}, {"Nesterov", nesterov}, {"Adam", adam}};
}

std::vector<float> spread_weights(std::size_t count) {
  std::vector<float> weights(count);
  const Rng rng(5, "spread");
  for (std::size_t i = 0; i < count; ++i) weights[i] = static_cast<float>(0.2 * rng.normal(i));
  return weights;
}

class InqMask : public ::testing::TestWithParam<Rule> {};

// 1003 is no multiple of the masking loop's block.
TEST_P(InqMask, HoldsFrozenWeightsBitForBitAndForgetsTheirState) {
  OneLayer layer(spread_weights(1003), options_of(4, {3000, 6000, 10000}), GetParam().recipe);
  std::int64_t frozen_before = 0;
  for (std::size_t phase = 0; phase < 3; ++phase) {
    layer.begin_phase(phase);
    const std::vector<float> before = layer.weights();
    const std::int64_t count = frozen_count(1003, std::vector<std::int64_t>{3000, 6000, 10000}[phase]);
    for (int step = 0; step < 3; ++step) layer.step(phase, 0.25F);
    const std::vector<float> after = layer.weights();
    std::int64_t held = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const bool same = std::bit_cast<std::uint32_t>(before[i]) == std::bit_cast<std::uint32_t>(after[i]);
      held += same ? 1 : 0;
      for (const at::Tensor& state : layer.states()) {
        EXPECT_EQ(float_span(state)[i] == 0.0F, same) << "state of weight " << i;
      }
    }
    EXPECT_EQ(held, count);
    EXPECT_GT(held, frozen_before);
    frozen_before = held;
    EXPECT_NO_THROW(layer.end_epoch(phase));
  }
  std::set<float> levels;
  for (const float weight : layer.weights()) levels.insert(weight);
  EXPECT_LE(levels.size(), 9U);
}

// Negative test 4 of the paper page: masking the gradient is not enough.
TEST_P(InqMask, TheAssertionFiresWhenOnlyTheGradientIsMasked) {
  InqOptions options = options_of(4, {5000, 10000});
  options.mask_point = MaskPoint::gradient_only;
  OneLayer layer(spread_weights(100), options, GetParam().recipe);
  layer.begin_phase(0);
  layer.step(0, 0.25F);
  const auto error = error_of([&] { layer.end_epoch(0); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::internal);
  EXPECT_TRUE(error->message().starts_with("method inq: frozen weight ")) << error->message();
}

INSTANTIATE_TEST_SUITE_P(Updates, InqMask, ::testing::ValuesIn(update_rules()), [](const auto& param) { return param.param.name; });

TEST(Inq, MomentumAloneMovesFrozenWeightsWithoutTheMask) {
  // No decay: the first phase stores momentum, the second must not feel it.
  TrainRecipe recipe;
  recipe.lr = 0.1;
  OneLayer layer(spread_weights(100), options_of(4, {1000, 10000}), recipe);
  layer.begin_phase(0);
  layer.step(0, 0.25F);
  layer.begin_phase(1);
  for (const float value : float_span(layer.states().at(0))) EXPECT_EQ(value, 0.0F);
  const std::vector<float> before = layer.weights();
  layer.step(1, 0.25F);
  EXPECT_EQ(layer.weights(), before);
}

TEST(Inq, PhasesFollowThePortions) {
  InqOptions options = options_of(5, {5000, 8750, 10000});
  const std::vector<Phase> by_total = Inq(options).phases(7);
  ASSERT_EQ(by_total.size(), 3U);
  EXPECT_EQ(by_total[1].name, "inq 2/3 (87.5 % frozen)");
  EXPECT_EQ(by_total[1].epochs, 2);
  EXPECT_EQ(Inq(options).phases(1)[0].epochs, 1);
  options.epochs_per_portion = 4;
  EXPECT_EQ(Inq(options).phases(1)[2].epochs, 4);
}

TEST(Inq, PlanGivesEachWeightItsOwnBits) {
  MethodRecipe recipe{"inq", {{"bits", std::int64_t{5}}, {"plan", std::vector<std::string>{"conv*=pow2:3", "fc.weight=float"}}}};
  Inq inq(parse_inq_options(recipe));
  Network network(test::tiny_model());
  inq.attach(network, inq.default_plan(network));
  EXPECT_EQ(inq.freeze("conv.weight")->format().spec(), "pow2:3");
  EXPECT_EQ(inq.freeze("fc.weight"), std::nullopt);
  EXPECT_EQ(inq.freeze("bn.weight"), std::nullopt) << "batch norm must stay float";
  const BitPlan wrong({{"*", NumberFormat::parse("ternary")}});
  expect_error(ErrorCode::usage,
               "method inq: the plan gives \"conv.weight\" a format that is not a power of two (found ternary, need pow2:BITS); change it.",
               [&] { inq.attach(network, wrong); });
}

TEST(Inq, OptionsAreChecked) {
  using Options = std::map<std::string, RecipeValue, std::less<>>;
  using Numbers = std::vector<double>;
  using Texts = std::vector<std::string>;
  const std::string where = "recipe: method inq: ";
  const std::vector<std::pair<Options, std::string>> rows = {
      {{{"bits", std::int64_t{1}}}, "bits must be between 2 and 8 (found 1); e.g. bits = 5."},
      {{{"bits", std::int64_t{0}}}, "bits must be between 2 and 8 (found 0); e.g. bits = 5."},
      {{{"bits", std::int64_t{99}}}, "bits must be between 2 and 8 (found 99); e.g. bits = 5."},
      {{{"bits", 5.0}}, "bits has the wrong type (found a number, need an integer); change it."},
      {{{"portions", Numbers{0.5, 0.5, 1}}},
       "portions must increase and end in 1 (found [0.5, 0.5, 1]); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {{{"portions", Numbers{0.5, 0.75}}},
       "portions must increase and end in 1 (found [0.5, 0.75]); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {{{"portions", Numbers{}}}, "portions must increase and end in 1 (found []); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {{{"portions", Numbers{0.5, 2}}}, "portions must increase and end in 1 (found [0.5, 2]); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {{{"portions", Numbers{0.33333, 1}}}, "portions are counted in 1/10000 (found 0.33333); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {{{"portions", std::string("half")}}, "portions has the wrong type (found a string, need a list of numbers); change it."},
      {{{"partition", std::string("largest")}},
       "partition is not known (found \"largest\", need one of: magnitude, random); nearest: random."},
      {{{"exponents", std::string("mx")}}, "exponents is not known (found \"mx\", need one of: max, search); nearest: max."},
      {{{"epochs_per_portion", std::int64_t{0}}}, "epochs_per_portion is out of range (found 0, need 1 to 1000000); change it."},
      {{{"plan", Texts{"conv1"}}}, "plan has a rule that is not PATTERN=FORMAT (found \"conv1\"); e.g. \"conv1.weight=pow2:BITS\"."},
      {{{"plan", Texts{"*=ternary"}}},
       "plan asks for a format that this method does not make (found \"*=ternary\", need pow2:BITS or float); change the rule."},
      {{{"bit", std::int64_t{5}}}, "unknown key \"bit\" (nearest: bits); rename or remove it."},
  };
  for (const auto& [options, message] : rows) {
    const MethodRecipe recipe{"inq", options};
    expect_error(ErrorCode::usage, where + message, [&recipe] { (void)make_method(recipe); });
  }
  const InqOptions defaults = parse_inq_options({"inq", {}});
  EXPECT_EQ(defaults.bits, 5);
  EXPECT_THAT(defaults.portions_e4, ElementsAre(5000, 7500, 8750, 10000));
  EXPECT_EQ(defaults.mask_point, MaskPoint::final_update);
}

TEST(Inq, SavedStateIsTheWholeState) {
  const InqOptions options = options_of(4, {3000, 6000, 10000});
  OneLayer first(spread_weights(100), options);
  first.begin_phase(0);
  first.begin_phase(1);
  StateWriter writer;
  first.inq().save(writer);
  const std::vector<std::byte> bytes = std::move(writer).take();
  OneLayer second(first.weights(), options);
  StateReader reader(bytes, "state");
  second.inq().load(reader);
  reader.finish();
  first.step(1, 0.25F);
  second.step(1, 0.25F);
  EXPECT_EQ(first.weights(), second.weights());
  first.begin_phase(2);
  second.begin_phase(2);
  EXPECT_EQ(first.inq().freeze("w"), second.inq().freeze("w"));
  EXPECT_EQ(second.inq().freeze("w")->dequantize(), second.weights());
}

}  // namespace
}  // namespace bitwright::inq
