// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/ttq/ttq.h"

#include "bitwright/model/zoo.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace bitwright::ttq {
namespace {

using test::error_of;
using test::expect_error;
using ::testing::ElementsAre;

const std::vector<float> kLatent = {0.75F, -0.5F, 0.0625F, -0.03125F, 0.25F, -1.0F, 0.125F, -0.125F};  // worked example 1
const std::vector<float> kGradient = {0.5F, -0.25F, 0.125F, 0.25F, -0.375F, 0.5F, 0.625F, -0.75F};

TtqOptions options_all() {
  TtqOptions options;
  options.layers = Layers::all;
  return options;
}

Model one_layer(const std::vector<float>& weights) {
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

/// One fully connected layer with the given weights, in TTQ's charge, and an optimizer.
class OneLayer {
 public:
  explicit OneLayer(const std::vector<float>& weights, TtqOptions options = options_all(), TrainRecipe recipe = {})
      : network_(one_layer(weights)) {
    methods_.push_back(std::make_unique<Ttq>(std::move(options)));
    ttq().attach(network_, ttq().default_plan(network_));
    optimizer_.emplace(network_, recipe, methods_);
    optimizer_->set_learning_rate(recipe.lr);
    StepContext now = context();
    ttq().begin_phase(now);
  }
  /// One step on the gradient `g` of the ternary weights.
  void step(const std::vector<float>& g) {
    StepContext now = context();
    optimizer_->zero_gradients();
    transformed().backward(to_tensor(Shape{1, static_cast<std::int64_t>(g.size())}, g));
    ttq().after_backward(now);
    optimizer_->step();
    ttq().after_step(now);
  }
  Metrics end_epoch(std::int64_t epoch = 1, double train_loss = 0.5) {
    StepContext now = context();
    now.epoch = epoch;
    Metrics metrics{{"train_loss", train_loss}};
    ttq().end_epoch(now, metrics);
    return metrics;
  }
  [[nodiscard]] at::Tensor transformed() const { return network_.transformed_weight("w", {Mode::train, 0}); }
  [[nodiscard]] std::vector<float> values() const { return tensor_values(transformed()); }
  [[nodiscard]] at::Tensor latent() const { return network_.parameter("w").detach(); }
  [[nodiscard]] at::Tensor scales() const { return ttq().parameters().at(0).tensor; }
  void set_scales(float pos, float neg) const {
    const at::Tensor leaf = scales().detach();
    float_span(leaf)[0] = pos;
    float_span(leaf)[1] = neg;
  }
  [[nodiscard]] Ttq& ttq() const { return static_cast<Ttq&>(*methods_.front()); }
  Network& network() { return network_; }

 private:
  StepContext context() { return {.network = network_, .optimizer = *optimizer_, .seed = 1}; }
  Network network_;
  std::vector<std::unique_ptr<Method>> methods_;
  std::optional<Optimizer> optimizer_;
};

std::vector<float> normal_values(std::size_t count, std::uint64_t seed = 5) {
  std::vector<float> values(count);
  const Rng rng(seed, "ttq_test");
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(0.2 * rng.normal(i));
  return values;
}

// Paper page section 3, worked example 1: all values dyadic, everything exact.
TEST(Ttq, WorkedExample) {
  TtqOptions options = options_all();
  options.threshold_ratio = 0.125;
  TrainRecipe plain;
  plain.momentum = 0.0;
  plain.lr = 1.0;
  OneLayer layer(kLatent, options, plain);
  EXPECT_THAT(tensor_values(layer.scales()), ElementsAre(0.5F, 0.75F));  // the sets' means, section 4.2
  layer.set_scales(1.25F, 0.75F);
  EXPECT_THAT(layer.values(), ElementsAre(1.25F, -0.75F, 0.0F, 0.0F, 1.25F, -0.75F, 0.0F, 0.0F));
  const auto codes = layer.ttq().freeze("w");
  ASSERT_TRUE(codes.has_value());
  EXPECT_THAT(codes->codes(), ElementsAre(1, 2, 0, 0, 1, 2, 0, 0));
  EXPECT_EQ(codes->dequantize(), layer.values());
  const auto parameters = std::get<Ternary::Parameters>(codes->parameters());
  EXPECT_EQ(parameters.threshold, 0.125F);
  EXPECT_EQ(parameters, (Ternary::Parameters{.positive_scale = 1.25F, .negative_scale = 0.75F}));
  const Metrics metrics = layer.end_epoch();
  EXPECT_EQ(metrics.at("ttq.sparsity.w"), MetricValue(0.5));
  EXPECT_EQ(metrics.at("ttq.threshold.w"), MetricValue(0.125));
  EXPECT_EQ(metrics.at("ttq.scale_pos.w"), MetricValue(1.25));
  EXPECT_EQ(metrics.at("ttq.scale_neg.w"), MetricValue(0.75));
  EXPECT_EQ(metrics.at("ttq.max_abs.w"), MetricValue(1.0));
  layer.step(kGradient);  // lr = 1, no momentum, no decay: old - new is the gradient
  std::vector<float> moved = tensor_values(layer.latent());
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = kLatent[i] - moved[i];
  EXPECT_THAT(moved, ElementsAre(0.625F, -0.1875F, 0.125F, 0.25F, -0.46875F, 0.375F, 0.625F, -0.75F));
  EXPECT_THAT(tensor_values(layer.scales()), ElementsAre(1.25F - 0.125F, 0.75F + 0.25F));
}

/// A convolution, batch normalization or nothing, then what tiny_model has but Dropout.
Model tiny_network(bool with_normalization) {
  using Ints = std::vector<std::int64_t>;
  Model model = test::tiny_model();
  model.graph.nodes = {
      {"conv", Op::Conv, {"input", "conv.weight", "conv.bias"}, {"conv"}, {{"kernel_shape", Ints{5, 5}}, {"strides", Ints{3, 3}}}},
      {"relu", Op::Relu, {with_normalization ? "bn" : "conv"}, {"relu"}, {}},
      {"pool", Op::MaxPool, {"relu"}, {"pool"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}},
      {"flatten", Op::Flatten, {"pool"}, {"flatten"}, {}},
      {"fc", Op::Gemm, {"flatten", "fc.weight", "fc.bias"}, {"fc"}, {{"transB", std::int64_t{1}}}},
  };
  if (with_normalization) {
    model.graph.nodes.insert(
        model.graph.nodes.begin() + 1,
        {"bn", Op::BatchNormalization, {"conv", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"}, {"bn"}, {}});
  } else {
    for (const char* name : {"bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"}) model.weights.erase(name);
  }
  validate(model);
  return model;
}

// (T8) on a whole network, with and without batch normalization behind the convolution. Both sides come from one gradient: the left from
// sums in double rounded to float32, the right in double; they differ by less than 3 roundings of the terms' size.
TEST(Ttq, ScaleGradientsSatisfyTheIdentity) {
  for (const bool with_normalization : {false, true}) {
    Network network(tiny_network(with_normalization));
    Ttq ttq(options_all());
    ttq.attach(network, ttq.default_plan(network));
    const FloatTensor images = test::random_weight("images", Shape{16, 1, 28, 28}, 1.0);
    const at::Tensor labels = at::arange(16, at::kLong).remainder(4);
    // A leaf in place of the ternary weights shows their gradient g.
    const at::Tensor values = network.transformed_weight("conv.weight", {}).detach().clone();
    const at::Tensor leaf = values.clone().set_requires_grad(true);
    const auto gradient_by = [&](const at::Tensor& tensor) {
      const at::Tensor logits = network.forward(to_tensor(images.shape, images.values), Mode::train);
      return torch::autograd::grad({at::cross_entropy_loss(logits, labels)}, {tensor})[0].to(at::kDouble);
    };
    const at::Tensor scales = ttq.parameters()[0].tensor;
    const at::Tensor scale_gradient = gradient_by(scales);
    network.set_weight_transform("conv.weight", [&leaf](const at::Tensor&, const PassContext&) { return leaf; });
    const at::Tensor g = gradient_by(leaf);
    const double left = (scales.detach().to(at::kDouble) * scale_gradient).sum().item<double>();
    const at::Tensor terms = values.to(at::kDouble) * g;
    const double size = terms.abs().sum().item<double>();
    const double right = terms.sum().item<double>();
    EXPECT_NEAR(left, right, 3.0 * 0x1p-24 * size) << with_normalization;
    const double scale_size = (scales.detach().to(at::kDouble) * scale_gradient).abs().sum().item<double>();
    if (with_normalization) {
      EXPECT_LE(std::abs(left), 1e-3 * scale_size);
    } else {
      EXPECT_GT(std::abs(left), 1e-2 * scale_size) << "the bound above would hold without batch normalization, too";
    }
  }
}

TEST(Ttq, SparsityKeepsTheLargestAndIsRefreshedOnceAnEpoch) {  // (T2)
  TtqOptions options = options_all();
  options.threshold = ThresholdRule::sparsity;
  options.sparsity_target = 0.5;
  OneLayer layer(kLatent, options);
  const auto zeros = [&layer] { return std::ranges::count(layer.values(), 0.0F); };
  EXPECT_EQ(zeros(), 4);
  EXPECT_EQ(layer.end_epoch().at("ttq.threshold.w"), MetricValue(0.125));
  layer.latent().mul_(0.125);  // inside an epoch the threshold stands
  EXPECT_EQ(zeros(), 8);
  EXPECT_EQ(layer.end_epoch().at("ttq.threshold.w"), MetricValue(0.015625));
  EXPECT_EQ(zeros(), 4);
  OneLayer ties({0.5F, -0.5F, 0.5F, 0.25F}, options);  // two may stay, three are equal: all become zero
  EXPECT_EQ(ties.values(), std::vector<float>(4, 0.0F));
  options.sparsity_target = 0.0;
  OneLayer binary({0.5F, -0.5F, 0.0F, 0.25F}, options);  // only exact zeros are zero
  EXPECT_THAT(binary.values(), ElementsAre(0.375F, -0.5F, 0.0F, 0.375F));
}

TEST(Ttq, RatioFollowsTheLatentWeightsOfEveryStep) {
  OneLayer layer(kLatent);
  const std::vector<float> before = layer.values();
  layer.latent().mul_(0.125);
  EXPECT_EQ(layer.values(), before);
}

TEST(Ttq, ScalesStartAsTheSetsMeansOrAsOne) {
  EXPECT_THAT(tensor_values(OneLayer({0.5F, 0.25F}).scales()), ElementsAre(0.375F, 0.375F));  // an empty set takes the other's mean
  EXPECT_THAT(tensor_values(OneLayer({0.0F, 0.0F}).scales()), ElementsAre(1.0F, 1.0F));
  EXPECT_EQ(OneLayer({0.0F, 0.0F}).values(), std::vector<float>(2, 0.0F));
  const TtqOptions paper = parse_ttq_options({"ttq", {{"preset", std::string("paper")}, {"layers", std::string("all")}}});
  OneLayer ones(kLatent, paper);
  EXPECT_THAT(tensor_values(ones.scales()), ElementsAre(1.0F, 1.0F));
  EXPECT_EQ(ones.ttq().parameters().at(0).weight_decay, 2e-4);
  EXPECT_EQ(OneLayer(kLatent).ttq().parameters().at(0).weight_decay, 0.0);
}

TEST(Ttq, ScalesArePutBackAboveZeroAndCounted) {
  TrainRecipe recipe;
  recipe.lr = 10.0;
  recipe.momentum = 0.0;
  OneLayer layer(kLatent, options_all(), recipe);
  const std::vector<float> first = tensor_values(layer.scales());
  const std::vector<float> up = {1.0F, -1.0F, 0.0F, 0.0F, 1.0F, -1.0F, 0.0F, 0.0F};  // raises the loss with both scales
  layer.step(up);
  EXPECT_THAT(tensor_values(layer.scales()), ElementsAre(static_cast<float>(first[0] * 1e-4), static_cast<float>(first[1] * 1e-4)));
  EXPECT_EQ(layer.end_epoch().at("ttq.projections"), MetricValue(std::int64_t{2}));
  layer.step(std::vector<float>(8, 0.0F));
  EXPECT_EQ(layer.end_epoch().at("ttq.projections"), MetricValue(std::int64_t{2})) << "a scale at its minimum is not below it";
  EXPECT_TRUE(layer.ttq().freeze("w").has_value());

  TtqOptions raw = options_all();
  raw.scales = ScaleGuard::raw;
  OneLayer unguarded(kLatent, raw, recipe);
  unguarded.step(up);
  EXPECT_LT(tensor_values(unguarded.scales())[0], 0.0F);
  const Metrics metrics = unguarded.end_epoch();
  EXPECT_EQ(metrics.at("ttq.negative_scales"), MetricValue(std::int64_t{2}));
  EXPECT_FALSE(metrics.contains("ttq.projections"));
  const auto error = error_of([&] { (void)unguarded.ttq().freeze("w"); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
  EXPECT_TRUE(error->message().starts_with("method ttq: a scale of \"w\" is not above 0 (found -")) << error->message();
}

TEST(Ttq, DecayOfScalesIsItsOwnAndActsOnTheScales) {
  TtqOptions options = options_all();
  options.scale_decay = 0.25;
  options.scale_lr_ratio = 0.5;
  TrainRecipe recipe;
  recipe.lr = 0.5;
  recipe.momentum = 0.0;
  OneLayer layer(kLatent, options, recipe);
  layer.set_scales(1.0F, 2.0F);
  layer.step(std::vector<float>(8, 0.0F));
  EXPECT_THAT(tensor_values(layer.scales()), ElementsAre(1.0F - 0.0625F, 2.0F - 0.125F));
  EXPECT_EQ(tensor_values(layer.latent()), kLatent);
}

TEST(Ttq, BaselineComputesItsScaleEveryStepAndPassesGradientsThrough) {
  TtqOptions options = options_all();
  options.threshold = ThresholdRule::twn;
  TrainRecipe recipe;
  recipe.lr = 1.0;
  recipe.momentum = 0.0;
  OneLayer layer(kLatent, options, recipe);
  EXPECT_TRUE(layer.ttq().parameters().empty());
  EXPECT_THAT(layer.values(), ElementsAre(0.625F, -0.625F, 0.0F, 0.0F, 0.625F, -0.625F, 0.0F, 0.0F));
  EXPECT_EQ(layer.ttq().freeze("w")->dequantize(), layer.values());
  layer.step(kGradient);
  std::vector<float> moved = tensor_values(layer.latent());
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = kLatent[i] - moved[i];
  EXPECT_EQ(moved, kGradient);
  EXPECT_EQ(layer.ttq().freeze("w")->dequantize(), layer.values());
}

std::int64_t ternary_count(const std::string& layers, const std::vector<std::string>& plan = {}) {
  Network network(build_zoo_model("resnet20", 1));
  Ttq ttq(parse_ttq_options({"ttq", {{"layers", layers}, {"plan", plan}}}));
  ttq.attach(network, ttq.default_plan(network));
  return static_cast<std::int64_t>(ttq.parameters().size());
}

TEST(Ttq, LayersAreChosenByOperatorAndPosition) {
  EXPECT_EQ(ternary_count("inner"), 18);
  EXPECT_EQ(ternary_count("all"), 20);
  EXPECT_EQ(ternary_count("all_but_first"), 19);
  EXPECT_EQ(ternary_count("inner", {"layer1.*=float"}), 12);
  EXPECT_EQ(ternary_count("inner", {"linear.weight=ternary:2bit"}), 19);
  Network network(build_zoo_model("lenet5", 1));
  Ttq ttq(TtqOptions{});
  ttq.attach(network, ttq.default_plan(network));
  EXPECT_EQ(ttq.freeze("conv1.weight"), std::nullopt);
  EXPECT_EQ(ttq.freeze("conv2.weight")->format().spec(), "ternary");
  EXPECT_EQ(ttq.freeze("fc1.weight")->format().spec(), "ternary");
  EXPECT_EQ(ttq.freeze("fc2.weight"), std::nullopt);
}

// Negative test 5: a filter that matches nothing must not become a silent float run.
TEST(Ttq, AFilterThatMatchesNothingIsRefused) {
  expect_error(ErrorCode::usage,
               "method ttq: no weight becomes ternary (found 0 of 1, need 1 or more); change layers or plan, e.g. layers = \"all\".",
               [] { const OneLayer layer(kLatent, TtqOptions{}); });
  TtqOptions renamed = options_all();
  renamed.plan = {{"conv*", std::nullopt}};
  expect_error(ErrorCode::usage, "method ttq: a rule of plan matches no weight (found \"conv*\", need one of: w); change its pattern.",
               [&] { const OneLayer layer(kLatent, renamed); });
  Network network(test::tiny_model());
  Ttq ttq(options_all());
  expect_error(ErrorCode::usage,
               "method ttq: the plan gives \"conv.weight\" a format that is not ternary (found pow2:3, need ternary or ternary:2bit); "
               "change it.",
               [&] {
                 ttq.attach(network, BitPlan({{"*", NumberFormat::parse("pow2:3")}}));
               });
}

// Negative test 6: there is no way to evaluate the latent weights; the frozen model gives the very same logits.
TEST(Ttq, EvaluationUsesTheTernaryWeights) {
  Network network(test::tiny_model());
  Ttq ttq(options_all());
  ttq.attach(network, ttq.default_plan(network));
  Network frozen(network.to_model([&](std::string_view weight) { return ttq.freeze(weight); }));
  Network latent(test::tiny_model());
  const FloatTensor images = test::random_weight("images", Shape{8, 1, 28, 28}, 1.0);
  const at::Tensor batch = to_tensor(images.shape, images.values);
  const std::vector<float> logits = tensor_values(network.forward(batch, Mode::eval));
  EXPECT_EQ(logits, tensor_values(frozen.forward(batch, Mode::eval)));
  EXPECT_NE(logits, tensor_values(latent.forward(batch, Mode::eval)));
  const MethodRecipe wish{"ttq", {{"evaluate", std::string("latent")}}};
  const auto error = error_of([&] { (void)make_method(wish); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::usage);
}

/// Fully connected layers of 64 with Relu between, and no batch normalization.
Model deep_model(int layers) {
  using Ints = std::vector<std::int64_t>;
  Model model;
  model.graph.name = "deep";
  model.graph.inputs = {{"input", Shape{Shape::kDynamic, 1, 28, 28}}};
  model.graph.nodes = {{"mean", Op::AveragePool, {"input"}, {"mean"}, {{"kernel_shape", Ints{4, 4}}, {"strides", Ints{4, 4}}}},
                       {"flatten", Op::Flatten, {"mean"}, {"flatten"}, {}}};
  std::string last = "flatten";
  for (int i = 1; i <= layers; ++i) {
    const std::string name = "fc" + std::to_string(i);
    const Shape shape{i == layers ? 4 : 64, i == 1 ? 49 : 64};
    model.graph.nodes.push_back({name, Op::Gemm, {last, name + ".weight", name + ".bias"}, {name}, {{"transB", std::int64_t{1}}}});
    model.weights.emplace(name + ".weight", test::random_weight(name, shape, std::sqrt(2.0 / static_cast<double>(shape[1]))));
    model.weights.emplace(name + ".bias", test::constant_weight(Shape{shape[0]}, 0.0F));
    last = name;
    if (i == layers) break;
    last = "relu" + std::to_string(i);
    model.graph.nodes.push_back({last, Op::Relu, {name}, {last}, {}});
  }
  model.graph.outputs = {last};
  validate(model);
  return model;
}

// Negative test 4: no batch normalization and scales of 1. Every layer multiplies by about 5. With seven layers the first loss is beyond
// any sense; with four it is 81, and one step later the network gives the same answer for every image.
TEST(Ttq, ANetworkThatCannotLearnEndsTheRun) {
  const test::TempFolder folder;
  Recipe recipe = test::tiny_recipe(folder.path());
  for (const int layers : {4, 7}) {
    const std::filesystem::path packed = folder.path() / fmt::format("deep{}.bw", layers);
    save_packed(packed, deep_model(layers));
    recipe.model.from = packed.string();
    recipe.methods = {{"ttq", {{"preset", std::string("paper")}, {"layers", std::string("all")}}}};
    const auto error = error_of([&] { (void)test::train_in(folder.path() / fmt::format("run{}", layers), recipe); });
    ASSERT_TRUE(error.has_value()) << layers;
    EXPECT_EQ(error->code(), ErrorCode::numerical);
    EXPECT_TRUE(error->message().starts_with(layers == 7 ? "method ttq: the loss exploded at step 1 (found "
                                                         : "method ttq: the network is no better than a guess after epoch 2 (found "))
        << error->message();
  }
  // With the default scales the same networks learn.
  recipe.methods = {{"ttq", {{"layers", std::string("all")}, {"scale_lr_ratio", 0.01}}}};
  EXPECT_TRUE(test::train_in(folder.path() / "sane", recipe).completed);
}

TEST(Ttq, ALaterEpochAtChanceLevelEndsTheRun) {
  OneLayer layer(kLatent);
  EXPECT_NO_THROW((void)layer.end_epoch(1, 5.0));  // the first epoch may begin badly
  const auto error = error_of([&] { (void)layer.end_epoch(2, 5.0); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
  EXPECT_TRUE(error->message().starts_with("method ttq: the network is no better than a guess after epoch 2 (found train_loss 5,"))
      << error->message();
}

TEST(Ttq, WhatIsNotFiniteIsRefused) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto at_start = error_of([&] { const OneLayer layer({0.5F, nan}); });
  ASSERT_TRUE(at_start.has_value());
  EXPECT_EQ(at_start->code(), ErrorCode::numerical);
  OneLayer layer(kLatent);
  layer.set_scales(nan, 1.0F);
  const auto scale = error_of([&] { (void)layer.end_epoch(); });
  ASSERT_TRUE(scale.has_value());
  EXPECT_EQ(scale->code(), ErrorCode::numerical);
  OneLayer other(kLatent);
  other.latent().fill_(nan);
  const auto frozen = error_of([&] { (void)other.ttq().freeze("w"); });
  ASSERT_TRUE(frozen.has_value());
  EXPECT_EQ(frozen->code(), ErrorCode::numerical);
}

TEST(Ttq, SavedStateIsTheWholeState) {
  TtqOptions options = options_all();
  options.threshold = ThresholdRule::sparsity;
  TrainRecipe recipe;
  recipe.lr = 0.25;
  recipe.momentum = 0.0;
  OneLayer first(normal_values(1000), options, recipe);
  for (int i = 0; i < 3; ++i) first.step(normal_values(1000, 7));
  (void)first.end_epoch();  // new thresholds, older than the latent weights by the time they are saved
  first.step(normal_values(1000, 9));
  StateWriter writer;
  first.network().save(writer);
  first.ttq().save(writer);
  const std::vector<std::byte> bytes = std::move(writer).take();
  OneLayer second(normal_values(1000), options, recipe);
  StateReader reader(bytes, "state");
  second.network().load(reader);
  second.ttq().load(reader);
  reader.finish();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(first.values(), second.values());
    first.step(normal_values(1000, 8));
    second.step(normal_values(1000, 8));
  }
  EXPECT_EQ(first.end_epoch(), second.end_epoch());
  EXPECT_EQ(first.ttq().freeze("w"), second.ttq().freeze("w"));
}

TEST(Ttq, LayoutIsTheFilesAndChangesNoValue) {
  TtqOptions options = options_all();
  const QuantizedTensor small = *OneLayer(kLatent, options).ttq().freeze("w");
  options.layout = TernaryLayout::two_bits;
  const QuantizedTensor fast = *OneLayer(kLatent, options).ttq().freeze("w");
  EXPECT_EQ(small.format().spec(), "ternary");
  EXPECT_EQ(fast.format().spec(), "ternary:2bit");
  EXPECT_EQ(small.dequantize(), fast.dequantize());
}

TEST(Ttq, OptionsAreChecked) {
  using Options = std::map<std::string, RecipeValue, std::less<>>;
  using Texts = std::vector<std::string>;
  const std::string where = "recipe: method ttq: ";
  const auto text = [](const char* value) { return RecipeValue(std::string(value)); };
  const std::vector<std::pair<Options, std::string>> rows = {
      {{{"threshold", text("twm")}}, "threshold is not known (found \"twm\", need one of: ratio, sparsity, twn); nearest: twn."},
      {{{"threshold_ratio", 1.0}}, "threshold_ratio is out of range (found 1, need 1e-06 to 0.999); change it."},
      {{{"threshold_ratio", 0.0}}, "threshold_ratio is out of range (found 0, need 1e-06 to 0.999); change it."},
      {{{"sparsity_target", 1.0}}, "sparsity_target is out of range (found 1, need 0 to 0.999); change it."},
      {{{"scale_init", text("one")}}, "scale_init is not known (found \"one\", need one of: means, ones); nearest: ones."},
      {{{"scales", text("row")}}, "scales is not known (found \"row\", need one of: projected, raw); nearest: raw."},
      {{{"layers", text("al")}}, "layers is not known (found \"al\", need one of: inner, all, all_but_first); nearest: all."},
      {{{"layout", text("fat")}}, "layout is not known (found \"fat\", need one of: small, fast); nearest: fast."},
      {{{"preset", text("papr")}}, "preset is not known (found \"papr\", need one of: default, paper); nearest: paper."},
      {{{"scale_decay", -1.0}}, "scale_decay is out of range (found -1, need 0 to 1); change it."},
      {{{"plan", Texts{"*=pow2:3"}}},
       "plan asks for a format that this method does not make (found \"*=pow2:3\", need ternary or ternary:2bit or float); change the "
       "rule."},
      {{{"sparsity_target", 0.5}, {"threshold", text("ratio")}},
       "sparsity_target has no meaning where threshold is \"ratio\"; remove one of the two."},
      {{{"threshold_ratio", 0.05}, {"sparsity_target", 0.5}},
       "threshold_ratio has no meaning where threshold is \"sparsity\"; remove one of the two."},
      {{{"threshold", text("twn")}, {"scale_decay", 0.1}}, "scale_decay has no meaning where threshold is \"twn\"; remove one of the two."},
      {{{"threshold_ration", 0.05}}, "unknown key \"threshold_ration\" (nearest: threshold_ratio); rename or remove it."},
  };
  for (const auto& [options, message] : rows) {
    const MethodRecipe recipe{"ttq", options};
    expect_error(ErrorCode::usage, where + message, [&recipe] { (void)make_method(recipe); });
  }
  EXPECT_EQ(parse_ttq_options({"ttq", {{"sparsity_target", 0.25}}}).threshold, ThresholdRule::sparsity);
  const TtqOptions defaults = parse_ttq_options({"ttq", {}});
  EXPECT_EQ(defaults.threshold, ThresholdRule::ratio);
  EXPECT_EQ(defaults.threshold_ratio, 0.05);
  EXPECT_EQ(defaults.scale_init, ScaleInit::means);
  EXPECT_EQ(defaults.scales, ScaleGuard::projected);
  EXPECT_EQ(defaults.scale_decay, 0.0);
  EXPECT_EQ(defaults.scale_lr_ratio, 1.0);
  EXPECT_EQ(defaults.layers, Layers::inner);
  EXPECT_EQ(defaults.layout, TernaryLayout::five_digits);
}

}  // namespace
}  // namespace bitwright::ttq
