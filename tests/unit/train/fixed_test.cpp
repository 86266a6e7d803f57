// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/fixed/fixed.h"

#include "bitwright/runtime/session.h"
#include "bitwright/train/methods/fixed/options.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>
#include <sstream>

namespace bitwright::fixed {
namespace {

using test::error_of;
using test::expect_error;
using ::testing::ElementsAre;

constexpr std::int64_t kBatch = 32;
constexpr std::int64_t kFeatures = 16;

/// Two fully connected layers, 16-24-4, weights from N(0, deviation).
Model two_layers(double deviation = 0.3) {
  Model model;
  model.graph.name = "two";
  model.graph.inputs = {{"x", Shape{Shape::kDynamic, kFeatures}}};
  model.graph.nodes = {{"fc1", Op::Gemm, {"x", "w1", "b1"}, {"fc1"}, {{"transB", std::int64_t{1}}}},
                       {"relu", Op::Relu, {"fc1"}, {"relu"}, {}},
                       {"fc2", Op::Gemm, {"relu", "w2", "b2"}, {"fc2"}, {{"transB", std::int64_t{1}}}}};
  model.graph.outputs = {"fc2"};
  model.weights.emplace("w1", test::random_weight("w1", Shape{24, kFeatures}, deviation));
  model.weights.emplace("b1", test::constant_weight(Shape{24}, 0.0F));
  model.weights.emplace("w2", test::random_weight("w2", Shape{4, 24}, deviation));
  model.weights.emplace("b2", test::constant_weight(Shape{4}, 0.0F));
  return model;
}

/// A network in the method's charge and a batch that can be learned: the class is the quarter with the largest pixels.
class Trainee {
 public:
  explicit Trainee(FixedOptions options, TrainRecipe recipe = plain_recipe(), const Model& model = two_layers())
      : network_(model), fixed_(std::move(options)) {
    fixed_.attach(network_, fixed_.default_plan(network_));
    optimizer_.emplace(network_, recipe);
    StepContext now = context();
    fixed_.begin_phase(now);
    const Rng rng(9, "trainee");
    std::vector<float> pixels;
    std::vector<std::int64_t> labels;
    for (std::int64_t n = 0; n < kBatch; ++n) {
      labels.push_back(n % 4);
      for (std::int64_t i = 0; i < kFeatures; ++i) {
        const double noise = rng.uniform01(static_cast<std::uint64_t>(n * kFeatures + i));
        pixels.push_back(static_cast<float>(i / 4 == n % 4 ? 0.4 + 0.6 * noise : 0.6 * noise));
      }
    }
    images = to_tensor(Shape{kBatch, kFeatures}, pixels);
    classes = at::tensor(labels, at::kLong);
  }
  static TrainRecipe plain_recipe() {
    TrainRecipe recipe;
    recipe.lr = 0.1;
    recipe.momentum = 0.0;
    return recipe;
  }
  double step() {
    StepContext now = context();
    const at::Tensor logits = network_.forward(images, Mode::train, step_);
    const at::Tensor task_loss = at::cross_entropy_loss(logits, classes);
    now.images = &images;
    now.labels = &classes;
    now.logits = &logits;
    const at::Tensor loss = fixed_.loss(now, task_loss);
    EXPECT_EQ(loss.item<double>(), task_loss.item<double>()) << "the loss keeps its value";
    loss.backward();
    fixed_.after_backward(now);
    ++step_;
    return loss.item<double>();
  }
  double train(int steps) {
    double loss = 0.0;
    for (int i = 0; i < steps; ++i) loss = step();
    return loss;
  }
  Metrics end_epoch(std::int64_t epoch = 1) {
    StepContext now = context();
    now.epoch = epoch;
    Metrics metrics;
    fixed_.end_epoch(now, metrics);
    return metrics;
  }
  [[nodiscard]] double share(const Metrics& metrics, const std::string& name) const { return std::get<double>(metrics.at(name)); }
  [[nodiscard]] std::vector<std::int32_t> codes(std::string_view name) const {
    const auto tensor = fixed_.freeze(name);
    return {tensor->codes().begin(), tensor->codes().end()};
  }
  at::Tensor evaluate() { return network_.forward(images, Mode::eval); }
  Model frozen() const {
    Model model = network_.to_model([this](std::string_view name) { return fixed_.freeze(name); });
    fixed_.complete(model);
    return model;
  }
  std::vector<std::byte> saved() const {
    StateWriter writer;
    fixed_.save(writer);
    return std::move(writer).take();
  }
  void load(std::span<const std::byte> bytes, std::int64_t step) {
    StateReader reader(bytes, "state");
    fixed_.load(reader);
    reader.finish();
    step_ = step;
  }
  Network& network() { return network_; }
  Fixed& fixed() { return fixed_; }
  StepContext context() { return {.network = network_, .optimizer = *optimizer_, .step = step_, .seed = 3}; }

  at::Tensor images, classes;

 private:
  Network network_;
  Fixed fixed_;
  std::optional<Optimizer> optimizer_;
  std::int64_t step_ = 0;
};

FixedOptions options_of(const FixedPoint& weights, Rounding rounding = Rounding::stochastic) {
  FixedOptions options;
  options.weights = weights;
  options.rounding = rounding;
  return options;
}

TEST(Fixed, TheNetworkHoldsTheValuesOfTheCodesAndNothingElse) {
  Trainee trainee(options_of({2, 14}));
  for (int i = 0; i < 3; ++i) {
    trainee.step();
    for (const char* name : {"w1", "b1", "w2", "b2"}) {
      EXPECT_EQ(tensor_values(trainee.network().parameter(name)), trainee.fixed().freeze(name)->dequantize()) << name;
      EXPECT_EQ(trainee.fixed().freeze(name)->format().spec(), "fixed<2,14>");
    }
  }
  EXPECT_NO_THROW((void)trainee.end_epoch());
  trainee.network().parameter("w1").detach()[0][0] += 1e-6;
  const auto error = error_of([&] { (void)trainee.end_epoch(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->message(), "method fixed: \"w1\" is not the values of its codes after step 3; report it with the recipe.");
}

TEST(Fixed, LearnsWithStochasticRoundingWhereNearestStalls) {
  // <8,8>: lr 0.002 times gradients below 1 is half a step of 2^-8 = 0.0039 and less.
  TrainRecipe recipe = Trainee::plain_recipe();
  recipe.lr = 0.0019;
  Trainee nearest(options_of({8, 8}, Rounding::nearest_down), recipe);
  const std::vector<std::int32_t> before = nearest.codes("w1");
  const double first_loss = nearest.step();
  const double nearest_loss = nearest.train(2999);
  EXPECT_EQ(nearest.codes("w1"), before) << "every update is below half a step";
  EXPECT_EQ(nearest.share(nearest.end_epoch(), "fixed.zero_updates"), 1.0);
  Trainee stochastic(options_of({8, 8}), recipe);
  const double stochastic_loss = stochastic.train(3000);
  EXPECT_GT(nearest_loss, 0.95 * first_loss);
  EXPECT_LT(stochastic_loss, 0.5 * first_loss);
  // Negative test 6: with a float copy of the weights nearest rounding learns. If it did so without, a copy would be hidden somewhere.
  FixedOptions options = options_of({8, 8}, Rounding::nearest_down);
  options.master_copy = MasterCopy::float_weights;
  Trainee with_copy(options, recipe);
  EXPECT_LT(with_copy.train(3000), 0.6 * first_loss);
}

/// Mean loss of 50 steps after 250, every tensor in one 16-bit format.
double late_loss(int frac_bits, Rounding rounding, double lr) {
  FixedOptions options = options_of({16 - frac_bits, frac_bits}, rounding);
  options.outputs = FixedPoint{6, std::min(frac_bits, 10)};
  TrainRecipe recipe = Trainee::plain_recipe();
  recipe.lr = lr;
  Trainee trainee(options, recipe);
  trainee.train(250);
  double sum = 0.0;
  for (int i = 0; i < 50; ++i) sum += trainee.step();
  return sum / 50.0;
}

// The paper's figure in small (negative tests 3 and 7 of the page): to the nearest, every fraction bit less is a loss; stochastic rounding
// is as good at 4 bits as at 14, and only much coarser formats spoil it.
TEST(Fixed, NearestRoundingNeedsFractionBitsThatStochasticRoundingDoesNot) {
  const double finest = late_loss(14, Rounding::stochastic, 0.1);
  EXPECT_LT(finest, 0.1);
  double last = late_loss(14, Rounding::nearest_down, 0.1);
  EXPECT_LT(last, 1.1 * finest);
  for (const int frac_bits : {10, 8, 6, 4}) {
    EXPECT_LT(late_loss(frac_bits, Rounding::stochastic, 0.1), 1.25 * finest) << frac_bits;
    const double nearest = late_loss(frac_bits, Rounding::nearest_down, 0.1);
    EXPECT_GT(nearest, 1.05 * last) << frac_bits;
    last = nearest;
  }
  EXPECT_GT(last, 10.0 * finest);
  EXPECT_GT(late_loss(2, Rounding::stochastic, 0.3), 2.0 * late_loss(8, Rounding::stochastic, 0.3));
}

// Negative test 4: outputs that need more than <2,14>.
TEST(Fixed, CountsWhatSaturatesPerTensorAndAnewEveryEpoch) {
  FixedOptions options = options_of({4, 12});
  options.outputs = {2, 14};
  Trainee trainee(options, Trainee::plain_recipe(), two_layers(1.5));
  trainee.train(3);
  const Metrics metrics = trainee.end_epoch();
  EXPECT_GT(trainee.share(metrics, "fixed.saturated.fc1.output"), 0.01);
  EXPECT_GT(trainee.share(metrics, "fixed.saturated.fc2.output"), 0.01);
  EXPECT_EQ(trainee.share(metrics, "fixed.saturated.input"), 0.0);
  EXPECT_EQ(trainee.share(metrics, "fixed.saturated.loss.error"), 0.0);
  EXPECT_EQ(trainee.share(metrics, "fixed.saturated.w1.update"), 0.0);
  for (const char* name : {"fixed.saturated.w1", "fixed.saturated.b2", "fixed.saturated.b2.update", "fixed.saturated.fc2.input_error",
                           "fixed.zero_updates", "fixed.zero_updates.w1", "fixed.zero_updates.w2"}) {
    EXPECT_TRUE(metrics.contains(name)) << name;
  }
  EXPECT_EQ(std::get<std::string>(metrics.at("fixed.arithmetic")), "exact integer sums");
  const Metrics nothing = trainee.end_epoch();
  EXPECT_FALSE(nothing.contains("fixed.saturated.fc1.output"));
  // Weights at the end of their range.
  FixedOptions narrow = options_of({1, 15});
  Trainee held(narrow, Trainee::plain_recipe(), two_layers(1.5));
  held.train(1);
  EXPECT_GT(held.share(held.end_epoch(), "fixed.saturated.w2"), 0.0);
}

// Negative test 5: weights that want to leave <1,15>. Held at the end of the range they still learn; wrapped around they jump to its other
// end.
TEST(Fixed, SaturationLearnsWhereWrapAroundDiverges) {
  TrainRecipe recipe = Trainee::plain_recipe();
  recipe.lr = 1.0;
  FixedOptions options = options_of({1, 15});
  Trainee saturating(options, recipe);
  const double first_loss = saturating.step();
  const double saturating_loss = saturating.train(1000);
  EXPECT_GT(saturating.share(saturating.end_epoch(), "fixed.saturated.w2"), 0.0) << "no weight reached the end of the range";
  options.overflow = Overflow::wrap;
  Trainee wrapping(options, recipe);
  double worst = 0.0;
  double last = 0.0;
  for (int i = 0; i < 1001; ++i) worst = std::max(worst, last = wrapping.step());
  EXPECT_LT(saturating_loss, 0.2 * first_loss);
  EXPECT_GT(worst, first_loss) << "a network that had learned was never thrown back behind its start";
  EXPECT_GT(last, 5.0 * saturating_loss);
}

TEST(Fixed, TheSwitchChangesNoValueAndNoEvaluation) {
  FixedOptions options = options_of({4, 12});
  options.switch_epoch = 2;
  options.switch_weights = FixedPoint{4, 16};
  TrainRecipe recipe = Trainee::plain_recipe();
  recipe.momentum = 0.9;
  Trainee trainee(options, recipe);
  trainee.train(20);
  (void)trainee.end_epoch(1);
  EXPECT_EQ(trainee.fixed().freeze("w1")->format().spec(), "fixed<4,12>");
  trainee.train(5);
  const std::vector<float> before = trainee.fixed().freeze("w1")->dequantize();
  const at::Tensor logits = trainee.evaluate();
  (void)trainee.end_epoch(2);
  for (const char* name : {"w1", "b1", "w2", "b2"}) EXPECT_EQ(trainee.fixed().freeze(name)->format().spec(), "fixed<4,16>");
  EXPECT_EQ(trainee.fixed().freeze("w1")->dequantize(), before);
  EXPECT_TRUE(at::equal(trainee.evaluate(), logits));
  trainee.train(5);
  // Steps of 2^-16 are taken from now on.
  EXPECT_TRUE(std::ranges::any_of(trainee.codes("w1"), [](std::int32_t code) { return code % 16 != 0; }));
  (void)trainee.end_epoch(3);
}

TEST(Fixed, SavedStateIsTheWholeState) {
  FixedOptions options = options_of({4, 12});
  options.switch_epoch = 1;
  options.switch_weights = FixedPoint{4, 16};
  TrainRecipe recipe = Trainee::plain_recipe();
  recipe.momentum = 0.9;
  for (const bool after_switch : {false, true}) {
    Trainee first(options, recipe);
    first.train(3);
    if (after_switch) (void)first.end_epoch(1);
    first.train(2);
    const std::vector<std::byte> state = first.saved();
    Trainee second(options, recipe);
    second.load(state, 5);
    EXPECT_EQ(first.codes("w1"), second.codes("w1"));
    EXPECT_EQ(first.train(3), second.train(3));
    EXPECT_EQ(first.codes("w1"), second.codes("w1"));
    EXPECT_EQ(first.end_epoch(2), second.end_epoch(2));
    EXPECT_EQ(first.saved(), second.saved());
  }
}

TEST(Fixed, AModelOpenedFromItsCodesEvaluatesToTheSameBits) {
  Trainee trainee(options_of({2, 14}));
  trainee.train(50);
  const Model model = trainee.frozen();
  EXPECT_EQ(std::get<std::string>(model.graph.nodes[0].attributes.at("input_format")), "fixed<6,10>");
  EXPECT_EQ(std::get<std::string>(model.graph.nodes[2].attributes.at("output_format")), "fixed<6,10>");
  EXPECT_EQ(model.notes.at("fixed.arithmetic"), "exact integer sums");
  const at::Tensor logits = trainee.evaluate();
  Network network(model);
  EXPECT_TRUE(at::equal(network.forward(trainee.images, Mode::eval), logits));
  expect_error(
      ErrorCode::unsupported,
      "fixed point: the model computes in fixed point, so only method \"fixed\" trains it; add [[method]] name = \"fixed\", or start "
      "from a float model.",
      [&] { (void)network.forward(trainee.images, Mode::train); });
  // In fixed point, not in float32 on the same weights.
  Model floats = model;
  for (Node& node : floats.graph.nodes) {
    node.attributes.erase("input_format");
    node.attributes.erase("output_format");
  }
  EXPECT_FALSE(at::equal(Network(floats).forward(trainee.images, Mode::eval), logits));
}

TEST(Fixed, TheRuntimesLogitsAreTheSameBits) {
  Trainee trainee(options_of({2, 14}));
  trainee.train(50);
  Session session(trainee.frozen(), {.threads = 1, .batch = kBatch});
  std::vector<float> logits(static_cast<std::size_t>(kBatch * 4));
  session.run(tensor_values(trainee.images), logits);
  EXPECT_EQ(logits, tensor_values(trainee.evaluate()));
}

TEST(Fixed, Float32SumsTrainAsWellAndAreSaidToBeInexact) {
  FixedOptions options = options_of({2, 14});
  options.arithmetic = Arithmetic::float32;
  Trainee trainee(options);
  EXPECT_LT(trainee.train(300), 0.3);
  EXPECT_EQ(std::get<std::string>(trainee.end_epoch().at("fixed.arithmetic")), "float32 sums, inexact");
  EXPECT_EQ(trainee.frozen().notes.at("fixed.arithmetic"), "float32 sums, inexact");
  // What the file holds is evaluated exactly, whatever trained it.
  Network network(trainee.frozen());
  EXPECT_TRUE(at::equal(network.forward(trainee.images, Mode::eval), trainee.evaluate()));
}

TEST(Fixed, TheInitialWeightsAreConvertedOnceOrDrawn) {
  const Trainee own(options_of({2, 14}, Rounding::nearest_down));
  const std::vector<float> values = weight_values(two_layers().weights.at("w1"));
  const std::vector<std::int32_t> codes = own.codes("w1");
  for (std::size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(codes[i], convert(values[i], {2, 14}, {Rounding::nearest_down}, i));
  FixedOptions options = options_of({2, 14});
  options.init_deviation = 0.01;
  const Trainee drawn(options);
  double squares = 0.0;
  for (const std::int32_t code : drawn.codes("w1")) squares += std::pow(code * 0x1.0p-14, 2);
  // Variance of a sample variance of n normal draws: 2 sigma^4 / (n - 1).
  const double n = 24.0 * kFeatures;
  EXPECT_NEAR(squares / n, 1e-4, 5.0 * 1e-4 * std::sqrt(2.0 / (n - 1.0)));
  EXPECT_EQ(drawn.codes("b1"), std::vector<std::int32_t>(24, 0));
}

TEST(Fixed, AnotherLossIsRefused) {
  const std::string need =
      "method fixed: another method changes the loss, but errors here begin as p - onehot of the labels (G4.3); keep method fixed alone.";
  Trainee trainee(options_of({2, 14}));
  StepContext now = trainee.context();
  const at::Tensor logits = trainee.network().forward(trainee.images, Mode::train, 0);
  now.labels = &trainee.classes;
  now.logits = &logits;
  const at::Tensor task_loss = at::cross_entropy_loss(logits, trainee.classes);
  expect_error(ErrorCode::usage, need, [&] { (void)trainee.fixed().loss(now, task_loss * 1.5); });
  const at::Tensor loss = trainee.fixed().loss(now, task_loss) + 0.01 * logits.square().sum();  // a method behind this one
  loss.backward();
  expect_error(ErrorCode::usage, need, [&] { trainee.fixed().after_backward(now); });
}

TEST(Fixed, OptionsAreChecked) {
  using Options = std::map<std::string, RecipeValue, std::less<>>;
  using Texts = std::vector<std::string>;
  const std::string where = "recipe: method fixed: ";
  const std::vector<std::pair<Options, std::string>> rows = {
      {{{"outputs", "fixed<8,12>"}}, "outputs is too wide (found fixed<8,12>, 20 bits, need at most 16); shorten it."},
      {{{"errors", "fixed<1,16>"}}, "errors is too wide (found fixed<1,16>, 17 bits, need at most 16); shorten it."},
      {{{"weights", "fixed<8,20>"}}, "weights is too wide (found fixed<8,20>, 28 bits, need at most 24); shorten it."},
      {{{"weights", "pow2:5"}}, "weights is not a fixed-point format (found pow2:5, need fixed<IL,FL>); e.g. weights = \"fixed<4,12>\"."},
      {{{"plan", Texts{"fc1.weight=float"}}},
       "plan keeps \"fc1.weight\" in float (need fixed<IL,FL>); there is no float weight in this method."},
      {{{"rounding", "up"}}, "rounding is not known (found \"up\", need one of: stochastic, nearest); nearest: nearest."},
      {{{"random_bits", std::int64_t{33}}}, "random_bits is out of range (found 33, need 1 to 32); change it."},
      {{{"random_bits", std::int64_t{8}}, {"rounding", "nearest"}},
       "random_bits needs rounding = \"stochastic\" (found \"nearest\"); remove one of them."},
      {{{"switch_epoch", std::int64_t{3}}}, "switch_epoch needs switch_weights beside it; add it or remove both."},
      {{{"switch_weights", "fixed<4,16>"}}, "switch_weights needs switch_epoch beside it; add it or remove both."},
      {{{"arithmetic", "double"}}, "arithmetic is not known (found \"double\", need one of: exact, float32); nearest: exact."},
  };
  for (const auto& [options, message] : rows) {
    const MethodRecipe recipe{"fixed", options};
    expect_error(ErrorCode::usage, where + message, [&recipe] { (void)make_method(recipe); });
  }
  const FixedOptions defaults = parse_fixed_options({"fixed", {}});
  EXPECT_EQ(defaults.weights, (FixedPoint{2, 14}));
  EXPECT_EQ(defaults.outputs, (FixedPoint{6, 10}));
  EXPECT_EQ(defaults.errors_format(), (FixedPoint{6, 10}));
  EXPECT_EQ(defaults.rounding, Rounding::stochastic);
  EXPECT_EQ(defaults.master_copy, MasterCopy::none);
}

TEST(Fixed, WhatCannotBeTrainedIsRefused) {
  const auto attach = [](FixedOptions options, const Model& model = two_layers()) {
    Network network(model);
    Fixed fixed(std::move(options));
    fixed.attach(network, fixed.default_plan(network));
  };
  FixedOptions updates;
  updates.updates = FixedPoint{4, 12};
  expect_error(ErrorCode::usage,
               "method fixed: updates of \"w1\" have another step than it has (found fixed<4,12> and fixed<2,14>, need equal FL); G16 adds "
               "them without rounding.",
               [&] { attach(updates); });
  FixedOptions coarser;
  coarser.switch_epoch = 1;
  coarser.switch_weights = FixedPoint{4, 12};
  expect_error(ErrorCode::usage,
               "method fixed: switch_weights would lose bits of \"w1\" (found fixed<2,14> to fixed<4,12>, need no smaller IL and FL, G14); "
               "widen it.",
               [&] { attach(coarser); });
  FixedOptions fine_bias;
  fine_bias.weights = {16, 0};
  fine_bias.bias = FixedPoint{4, 12};
  expect_error(ErrorCode::usage,
               "method fixed: the bias of \"fc1\" is finer than its accumulator (found fixed<4,12>, need FL at most 10); shorten it.",
               [&] { attach(fine_bias); });
  TrainRecipe adam;
  adam.optimizer = OptimizerKind::adam;
  expect_error(
      ErrorCode::usage,
      "method fixed: it has its own form of SGD with momentum (G15) and no other; set train.optimizer = \"sgd\" and train.nesterov "
      "= false.",
      [&] { Trainee trainee({}, adam); });
}

TEST(Fixed, PlanGivesEachWeightItsOwnFormat) {
  const MethodRecipe recipe{"fixed", {{"weights", "fixed<4,12>"}, {"plan", std::vector<std::string>{"w2=fixed<2,6>"}}}};
  Trainee trainee(parse_fixed_options(recipe));
  trainee.train(2);
  EXPECT_EQ(trainee.fixed().freeze("w1")->format().spec(), "fixed<4,12>");
  EXPECT_EQ(trainee.fixed().freeze("w2")->format().spec(), "fixed<2,6>");
  EXPECT_EQ(trainee.fixed().freeze("b2")->format().spec(), "fixed<2,6>") << "a bias is as its weights";
}

/// Convolution, Relu, pool, Dropout and a fully connected layer through the whole trainer.
class FixedRun : public ::testing::Test {
 protected:
  test::TempFolder folder;
  Recipe recipe(const std::map<std::string, RecipeValue, std::less<>>& options = {}) {
    Recipe recipe = test::tiny_integer_recipe(folder.path());
    recipe.train.epochs = 4;
    recipe.methods[0].options = options;
    return recipe;
  }
};

TEST_F(FixedRun, OneAndTwoThreadsGiveTheSameFileAndMetrics) {
  Recipe one = recipe();
  Recipe two = recipe();
  two.train.threads = 2;
  const Model first = test::train_in(folder / "1", one).model;
  const Model second = test::train_in(folder / "2", two).model;
  EXPECT_EQ(first.weights, second.weights);
  // The loss is a float32 mean of LibTorch's, which may depend on threads; counters and accuracy may not.
  const auto lines = [this](const char* run) {
    std::vector<nlohmann::json> parsed;
    std::istringstream text(read_text_file(folder / run / "metrics.jsonl"));
    for (std::string line; std::getline(text, line);) {
      parsed.push_back(nlohmann::json::parse(line));
      parsed.back().erase("train_loss");
    }
    return parsed;
  };
  EXPECT_EQ(lines("1"), lines("2"));
}

TEST_F(FixedRun, TheSwitchSurvivesAResumeAtAnyStep) {
  const Recipe switched = recipe({{"weights", "fixed<4,12>"}, {"switch_epoch", std::int64_t{2}}, {"switch_weights", "fixed<4,16>"}});
  const TrainResult whole = test::train_in(folder / "whole", switched);
  EXPECT_EQ(std::get<QuantizedTensor>(whole.model.weights.at("fc.bias")).format().spec(), "fixed<4,16>");
  for (const std::int64_t stop_step : {9, 10, 11}) {  // the second epoch ends with step 10
    std::atomic<bool> stop = false;
    TrainEvents events;
    events.stop_requested = &stop;
    events.on_step = [&](std::int64_t step, double) { stop = step == stop_step; };
    const auto run = folder / std::to_string(stop_step);
    EXPECT_FALSE(test::train_in(run, switched, StartPolicy::fresh, events).completed);
    EXPECT_TRUE(test::train_in(run, switched, StartPolicy::resume).completed);
    EXPECT_EQ(read_file(run / "model.bw"), read_file(folder / "whole/model.bw"));
    EXPECT_EQ(read_text_file(run / "metrics.jsonl"), read_text_file(folder / "whole/metrics.jsonl"));
  }
}

}  // namespace
}  // namespace bitwright::fixed
