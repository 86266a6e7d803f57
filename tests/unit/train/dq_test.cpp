// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/dq.h"

#include "bitwright/data/dataset.h"
#include "bitwright/data/loader.h"
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

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>

namespace bitwright::dq {
namespace {

using test::error_of;
using test::expect_error;
using ::testing::ElementsAre;

DqOptions options_of(int levels, std::optional<std::int64_t> bucket_size) {
  DqOptions options;
  options.levels = levels;
  options.bucket_size = bucket_size;
  return options;
}

TrainRecipe recipe_of(double lr) {
  TrainRecipe recipe;
  recipe.lr = lr;
  recipe.weight_decay = 0.1;
  recipe.bias_weight_decay = 0.1;
  return recipe;
}

/// A network in DQ's charge with an optimizer, and the trainer's step.
class Trained {
 public:
  explicit Trained(DqOptions options, const TrainRecipe& recipe = recipe_of(1e-3), const Model& model = test::tiny_model())
      : network_(model) {
    at::set_num_threads(1);
    auto dq = std::make_unique<Dq>(std::move(options));
    dq->attach(network_, dq->default_plan(network_));
    dq_ = dq.get();
    methods_.push_back(std::move(dq));
    optimizer_.emplace(network_, recipe, methods_);
  }

  void step() {
    StepContext now = context();
    const auto [images, labels] = batch(step_);
    optimizer_->zero_gradients();
    const at::Tensor logits = network_.forward(images, Mode::train, step_);
    now.images = &images;
    now.labels = &labels;
    now.logits = &logits;
    // Another method in the list may have changed the loss before.
    dq_->loss(now, 7.0 * at::cross_entropy_loss(logits, labels)).backward();
    dq_->after_backward(now);
    optimizer_->step();
    dq_->after_step(now);
    ++step_;
  }
  /// One step of the optimizer on a given gradient of the points.
  void step_on(const at::Tensor& gradient) {
    StepContext now = context();
    points().mutable_grad() = gradient.clone();
    optimizer_->step();
    dq_->after_step(now);
  }
  Metrics end_epoch() {
    StepContext now = context();
    Metrics metrics;
    dq_->end_epoch(now, metrics);
    return metrics;
  }
  static std::pair<at::Tensor, at::Tensor> batch(std::int64_t number) {
    const FloatTensor pixels = test::random_weight("batch " + std::to_string(number), Shape{16, 1, 28, 28}, 1.0);
    return {to_tensor(pixels.shape, pixels.values), at::arange(16, at::kLong).remainder(4)};
  }
  [[nodiscard]] Model frozen() const {
    return network_.to_model([this](std::string_view weight) { return dq_->freeze(weight); });
  }
  [[nodiscard]] at::Tensor points() const { return dq_->parameters()[0].tensor; }
  [[nodiscard]] at::Tensor momentum() const { return optimizer_->state_tensors("dq.points").at(0); }
  [[nodiscard]] std::vector<float> parameter(std::string_view name) const { return tensor_values(network_.parameter(name).detach()); }
  Network& network() { return network_; }
  Dq& dq() { return *dq_; }
  [[nodiscard]] std::vector<at::Tensor> states() const { return optimizer_->state_tensors("dq.points"); }

 private:
  StepContext context() { return {.network = network_, .optimizer = *optimizer_, .step = step_, .seed = 1}; }

  Network network_;
  Dq* dq_ = nullptr;
  std::vector<std::unique_ptr<Method>> methods_;
  std::optional<Optimizer> optimizer_;
  std::int64_t step_ = 0;
};

/// One fully connected layer with the given weights.
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

const Codebook::Parameters& parameters_of(const QuantizedTensor& tensor) { return std::get<Codebook::Parameters>(tensor.parameters()); }

// Paper page, section 3: quantile starts of [0, .1, .2, .3, .5, .6, .9, 1] and of a tensor with ties.
TEST(Dq, StartsAtQuantilesAndRepairsRepeatedOnes) {
  const Trained plain(options_of(4, std::nullopt), recipe_of(1e-3), one_layer({0, .1F, .2F, .3F, .5F, .6F, .9F, 1}));
  const auto codes = const_cast<Trained&>(plain).dq().freeze("w");
  ASSERT_TRUE(codes.has_value());
  EXPECT_EQ(codes->format().spec(), "codebook:4");
  const std::vector<float> points = parameters_of(*codes).points;
  const double expected[] = {0, 0.23333, 0.56667, 1};
  for (std::size_t j = 0; j < 4; ++j) EXPECT_NEAR(points[j], expected[j], 5e-6) << j;

  Trained tied(options_of(4, std::nullopt), recipe_of(1e-3), one_layer({0, 0, 0, 0, 0, .5F, 1}));
  const std::vector<float> repaired = parameters_of(*tied.dq().freeze("w")).points;
  const std::set<float> different(repaired.begin(), repaired.end());
  EXPECT_EQ(different.size(), 4U) << "a repeated quantile is a point that no weight ever takes";
}

TEST(Dq, ForwardRunsOnExactlyTheValuesOfTheCodes) {
  Trained job(options_of(5, 64), recipe_of(1e-3));
  for (int step = 0; step < 4; ++step) job.step();
  const Model model = job.frozen();
  Network second(model);
  const at::Tensor images = Trained::batch(99).first;
  EXPECT_TRUE(at::equal(job.network().forward(images, Mode::eval), second.forward(images, Mode::eval)));
  for (const std::string& name : job.network().weight_names()) {
    const auto& codes = std::get<QuantizedTensor>(model.weights.at(name));
    const std::vector<float> weights = job.parameter(name);
    std::vector<std::int32_t> encoded(weights.size());
    codes.format().get_if<Codebook>()->encode(parameters_of(codes), weights, {}, encoded);
    EXPECT_THAT(encoded, ::testing::ElementsAreArray(codes.codes())) << name << ": codes are the nearest points of the frozen weights";
    // Negative test 3 of the paper page: s points, not s intervals.
    const std::set<std::int32_t> used(codes.codes().begin(), codes.codes().end());
    EXPECT_EQ(used.size(), 5U) << name;
  }
  EXPECT_EQ(job.dq().freeze("bn.weight"), std::nullopt);
}

// (D14) through the whole network: dL/dw_q comes from a float network that holds the quantized values.
TEST(Dq, PointsGetTheSumOfTheirCellsGradients) {
  Trained job(options_of(4, 64));
  const Model model = job.frozen();
  Network reference(model);
  const auto [images, labels] = Trained::batch(0);
  at::cross_entropy_loss(reference.forward(images, Mode::train), labels).backward();
  at::cross_entropy_loss(job.network().forward(images, Mode::train), labels).backward();
  const std::vector<float> found = tensor_values(job.points().grad());
  std::size_t first = 0;
  for (const std::string& name : job.network().weight_names()) {
    const auto& codes = std::get<QuantizedTensor>(model.weights.at(name));
    const std::vector<float> g = tensor_values(reference.parameter(name).grad());
    std::vector<double> sums(4, 0.0);
    for (std::size_t i = 0; i < g.size(); ++i) {
      sums[static_cast<std::size_t>(codes.codes()[i])] += double{parameters_of(codes).buckets[i / 64].scale} * g[i];
    }
    // The same operations on the same values: only the last rounding, to float32, is not in `sums`.
    for (std::size_t j = 0; j < 4; ++j) EXPECT_EQ(found[first + j], static_cast<float>(sums[j])) << name << " " << j;
    first += 4;
    EXPECT_FALSE(job.network().parameter(name).grad().defined()) << "nobody needs the frozen weight's gradient";
  }
}

TEST(Dq, SurrogateIsTheFunctionOfThePoints) {
  Trained job(options_of(4, 64));
  const std::vector<at::Tensor> own = {job.points().detach().to(at::kDouble)};
  const at::Tensor latent = job.network().parameter("fc.weight").detach().to(at::kDouble);
  const at::Tensor values = job.dq().surrogate("fc.weight", latent, own);
  const std::vector<float> frozen = job.dq().freeze("fc.weight")->dequantize();
  EXPECT_EQ(values.sizes(), latent.sizes());
  EXPECT_TRUE(at::allclose(values.to(at::kFloat), to_tensor(Shape{4, 64}, frozen), 1e-6, 1e-7));
  EXPECT_TRUE(at::equal(values, job.dq().surrogate("fc.weight", latent + 1.0, own))) << "latent weights are frozen";
}

class DqOptimizer : public ::testing::TestWithParam<OptimizerKind> {};

TEST_P(DqOptimizer, SortingKeepsEachPointsMemory) {
  TrainRecipe recipe = recipe_of(GetParam() == OptimizerKind::sgd ? 0.1 : 0.5);
  recipe.optimizer = GetParam();
  Trained job(options_of(4, std::nullopt), recipe, one_layer({0, .1F, .2F, .3F, .5F, .6F, .9F, 1}));
  job.step_on(to_tensor(Shape{4}, std::vector<float>{0.01F, 0.02F, -0.03F, 0.04F}));
  const std::vector<float> before = tensor_values(job.points().detach());
  std::vector<std::vector<float>> memory;
  for (const at::Tensor& state : job.states()) memory.push_back(tensor_values(state));
  // The first point is pushed beyond the second: the same optimizer by hand, without the sort.
  const std::vector<float> gradient = {-9.0F, 0.5F, 0.0F, 0.1F};
  std::vector<std::pair<float, std::vector<float>>> expected;
  if (GetParam() == OptimizerKind::sgd) {
    for (std::size_t j = 0; j < 4; ++j) {
      const float momentum = static_cast<float>(recipe.momentum) * memory[0][j] + gradient[j];
      expected.push_back({before[j] - static_cast<float>(recipe.lr) * momentum, {momentum}});
    }
  } else {
    for (std::size_t j = 0; j < 4; ++j) {
      const double first = recipe.momentum * memory[0][j] + (1 - recipe.momentum) * gradient[j];
      const double second = 0.999 * memory[1][j] + 0.001 * gradient[j] * gradient[j];
      const double change = first / (1 - std::pow(recipe.momentum, 2)) / (std::sqrt(second / (1 - std::pow(0.999, 2))) + 1e-8);
      expected.push_back({static_cast<float>(before[j] - recipe.lr * change), {static_cast<float>(first), static_cast<float>(second)}});
    }
  }
  job.step_on(to_tensor(Shape{4}, gradient));
  ASSERT_FALSE(std::ranges::is_sorted(expected, {}, [](const auto& pair) { return pair.first; })) << "no points crossed: nothing is tested";
  std::ranges::sort(expected, {}, [](const auto& pair) { return pair.first; });
  const std::vector<float> points = tensor_values(job.points().detach());
  for (std::size_t j = 0; j < 4; ++j) {
    EXPECT_NEAR(points[j], expected[j].first, 1e-5) << j;
    for (std::size_t s = 0; s < job.states().size(); ++s) {
      EXPECT_NEAR(tensor_values(job.states()[s])[j], expected[j].second[s], 1e-5) << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DqOptimizer, ::testing::Values(OptimizerKind::sgd, OptimizerKind::adam),
                         [](const auto& param) { return param.param == OptimizerKind::sgd ? "Sgd" : "Adam"; });

TEST(Dq, TrainsPointsAndNothingElse) {
  Trained job(options_of(4, 64));
  std::map<std::string, std::vector<float>> before;
  for (const Parameter& parameter : job.network().parameters()) before[parameter.name] = job.parameter(parameter.name);
  const std::vector<float> points = tensor_values(job.points().detach());
  const Model start = job.frozen();
  for (int step = 0; step < 3; ++step) job.step();
  EXPECT_NO_THROW(job.end_epoch());
  for (const auto& [name, values] : before) EXPECT_EQ(job.parameter(name), values) << name;
  EXPECT_NE(tensor_values(job.points().detach()), points);
  const Model end = job.frozen();
  EXPECT_NE(weight_values(start.weights.at("bn.running_mean")), weight_values(end.weights.at("bn.running_mean")))
      << "running statistics belong to the result";
}

TEST(Dq, MayTrainBatchNormAndBiasesBesides) {
  DqOptions options = options_of(4, 64);
  options.train_rest = TrainRest::bn_and_bias;
  options.plan = {{"conv.weight", std::nullopt}};
  Trained job(options);
  std::map<std::string, std::vector<float>> before;
  for (const Parameter& parameter : job.network().parameters()) before[parameter.name] = job.parameter(parameter.name);
  for (int step = 0; step < 3; ++step) job.step();
  for (const Parameter& parameter : job.network().parameters()) {
    const bool is_weight = parameter.role == Parameter::Role::weight;  // the one without points too
    EXPECT_EQ(job.parameter(parameter.name) == before[parameter.name], is_weight) << parameter.name;
    EXPECT_EQ(job.dq().owns_update(parameter.name), is_weight);
  }
}

TEST(Dq, NoticesAFrozenWeightThatMoved) {
  Trained job(options_of(4, 64));
  float_span(job.network().parameter("fc.weight").detach())[3] += 0.5F;
  const auto error = error_of([&] { job.end_epoch(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::internal);
  EXPECT_EQ(error->message(), "method dq: a frozen weight of \"fc.weight\" moved by step 0; report it with the recipe.");
}

DqOptions redistributing(Redistribution rule) {
  DqOptions options = options_of(4, 32);
  options.redistribute = rule;
  options.redistribute_batches = 3;
  return options;
}

TEST(Dq, MeasuresPlainGradientsOfTheFloatNetworkAndMovesNothing) {
  DqOptions options = redistributing(Redistribution::gradient_norm);
  options.train_rest = TrainRest::bn_and_bias;
  Trained job(options);
  Network reference(test::tiny_model());
  for (std::int64_t batch = 0; batch < 3; ++batch) {
    const auto [images, labels] = Trained::batch(batch);
    at::cross_entropy_loss(reference.forward(images, Mode::train, batch), labels).backward();  // gradients add up
  }
  const std::vector<float> points = tensor_values(job.points().detach());
  for (int step = 0; step < 3; ++step) {
    EXPECT_FALSE(job.dq().settled()) << "float weights must not pass for quantized ones";
    EXPECT_FALSE(job.end_epoch().contains("dq.levels.fc.weight"));
    EXPECT_EQ(tensor_values(job.points().detach()), points);
    job.step();
  }
  EXPECT_TRUE(job.dq().settled());
  for (const Parameter& parameter : job.network().parameters()) {
    EXPECT_EQ(job.parameter(parameter.name), tensor_values(reference.parameter(parameter.name).detach())) << parameter.name;
  }
  const Metrics metrics = job.end_epoch();
  std::vector<double> norms;
  for (const std::string& name : job.network().weight_names()) {
    norms.push_back(reference.parameter(name).grad().to(at::kDouble).norm().item<double>() / 3);
    // Two sums of three float32 gradients: three roundings of parts no larger than the whole.
    EXPECT_NEAR(std::get<double>(metrics.at("dq.gradient_norm." + name)), norms.back(), 1e-6 * norms.back()) << name;
  }
  const std::vector<int> levels = points_by_gradient_norm(norms, 4);
  EXPECT_NE(levels[0], levels[1]) << "nothing to see";
  EXPECT_EQ(metrics.at("dq.levels.conv.weight"), MetricValue(std::int64_t{levels[0]}));
  EXPECT_EQ(metrics.at("dq.levels.fc.weight"), MetricValue(std::int64_t{levels[1]}));
  EXPECT_EQ(job.dq().freeze("fc.weight")->format().spec(), "codebook:" + std::to_string(levels[1]) + "/32");
  job.step();
  EXPECT_NE(tensor_values(job.points().detach()), points);
}

TEST(Dq, EqualBytesStaysWithinTheBytesOfThePlan) {
  Trained job(redistributing(Redistribution::equal_bytes));
  for (int step = 0; step < 4; ++step) job.step();
  const Metrics metrics = job.end_epoch();
  std::int64_t bytes = 0;
  for (const std::string& name : job.network().weight_names()) {
    const QuantizedTensor codes = *job.dq().freeze(name);
    bytes += (codes.code_size_bits() + codes.parameter_size_bits()) / 8;
  }
  EXPECT_EQ(metrics.at("dq.bytes"), MetricValue(bytes));
  const std::int64_t uniform =
      codebook_bytes({.levels = 4, .bucket_size = 32}, 100) + codebook_bytes({.levels = 4, .bucket_size = 32}, 256);
  EXPECT_EQ(metrics.at("dq.uniform_bytes"), MetricValue(uniform));
  EXPECT_LE(bytes, uniform);
}

TEST(Dq, SavedStateIsTheWholeState) {
  for (const auto rule : {Redistribution::none, Redistribution::gradient_norm, Redistribution::equal_bytes}) {
    for (int steps = 0; steps < 6; ++steps) {
      Trained first(redistributing(rule));
      for (int step = 0; step < steps; ++step) first.step();
      StateWriter writer;
      first.dq().save(writer);
      const std::vector<std::byte> bytes = std::move(writer).take();
      // Attached to a model with other weights: what counts are the checkpoint's.
      Model other = test::tiny_model();
      for (float& value : std::get<FloatTensor>(other.weights.at("conv.weight")).values) value *= -0.5F;
      Trained second(redistributing(rule), recipe_of(1e-3), other);
      StateReader wrong(bytes, "state");
      EXPECT_TRUE(error_of([&] { second.dq().load(wrong); }).has_value());
      const std::span<float> weights = float_span(second.network().parameter("conv.weight").detach());
      std::ranges::copy(first.parameter("conv.weight"), weights.begin());
      StateReader reader(bytes, "state");
      second.dq().load(reader);
      reader.finish();
      EXPECT_EQ(second.dq().settled(), first.dq().settled());
      EXPECT_EQ(tensor_values(first.points().detach()), tensor_values(second.points().detach()));
      for (const std::string& name : first.network().weight_names()) EXPECT_EQ(first.dq().freeze(name), second.dq().freeze(name)) << steps;
    }
  }
}

class DqRun : public test::TempFolderTest {
 protected:
  [[nodiscard]] Recipe recipe(std::map<std::string, RecipeValue, std::less<>> options) const {
    Recipe recipe = test::tiny_recipe(folder());
    recipe.train.epochs = 3;
    recipe.train.lr = 1e-3;
    recipe.methods = {{"dq", std::move(options)}};
    return recipe;
  }
};

TEST_F(DqRun, StoppedAnywhereAndResumedIsAsIfNeverStopped) {
  using test::train_in;
  for (const std::string rule : {"gradient_norm", "equal_bytes"}) {
    Recipe all = recipe({{"levels", std::int64_t{6}}, {"redistribute", rule}, {"train_rest", std::string("bn_and_bias")}});
    train_in(folder() / (rule + "-whole"), all);
    // Before, in, at the end of and after the five measured batches; the end of an epoch among them.
    for (const std::int64_t stop_step : {1, 4, 5, 6, 12}) {
      std::atomic<bool> stop = false;
      TrainEvents events;
      events.stop_requested = &stop;
      events.on_step = [&](std::int64_t step, double) { stop = step == stop_step; };
      const auto run = folder() / (rule + std::to_string(stop_step));
      EXPECT_FALSE(train_in(run, all, StartPolicy::fresh, events).completed);
      EXPECT_TRUE(train_in(run, all, StartPolicy::resume).completed);
      EXPECT_EQ(read_file(run / "model.bw"), read_file(folder() / (rule + "-whole/model.bw")));
      EXPECT_EQ(read_text_file(run / "metrics.jsonl"), read_text_file(folder() / (rule + "-whole/metrics.jsonl")));
    }
  }
}

// Negative test 6 of the paper page: while the network still runs on float weights, its accuracy is not that of a quantized one.
TEST_F(DqRun, AccuracyOfFloatWeightsIsNotCalledAccuracy) {
  const Recipe measuring = recipe({{"redistribute", std::string("equal_bytes")}, {"redistribute_batches", std::int64_t{6}}});
  test::train_in(folder() / "run", measuring);
  const std::vector<Metrics> lines = bitwright::Run::open(folder() / "run").metrics();
  EXPECT_TRUE(lines[0].contains("accuracy_mixed"));
  EXPECT_FALSE(lines[0].contains("accuracy"));
  EXPECT_TRUE(lines[1].contains("accuracy"));
}

/// Mean cross-entropy on the test split.
double test_loss(const Model& model, const std::string& data) {
  Network network(model);
  LoaderOptions options;
  options.batch = 40;
  options.order = LoaderOptions::Order::as_stored;
  Loader loader(open_dataset(data, Split::test), options);
  loader.seek(0, 0);
  const Batch& batch = loader.next();
  const at::Tensor images = at::from_blob(const_cast<float*>(batch.images.data()), {batch.size, 1, 28, 28}, at::kFloat);
  const at::Tensor labels = at::from_blob(const_cast<std::int64_t*>(batch.labels.data()), {batch.size}, at::kLong);
  return at::cross_entropy_loss(network.forward(images, Mode::eval), labels).item<double>();
}

// Negative test 4 of the paper page: points without the running statistics gathered with them.
TEST_F(DqRun, TheResultNeedsItsOwnBatchNormStatistics) {
  Recipe floats = test::tiny_recipe(folder());
  floats.train.epochs = 12;
  const TrainResult teacher = test::train_in(folder() / "float", floats);
  Recipe coarse = recipe({{"bits", std::int64_t{1}}, {"bucket", std::int64_t{0}}});
  coarse.model.from = (folder() / "float/model.bw").string();
  coarse.train.epochs = 6;
  const TrainResult result = test::train_in(folder() / "dq", coarse);
  Model without = result.model;
  for (const std::string name : {"bn.running_mean", "bn.running_var"}) {
    without.weights.insert_or_assign(name, teacher.model.weights.at(name));
  }
  EXPECT_LT(test_loss(result.model, coarse.data.name), 0.9 * test_loss(without, coarse.data.name));
}

TEST(Dq, PlanAndLayersChooseWeights) {
  const MethodRecipe recipe{
      "dq", {{"bits", std::int64_t{3}}, {"bucket", std::int64_t{0}}, {"plan", std::vector<std::string>{"conv*=codebook:7/64"}}}};
  Dq dq(parse_dq_options(recipe));
  Network network(test::tiny_model());
  dq.attach(network, dq.default_plan(network));
  EXPECT_EQ(dq.freeze("conv.weight")->format().spec(), "codebook:7/64");
  EXPECT_EQ(dq.freeze("fc.weight")->format().spec(), "codebook:8");

  DqOptions inner = options_of(16, 256);
  inner.layers = Layers::inner;
  const BitPlan plan = Dq(inner).default_plan(network);
  EXPECT_EQ(plan.format_for("conv.weight"), std::nullopt);
  EXPECT_EQ(plan.format_for("fc.weight"), std::nullopt);
  EXPECT_EQ(plan.format_for("another")->spec(), "codebook:16/256");
  expect_error(ErrorCode::usage, "method dq: the plan leaves every weight in float (found 0 of 2 with points, need at least 1); change it.",
               [&] { dq.attach(network, plan); });
  const BitPlan wrong({{"*", NumberFormat::parse("ternary")}});
  expect_error(ErrorCode::usage,
               "method dq: the plan gives \"conv.weight\" a format without points (found ternary, need codebook:LEVELS/BUCKET); change it.",
               [&] { dq.attach(network, wrong); });
}

TEST(Dq, OptionsAreChecked) {
  using Options = std::map<std::string, RecipeValue, std::less<>>;
  using Numbers = std::vector<double>;
  const std::string where = "recipe: method dq: ";
  const std::vector<std::pair<Options, std::string>> rows = {
      {{{"bits", std::int64_t{0}}}, "bits is out of range (found 0, need 1 to 16); change it."},
      {{{"levels", std::int64_t{1}}}, "levels is out of range (found 1, need 2 to 65536); change it."},
      {{{"bits", std::int64_t{4}}, {"levels", std::int64_t{16}}},
       "bits and levels say the same (found bits = 4 and levels = 16); remove one of them."},
      {{{"bucket", std::int64_t{-1}}}, "bucket is out of range (found -1, need 0 to 2147483648); change it."},
      {{{"layers", std::string("outer")}}, "layers is not known (found \"outer\", need one of: all, inner); nearest: inner."},
      {{{"train_rest", std::string("bn")}}, "train_rest is not known (found \"bn\", need one of: nothing, bn_and_bias); nearest: nothing."},
      {{{"redistribute", std::string("equal_byte")}},
       "redistribute is not known (found \"equal_byte\", need one of: none, gradient_norm, equal_bytes); nearest: equal_bytes."},
      {{{"redistribute_batches", std::int64_t{0}}}, "redistribute_batches is out of range (found 0, need 1 to 1000000); change it."},
      {{{"redistribute_bits", Numbers{}}}, "redistribute_bits is empty (found 0 numbers, need at least 1); e.g. [2, 3, 4, 6, 8]."},
      {{{"redistribute_bits", Numbers{2.5}}}, "redistribute_bits must be whole numbers from 1 to 16 (found 2.5); e.g. [2, 3, 4, 6, 8]."},
      {{{"bits", std::int64_t{1}}, {"redistribute", std::string("gradient_norm")}},
       "redistribute = \"gradient_norm\" needs points to give away (found 2 levels, need at least 4); raise levels."},
      {{{"plan", std::vector<std::string>{"*=ternary"}}},
       "plan asks for a format that this method does not make (found \"*=ternary\", need codebook:LEVELS/BUCKET or float); change the "
       "rule."},
      {{{"level", std::int64_t{5}}}, "unknown key \"level\" (nearest: levels); rename or remove it."},
  };
  for (const auto& [options, message] : rows) {
    const MethodRecipe recipe{"dq", options};
    expect_error(ErrorCode::usage, where + message, [&recipe] { (void)make_method(recipe); });
  }
  const DqOptions defaults = parse_dq_options({"dq", {}});
  EXPECT_EQ(defaults.levels, 16);
  EXPECT_EQ(defaults.bucket_size, 256);
  EXPECT_EQ(parse_dq_options({"dq", {{"bits", std::int64_t{2}}}}).levels, 4);
  EXPECT_EQ(parse_dq_options({"dq", {{"bucket", std::int64_t{0}}}}).bucket_size, std::nullopt);
  EXPECT_THAT(parse_dq_options({"dq", {{"redistribute_bits", Numbers{2, 5}}}}).redistribute_bits, ElementsAre(2, 5));
}

}  // namespace
}  // namespace bitwright::dq
