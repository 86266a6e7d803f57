// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/qd/qd.h"

#include "bitwright/model/zoo.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

namespace bitwright::qd {
namespace {

using test::error_of;
using test::expect_error;
using ::testing::ElementsAre;

constexpr PassContext kTrain{.mode = Mode::train, .step = 0};
constexpr PassContext kEval{.mode = Mode::eval, .step = 0};

at::Tensor leaf(const std::vector<float>& values) {
  return to_tensor(Shape{static_cast<std::int64_t>(values.size())}, values).set_requires_grad(true);
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

/// Values of one tensor after the quantizer, rounded as given.
std::vector<float> rounded(const std::vector<float>& values, Uniform format, Rounding rounding = Rounding::nearest_even,
                           const PassContext& pass = kTrain) {
  BucketQuantizer quantizer({{"w", format, leaf(values)}}, rounding, ScaleGradient::constant);
  return tensor_values(quantizer.value(0, pass));
}

/// Its codes, by the level each value stands for.
std::vector<std::int32_t> codes_of(const std::vector<float>& values, Uniform format, Rounding rounding = Rounding::nearest_even) {
  const QuantizedTensor tensor =
      quantize(format, Shape{static_cast<std::int64_t>(values.size())}, values, {.mode = rounding, .rng = nullptr});
  EXPECT_EQ(bits_of(rounded(values, format, rounding)), bits_of(tensor.dequantize()));
  return {tensor.codes().begin(), tensor.codes().end()};
}

// Paper page section 3, "worked examples".
TEST(QdBuckets, WorkedExamples) {
  const std::vector<float> v = {-0.5F, 0.25F, 0.0F, 1.5F, 0.75F, -0.25F};
  EXPECT_THAT(codes_of(v, {.bits = 2, .bucket_size = 4}), ElementsAre(0, 1, 1, 3, 3, 0));
  EXPECT_THAT(rounded(v, {.bits = 2, .bucket_size = 4}),
              testing::Pointwise(testing::FloatEq(), std::vector<float>{-0.5F, 1.0F / 6, 1.0F / 6, 1.5F, 0.75F, -0.25F}));
  EXPECT_THAT(codes_of(v, {.bits = 2, .bucket_size = {}}), ElementsAre(0, 1, 1, 3, 2, 0));
  EXPECT_THAT(rounded(v, {.bits = 2, .bucket_size = {}}),
              testing::Pointwise(testing::FloatEq(), std::vector<float>{-0.5F, 1.0F / 6, 1.0F / 6, 1.5F, 5.0F / 6, -0.5F}));
  EXPECT_THAT(codes_of({0.0F, 0.5F, 1.0F}, {.bits = 2, .bucket_size = {}}), ElementsAre(0, 2, 3));
  EXPECT_THAT(codes_of({0.0F, 0.5F, 1.0F}, {.bits = 2, .bucket_size = {}}, Rounding::nearest_down), ElementsAre(0, 1, 3));
  EXPECT_THAT(rounded({0.3F, 0.3F, 0.3F}, {.bits = 4, .bucket_size = 2}), ElementsAre(0.3F, 0.3F, 0.3F));
  std::vector<float> outlier;
  for (int i = -8; i <= 7; ++i) outlier.push_back(static_cast<float>(i) * 0.01F);
  outlier.push_back(4.0F);
  const std::vector<std::int32_t> codes = codes_of(outlier, {.bits = 4, .bucket_size = {}});
  EXPECT_EQ(std::ranges::count(codes, 0), 14);
  EXPECT_EQ(std::ranges::count(codes, 1), 2);
  EXPECT_EQ(std::ranges::count(codes, 15), 1);
}

/// Tensors that between them have every special bucket: constant, narrower than 1e-10, both zeros, denormal, of range exactly 1, large.
std::vector<std::vector<float>> special_tensors() {
  std::vector<std::vector<float>> tensors = {{0.75F},
                                             {-0.0F, 0.0F, -0.0F, 0.0F, 0.0F},
                                             {1e-11F, 2e-11F, 0.0F, -3e-11F, 1e-12F, 0.0F, 9.9e-11F},
                                             {1e-42F, -1e-43F, 0.0F, 1e-3F},
                                             {0.25F, 1.25F, 0.75F, 0.5F, 0.75F},
                                             {-1e38F, 1e38F, 3.0F, -7e37F, 0.5F, 1e-20F},
                                             {16777216.0F, 16777218.0F, 16777217.0F, 16777220.0F}};
  for (const std::int64_t size : {1, 3, 63, 64, 65, 255, 256, 257, 1000}) {
    const FloatTensor drawn = test::random_weight("t" + std::to_string(size), Shape{size}, 0.1);
    tensors.push_back(drawn.values);
  }
  std::vector<float> partly(600, 0.125F);  // one bucket of 256 is constant, the next is not
  for (std::size_t i = 300; i < partly.size(); ++i) partly[i] = std::sin(static_cast<float>(i));
  tensors.push_back(partly);
  return tensors;
}

// All tensors go through one quantizer, so that they share a matrix wherever bits and bucket size are equal.
TEST(QdBuckets, ValuesAreTheFormatsBitForBit) {
  const std::vector<std::vector<float>> tensors = special_tensors();
  for (const Rounding rounding : {Rounding::nearest_even, Rounding::nearest_down, Rounding::stochastic}) {
    for (const int bits : {1, 2, 3, 4, 5, 8, 16}) {
      for (const std::int64_t bucket : {0, 1, 4, 64, 256}) {
        const Uniform format{.bits = bits, .bucket_size = bucket > 0 ? std::optional(bucket) : std::nullopt};
        std::vector<BucketQuantizer::Layer> layers;
        for (std::size_t i = 0; i < tensors.size(); ++i) layers.push_back({"w" + std::to_string(i), format, leaf(tensors[i])});
        BucketQuantizer quantizer(layers, rounding, ScaleGradient::constant);
        quantizer.set_seed(11);
        const PassContext pass{.mode = Mode::train, .step = 5};
        for (std::size_t i = 0; i < tensors.size(); ++i) {
          const Rng rng = BucketQuantizer::draws(11, 5, layers[i].name);
          const Shape shape{static_cast<std::int64_t>(tensors[i].size())};
          const QuantizedTensor need = quantize(format, shape, tensors[i], {.mode = rounding, .rng = &rng});
          EXPECT_EQ(bits_of(tensor_values(quantizer.value(i, pass))), bits_of(need.dequantize()))
              << format.spec() << " tensor " << i << " " << rounding_name(rounding);
        }
      }
    }
  }
}

TEST(QdBuckets, ThereAreTwoToTheBitsLevels) {
  const FloatTensor drawn = test::random_weight("levels", Shape{256}, 1.0);
  for (const int bits : {1, 2, 3, 4}) {
    const std::vector<float> values = rounded(drawn.values, {.bits = bits, .bucket_size = 256});
    EXPECT_EQ(std::set<float>(values.begin(), values.end()).size(), std::size_t{1} << bits);
  }
}

TEST(QdBuckets, ErrorIsHalfALevelAndASecondRoundingChangesNothing) {
  const FloatTensor drawn = test::random_weight("error", Shape{1000}, 0.3);
  const Uniform format{.bits = 3, .bucket_size = 64};
  const std::vector<float> once = rounded(drawn.values, format);
  EXPECT_EQ(codes_of(once, format), codes_of(drawn.values, format));
  const auto buckets = format.fit(drawn.values).buckets;
  for (std::size_t i = 0; i < once.size(); ++i) {
    const double scale = buckets[i / 64].scale;
    // Half a level, and the float32 rounding of level, product and sum.
    EXPECT_LE(std::abs(once[i] - drawn.values[i]), scale / 14.0 + 3.0 * 0x1p-24 * 2.0);
  }
}

// (D5), (D6) with the page's case: alpha 2, s = 4, scaled 0.3: f = 0.9, variance 0.04. 4096 buckets of (0, 2, 0.6).
TEST(QdBuckets, StochasticRoundingIsFairAndDrawsByStep) {
  constexpr int kCount = 4096;
  std::vector<float> values;
  for (int i = 0; i < kCount; ++i) values.insert(values.end(), {0.0F, 2.0F, 0.6F});
  BucketQuantizer quantizer({{"w", {.bits = 2, .bucket_size = 3}, leaf(values)}}, Rounding::stochastic, ScaleGradient::constant);
  const auto middle = [&](std::int64_t step, Mode mode) {
    return quantizer.value(0, {.mode = mode, .step = step}).detach().view({-1, 3}).select(1, 2).to(at::kDouble).contiguous();
  };
  const at::Tensor drawn = middle(1, Mode::train);
  EXPECT_NEAR(drawn.mean().item<double>(), 0.6, 5.0 * std::sqrt(0.04 / kCount));
  // The variance of f (1 - f) coin throws has a deviation below 1 / sqrt(n) of itself here: (1 - 2 f)^2 / (f (1 - f)) = 7.1.
  EXPECT_NEAR(drawn.var(false).item<double>(), 0.04, 5.0 * 0.04 * std::sqrt(7.2 / kCount));
  EXPECT_TRUE(at::equal(drawn, middle(1, Mode::train)));
  EXPECT_FALSE(at::equal(drawn, middle(2, Mode::train)));
  EXPECT_TRUE(at::equal(middle(1, Mode::eval), middle(2, Mode::eval)));
  EXPECT_EQ(std::set<double>(drawn.data_ptr<double>(), drawn.data_ptr<double>() + kCount).size(), 2U);
  const std::vector<float> corners = tensor_values(quantizer.value(0, kTrain).detach().view({-1, 3}).slice(1, 0, 2));
  EXPECT_THAT(std::set<float>(corners.begin(), corners.end()), ElementsAre(0.0F, 2.0F)) << "representable values must not move";
}

// (D5) with U equal to the fraction: a strict comparison stays below. 1 bit, range 0 to 1: a weight is its own fraction; of all draws about
// every 256th is a float32.
TEST(QdBuckets, ADrawEqualToTheFractionRoundsDown) {
  std::vector<float> values = {0.0F, 1.0F};
  const Rng rng = BucketQuantizer::draws(3, 7, "w");
  std::vector<std::size_t> equal;
  for (std::size_t i = 2; i < 4096; ++i) {
    const double draw = rng.uniform01(i);
    values.push_back(static_cast<float>(draw));
    if (static_cast<double>(values.back()) == draw) equal.push_back(i);
  }
  ASSERT_GE(equal.size(), 4U);
  BucketQuantizer quantizer({{"w", {.bits = 1, .bucket_size = {}}, leaf(values)}}, Rounding::stochastic, ScaleGradient::constant);
  quantizer.set_seed(3);
  const std::vector<float> found = tensor_values(quantizer.value(0, {.mode = Mode::train, .step = 7}));
  for (const std::size_t i : equal) EXPECT_EQ(found[i], 0.0F) << i;
}

at::Tensor gradient_of(const at::Tensor& weight, Uniform format, ScaleGradient rule, const at::Tensor& g) {
  BucketQuantizer quantizer({{"w", format, weight}}, Rounding::nearest_even, rule);
  return torch::autograd::grad({(quantizer.value(0, kTrain) * g).sum()}, {weight}).at(0);
}

TEST(QdGradient, IsStraightThrough) {
  const FloatTensor drawn = test::random_weight("ste", Shape{300}, 0.2);
  const at::Tensor weight = leaf(drawn.values);
  const at::Tensor g = at::arange(300, at::kFloat) - 100.0;
  EXPECT_TRUE(at::equal(gradient_of(weight, {.bits = 2, .bucket_size = 256}, ScaleGradient::constant, g), g));
}

// Paper page section 4.1.
TEST(QdGradient, ThroughTheScaleWorkedExample) {
  const at::Tensor weight = leaf({-0.5F, 0.25F, 0.0F, 1.5F});
  const at::Tensor found = gradient_of(weight, {.bits = 2, .bucket_size = 4}, ScaleGradient::through, at::ones({4}));
  // codes 0, 1, 1, 3: sum of code / 3 - scaled = (1/3 - 3/8) + (1/3 - 1/4) = 1/24
  EXPECT_THAT(tensor_values(found), testing::Pointwise(testing::FloatEq(), std::vector<float>{23.0F / 24, 1.0F, 1.0F, 25.0F / 24}));
}

TEST(QdGradient, ThroughTheScaleIsTheSurrogatesDerivative) {
  std::vector<float> values = test::random_weight("through", Shape{1, 150}, 0.5).values;
  values[149] = 9.0F;                                          // the last element is the maximum: its fillers must not take the gradient
  std::fill(values.begin() + 64, values.begin() + 128, 0.5F);  // a constant bucket
  Model model;
  model.graph.name = "one";
  model.graph.inputs = {{"x", Shape{Shape::kDynamic, 150}}};
  model.graph.nodes = {{"g", Op::Gemm, {"x", "w", "b"}, {"y"}, {{"transB", std::int64_t{1}}}}};
  model.graph.outputs = {"y"};
  model.weights.emplace("w", FloatTensor{Shape{1, 150}, values});
  model.weights.emplace("b", FloatTensor{Shape{1}, {0.0F}});
  Network network(model);
  QdOptions options;
  options.bits = 3;
  options.bucket = 64;
  options.gradient = ScaleGradient::through;
  Qd method(options);
  method.attach(network, method.default_plan(network));
  const at::Tensor& weight = network.parameter("w");
  const FloatTensor drawn = test::random_weight("g", Shape{1, 150}, 1.0);
  const at::Tensor g = to_tensor(drawn.shape, drawn.values);
  const at::Tensor found = torch::autograd::grad({(network.transformed_weight("w", kTrain) * g).sum()}, {weight}).at(0);
  const at::Tensor latent = weight.detach().to(at::kDouble).clone();
  constexpr double kStep = 0x1p-20;
  for (std::int64_t i = 0; i < latent.numel(); ++i) {
    double& coordinate = latent.data_ptr<double>()[i];
    const double before = coordinate;
    coordinate = before + kStep;
    const double up = (method.surrogate("w", latent, {}) * g).sum().item<double>();
    coordinate = before - kStep;
    const double down = (method.surrogate("w", latent, {}) * g).sum().item<double>();
    coordinate = before;
    // The surrogate is linear in each coordinate. Sums of 150 terms below 30: 150 * 30 * 2^-53 / 2^-20 = 5e-7; the gradient's own float32
    // rounding of values below 4: 2.4e-7.
    EXPECT_NEAR(found.flatten()[i].item<double>(), (up - down) / (2.0 * kStep), 1e-6) << i;
  }
}

/// A quadratic pull of 16 quantized weights to targets whose ends are where the weights' ends are: only what lies between moves.
double distance_after(int steps, double lr, bool write_back) {
  std::vector<float> start(16);
  std::vector<float> target(16);
  for (std::size_t i = 0; i < start.size(); ++i) {
    start[i] = i == 15 ? 1.0F : 0.0F;
    target[i] = static_cast<float>(i) / 15.0F;
  }
  const at::Tensor weight = leaf(start);
  const at::Tensor wanted = to_tensor(Shape{16}, target);
  BucketQuantizer quantizer({{"w", {.bits = 4, .bucket_size = 16}, weight}}, Rounding::nearest_even, ScaleGradient::constant);
  double loss = 0.0;
  for (int step = 0; step < steps; ++step) {
    const at::Tensor value = quantizer.value(0, {.mode = Mode::train, .step = step});
    const at::Tensor distance = (value - wanted).square().sum();
    loss = distance.item<double>();
    const at::Tensor gradient = torch::autograd::grad({distance}, {weight}).at(0);
    const at::NoGradGuard no_grad;
    weight.sub_(gradient, lr);
    if (write_back) weight.copy_(quantizer.value(0, kEval));
  }
  return loss;
}

// Paper page section 7, negative test 2.
TEST(QdTraining, UpdatesOfTheFloatWeightsAddUpAndOfTheRoundedOnesStall) {
  const double begin = distance_after(1, 1e-4, false);
  EXPECT_LT(distance_after(20000, 1e-4, false), 0.02 * begin);
  EXPECT_EQ(distance_after(20000, 1e-4, true), begin);
}

TEST(QdTraining, ForwardUsesTheValuesThatFreezeReturnsInEveryPass) {
  Network network(test::tiny_model());
  Qd method({.bits = 3, .bucket = 32, .plan = {}});
  method.attach(network, method.default_plan(network));
  for (int round = 0; round < 3; ++round) {
    for (const Mode mode : {Mode::train, Mode::train, Mode::eval}) {
      for (const std::string& name : network.weight_names()) {
        const at::Tensor used = network.transformed_weight(name, {.mode = mode, .step = round});
        EXPECT_EQ(tensor_values(used), method.freeze(name)->dequantize()) << name << " in round " << round;
        EXPECT_EQ(used.sizes(), network.parameter(name).sizes());
      }
    }
    const at::NoGradGuard no_grad;  // an update between passes must not be missed, even halfway through a pass
    const PassContext next{.mode = Mode::train, .step = round + 1};
    (void)network.transformed_weight("conv.weight", next);
    for (const std::string& name : network.weight_names()) network.parameter(name).mul_(-1.5);
    EXPECT_EQ(tensor_values(network.transformed_weight("fc.weight", next)), method.freeze("fc.weight")->dequantize());
  }
  EXPECT_FALSE(method.freeze("fc.bias").has_value());
}

TEST(QdTraining, EqualWeightsOfTwoPassesGetGradientsOfTheirOwn) {
  Network network(test::tiny_model());
  Qd method({.gradient = ScaleGradient::through, .plan = {}});
  method.attach(network, method.default_plan(network));
  const at::Tensor images = at::ones({2, 1, 28, 28});
  network.forward(images, Mode::train, 0).sum().backward();
  EXPECT_NO_THROW(network.forward(images, Mode::train, 0).sum().backward());
}

TEST(QdTraining, StochasticRoundingResumesBitForBit) {
  const test::TempFolder folder;
  Recipe recipe = test::tiny_recipe(folder.path());
  recipe.methods = {{"qd", {{"rounding", std::string("stochastic")}, {"bits", std::int64_t{2}}, {"through_scale", true}}}};
  recipe.train.seed = 9;
  test::train_in(folder / "whole", recipe);
  std::atomic<bool> stop = false;
  TrainEvents events;
  events.stop_requested = &stop;
  events.on_step = [&](std::int64_t step, double) { stop = step == 7; };
  EXPECT_FALSE(test::train_in(folder / "cut", recipe, StartPolicy::fresh, events).completed);
  EXPECT_TRUE(test::train_in(folder / "cut", recipe, StartPolicy::resume).completed);
  EXPECT_EQ(read_file(folder / "cut/model.bw"), read_file(folder / "whole/model.bw"));
  EXPECT_EQ(read_text_file(folder / "cut/metrics.jsonl"), read_text_file(folder / "whole/metrics.jsonl"));
}

std::vector<std::string> names_with_codes(const Model& model, LayerChoice choice) {
  const BitPlan plan = plan_of(model.graph, choice, {}, Uniform{}, "test");
  std::vector<std::string> names;
  for (const std::string& name : parameters_in_graph_order(model.graph)) {
    if (plan.format_for(name)) names.push_back(name);
  }
  return names;
}

TEST(QdLayers, AreChosenByOperatorAndPosition) {
  const Model resnet = build_zoo_model("resnet20", 1);
  EXPECT_EQ(names_with_codes(resnet, LayerChoice::all), quantizable_weights(resnet.graph));
  EXPECT_EQ(names_with_codes(resnet, LayerChoice::all).size(), 20U);
  const std::vector<std::string> inner = names_with_codes(resnet, LayerChoice::inner);
  EXPECT_EQ(inner.size(), 18U);
  EXPECT_EQ(inner.front(), "layer1.0.conv1.weight");
  EXPECT_EQ(inner.back(), "layer3.2.conv2.weight");
}

// Paper page section 4.6: the switch leaves out the first weight and the last bias, and keeps the last weight.
TEST(QdLayers, ThePapersSwitchKeepsTheLastWeight) {
  const Model student = build_zoo_model("polino-s3", 1);
  const std::vector<std::string> everything = names_with_codes(student, LayerChoice::everything);
  EXPECT_EQ(everything.size(), 22U);  // four convs, five norms, two fully connected layers, two each
  std::vector<std::string> need(everything.begin() + 1, everything.end() - 1);
  EXPECT_EQ(everything.front(), "conv1.weight");
  EXPECT_EQ(everything.back(), "fc2.bias");
  EXPECT_EQ(names_with_codes(student, LayerChoice::paper), need);
  EXPECT_EQ(need.back(), "fc2.weight");
}

TEST(QdLayers, RulesThatChooseNothingAreRefused) {
  const Model model = test::tiny_model();
  expect_error(ErrorCode::usage, "recipe: method qd: layers = \"inner\" leaves nothing to quantize in tiny; write layers = \"all\".",
               [&] { (void)plan_of(model.graph, LayerChoice::inner, {}, Uniform{}, "recipe: method qd"); });
  expect_error(ErrorCode::usage,
               "recipe: method qd: plan has a rule that matches no weight of tiny (found \"conv9*\"); correct its pattern.", [&] {
                 (void)plan_of(model.graph, LayerChoice::all, {{"conv9*", std::nullopt}}, Uniform{}, "recipe: method qd");
               });
  const BitPlan plan = plan_of(model.graph, LayerChoice::all, {{"fc*", std::nullopt}}, Uniform{}, "test");
  EXPECT_TRUE(plan.format_for("conv.weight").has_value());
  EXPECT_FALSE(plan.format_for("fc.weight").has_value());
}

TEST(QdTraining, PaperLayersGiveBiasesAndNormsCodesThatTheFileHolds) {
  const test::TempFolder folder;
  Recipe recipe = test::tiny_recipe(folder.path());
  recipe.methods = {{"qd", {{"layers", std::string("everything")}, {"bits", std::int64_t{8}}}}};
  const TrainResult result = test::train_in(folder / "run", recipe);
  for (const char* name : {"conv.bias", "bn.weight", "bn.bias", "fc.bias"}) {
    EXPECT_TRUE(std::holds_alternative<QuantizedTensor>(result.model.weights.at(name))) << name;
  }
  EXPECT_TRUE(std::holds_alternative<FloatTensor>(result.model.weights.at("bn.running_var")));
  EXPECT_EQ(load_packed(folder / "run/model.bw"), result.model);
}

TEST(QdOptions, AreRead) {
  const QdOptions options = parse_qd_options({"qd",
                                              {{"bits", std::int64_t{2}},
                                               {"bucket", std::int64_t{0}},
                                               {"rounding", std::string("nearest_down")},
                                               {"layers", std::string("paper")},
                                               {"through_scale", true},
                                               {"plan", std::vector<std::string>{"fc*=uniform:8/64"}}}});
  EXPECT_EQ(options.bits, 2);
  EXPECT_EQ(options.bucket, std::nullopt);
  EXPECT_EQ(options.rounding, Rounding::nearest_down);
  EXPECT_EQ(options.layers, LayerChoice::paper);
  EXPECT_EQ(options.gradient, ScaleGradient::through);
  ASSERT_EQ(options.plan.size(), 1U);
  EXPECT_EQ(options.plan[0].format->spec(), "uniform:8/64");
  EXPECT_EQ(parse_qd_options({"qd", {}}).bucket, 256);
}

TEST(QdOptions, WrongOnesAreRefused) {
  expect_error(ErrorCode::usage, "recipe: method qd: bits is out of range (found 17, need 1 to 16); change it.", [] {
    (void)parse_qd_options({"qd", {{"bits", std::int64_t{17}}}});
  });
  const auto rounding = error_of([] { (void)parse_qd_options({"qd", {{"rounding", std::string("floor")}}}); });
  ASSERT_TRUE(rounding.has_value());
  EXPECT_THAT(rounding->message(), testing::StartsWith("recipe: method qd: rounding is not known (found \"floor\""));
}

}  // namespace
}  // namespace bitwright::qd
