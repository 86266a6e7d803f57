// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/network.h"

#include "bitwright/model/zoo.h"
#include "bitwright/runtime/reference.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <set>

namespace bitwright::test {
namespace {

using Ints = std::vector<std::int64_t>;

/// Multiples of 1/8 between -1 and 1: products and sums of a few hundred are exact in float32, in any order.
std::vector<float> eighths(std::string_view purpose, std::size_t count) {
  const Rng rng = Rng(3, "network_test").split(purpose);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = (static_cast<float>(rng.below(i, 17)) - 8.0F) / 8.0F;
  return values;
}

/// Odd multiples of 1/256 between -2 and 2, no two equal and none zero: no tie in MaxPool, no kink of Relu.
std::vector<float> distinct_values(std::size_t count) {
  constexpr std::size_t kPrime = 509;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = (2.0F * static_cast<float>((i * 37 + 11) % kPrime) - 509.0F) / 256.0F;
  return values;
}

Model model_of(std::vector<Node> nodes, const Shape& image, const std::vector<std::pair<std::string, Shape>>& weights) {
  Model model;
  model.graph.name = "test";
  std::vector<std::int64_t> dims = {Shape::kDynamic};
  dims.insert(dims.end(), image.dims().begin(), image.dims().end());
  model.graph.inputs = {{"x", Shape(dims)}};
  model.graph.outputs = {nodes.back().outputs[0]};
  model.graph.nodes = std::move(nodes);
  for (const auto& [name, shape] : weights) {
    model.weights.emplace(name, FloatTensor{shape, eighths(name, static_cast<std::size_t>(shape.element_count()))});
  }
  validate(model);
  return model;
}

struct Case {
  std::string name;
  Model model;
};

std::vector<Case> exact_cases() {
  const auto one = [](Node node, const Shape& image, const std::vector<std::pair<std::string, Shape>>& weights = {}) {
    return model_of({std::move(node)}, image, weights);
  };
  return {
      {"Conv", one({"n", Op::Conv, {"x", "w", "b"}, {"y"}, {{"pads", Ints{1, 1, 1, 1}}}}, {2, 5, 6}, {{"w", {3, 2, 3, 3}}, {"b", {3}}})},
      {"ConvStrideDilationNoBias",
       one({"n", Op::Conv, {"x", "w"}, {"y"}, {{"strides", Ints{2, 1}}, {"dilations", Ints{1, 2}}}}, {1, 7, 9}, {{"w", {4, 1, 3, 3}}})},
      {"ConvUnevenPads",
       one({"n", Op::Conv, {"x", "w", "b"}, {"y"}, {{"pads", Ints{0, 1, 2, 3}}}}, {2, 4, 4}, {{"w", {2, 2, 3, 3}}, {"b", {2}}})},
      {"ConvGroups",
       one({"n", Op::Conv, {"x", "w", "b"}, {"y"}, {{"group", std::int64_t{2}}}}, {4, 5, 5}, {{"w", {6, 2, 3, 3}}, {"b", {6}}})},
      {"Gemm", one({"n", Op::Gemm, {"x", "w", "b"}, {"y"}, {{"transB", std::int64_t{1}}}}, {10}, {{"w", {4, 10}}, {"b", {4}}})},
      {"GemmNoBias", one({"n", Op::Gemm, {"x", "w"}, {"y"}, {{"transB", std::int64_t{1}}}}, {10}, {{"w", {4, 10}}})},
      {"Relu", one({"n", Op::Relu, {"x"}, {"y"}, {}}, {2, 3, 3})},
      {"MaxPool", one({"n", Op::MaxPool, {"x"}, {"y"}, {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}}}, {2, 7, 6})},
      {"MaxPoolCeil",
       one({"n", Op::MaxPool, {"x"}, {"y"}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", std::int64_t{1}}}},
           {2, 6, 6})},
      {"MaxPoolUnevenPadsCeil",
       one({"n",
            Op::MaxPool,
            {"x"},
            {"y"},
            {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 2, 1, 0}}, {"ceil_mode", std::int64_t{1}}}},
           {2, 6, 7})},
      {"AveragePool", one({"n", Op::AveragePool, {"x"}, {"y"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}}, {2, 6, 6})},
      {"AveragePoolCountPads",
       one({"n",
            Op::AveragePool,
            {"x"},
            {"y"},
            {{"kernel_shape", Ints{4, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"count_include_pad", std::int64_t{1}}}},
           {2, 6, 6})},
      {"AveragePoolUnevenPads",
       one({"n", Op::AveragePool, {"x"}, {"y"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 1, 1}}}},
           {2, 5, 5})},
      {"AveragePoolUnevenCountPads",
       one({"n",
            Op::AveragePool,
            {"x"},
            {"y"},
            {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 1, 1}}, {"count_include_pad", std::int64_t{1}}}},
           {2, 5, 5})},
      {"AveragePoolUnevenCountPadsStride1",
       one({"n",
            Op::AveragePool,
            {"x"},
            {"y"},
            {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{1, 1}}, {"pads", Ints{0, 0, 1, 1}}, {"count_include_pad", std::int64_t{1}}}},
           {2, 5, 5})},
      {"AveragePoolUnevenCountPadsCeil", one({"n",
                                              Op::AveragePool,
                                              {"x"},
                                              {"y"},
                                              {{"kernel_shape", Ints{4, 4}},
                                               {"strides", Ints{4, 4}},
                                               {"pads", Ints{0, 0, 1, 1}},
                                               {"ceil_mode", std::int64_t{1}},
                                               {"count_include_pad", std::int64_t{1}}}},
                                             {2, 5, 5})},
      {"GlobalAveragePool", one({"n", Op::GlobalAveragePool, {"x"}, {"y"}, {}}, {3, 4, 4})},
      {"Pad", one({"n", Op::Pad, {"x"}, {"y"}, {{"pads", Ints{0, 1, 0, 2, 0, 2, 1, 0}}, {"value", 0.5F}}}, {2, 3, 3})},
      {"Slice",
       one({"n", Op::Slice, {"x"}, {"y"}, {{"starts", Ints{1, -5}}, {"ends", Ints{100, -1}}, {"axes", Ints{2, 3}}, {"steps", Ints{2, 3}}}},
           {2, 6, 6})},
      {"Flatten", one({"n", Op::Flatten, {"x"}, {"y"}, {}}, {2, 3, 4})},
      {"Add", model_of({{"a", Op::Relu, {"x"}, {"r"}, {}}, {"n", Op::Add, {"x", "r"}, {"y"}, {}}}, {2, 3, 3}, {})},
      {"ConvPoolGemm", model_of({{"c", Op::Conv, {"x", "cw", "cb"}, {"c"}, {}},
                                 {"p", Op::MaxPool, {"c"}, {"p"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}},
                                 {"f", Op::Flatten, {"p"}, {"f"}, {}},
                                 {"g", Op::Gemm, {"f", "gw", "gb"}, {"y"}, {{"transB", std::int64_t{1}}}}},
                                {1, 6, 6}, {{"cw", {3, 1, 3, 3}}, {"cb", {3}}, {"gw", {2, 12}}, {"gb", {2}}})},
  };
}

/// sum_i coefficient_i output_i of the reference, in double.
double reference_sum(const Model& model, const std::vector<float>& input, std::int64_t batch, const std::vector<float>& coefficients) {
  const std::vector<double> output = run_reference(model, input, batch);
  double sum = 0.0;
  for (std::size_t i = 0; i < output.size(); ++i) sum += output[i] * static_cast<double>(coefficients[i]);
  return sum;
}

class NetworkOps : public ::testing::TestWithParam<Case> {};

// Inputs are multiples of 1/256, weights and coefficients of 1/8, windows are averaged over powers of two: float32 makes no rounding error
// and the outputs must be equal. Every operator here is piecewise linear in each single value: a central difference of the reference with
// h = 2^-20 is the derivative itself unless a kink lies within h. Behind a convolution a kink can lie exactly at the point; there the two
// one-sided differences differ, both are right, and the value is passed over.
TEST_P(NetworkOps, OutputAndGradientsEqualTheReference) {
  const Model& model = GetParam().model;
  constexpr std::int64_t kBatch = 2;
  const Shape image = model.graph.inputs[0].shape.with_dim(0, kBatch);
  std::vector<float> input = distinct_values(static_cast<std::size_t>(image.element_count()));
  Network network(model);
  const at::Tensor images = to_tensor(image, input).set_requires_grad(true);
  const at::Tensor output = network.forward(images, Mode::train);
  const std::vector<float> values = tensor_values(output);
  const std::vector<double> expected = run_reference(model, input, kBatch);
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(static_cast<double>(values[i]), expected[i]) << "output " << i;

  const std::vector<float> coefficients = eighths("coefficients", values.size());
  (output * to_tensor(tensor_shape(output), coefficients)).sum().backward();
  constexpr double kStep = 0x1p-20;
  const double here = reference_sum(model, input, kBatch, coefficients);
  int compared = 0;
  const auto check = [&](float& value, float gradient, const Model& changed) {
    const float before = value;
    value = before + static_cast<float>(kStep);
    const double up = (reference_sum(changed, input, kBatch, coefficients) - here) / kStep;
    value = before - static_cast<float>(kStep);
    const double down = (here - reference_sum(changed, input, kBatch, coefficients)) / kStep;
    value = before;
    if (up != down) return;
    ++compared;
    EXPECT_EQ(static_cast<double>(gradient), up);
  };
  const std::vector<float> input_gradient = tensor_values(images.grad());
  for (std::size_t i = 0; i < input.size(); ++i) check(input[i], input_gradient[i], model);
  Model changed = model;
  for (const Parameter& parameter : network.parameters()) {
    const std::vector<float> gradient = tensor_values(parameter.tensor.grad());
    std::vector<float>& weight = std::get<FloatTensor>(changed.weights.at(parameter.name)).values;
    for (std::size_t i = 0; i < weight.size(); ++i) check(weight[i], gradient[i], changed);
  }
  EXPECT_GE(compared, 10);
}

INSTANTIATE_TEST_SUITE_P(Exact, NetworkOps, ::testing::ValuesIn(exact_cases()), [](const auto& param) { return param.param.name; });

// run_reference's bound holds for float32 sums in any order, so for LibTorch too.
class NetworkZoo : public ::testing::TestWithParam<std::string> {};

TEST_P(NetworkZoo, EvaluationIsWithinTheReferencesBound) {
  Model model = build_zoo_model(GetParam(), 5);
  const Shape image = model.graph.inputs[0].shape.with_dim(0, 2);
  std::vector<float> input(static_cast<std::size_t>(image.element_count()));
  const Rng rng(11, "pixels");
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(rng.normal(i));
  Network network(model);
  const std::vector<float> logits = tensor_values(network.forward(to_tensor(image, input), Mode::eval));
  std::vector<double> bound;
  const std::vector<double> expected = run_reference(model, input, 2, &bound);
  ASSERT_EQ(logits.size(), expected.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    EXPECT_LE(std::abs(static_cast<double>(logits[i]) - expected[i]), bound[i]);
    largest = std::max(largest, std::abs(expected[i]));
  }
  EXPECT_GT(largest, 0.0);
}

INSTANTIATE_TEST_SUITE_P(Zoo, NetworkZoo, ::testing::Values("lenet5", "gupta-mnist-cnn", "gupta-cifar-cnn", "resnet20"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(Network, BatchNormalizationTrainsOnTheBatchAndKeepsRunningStatistics) {
  // One channel, batch {0, 2, 4, 6} / 1 x 1 pixels: mean 3, biased variance 5, unbiased 20/3. Scale 2, shift 1.
  Model model = model_of({{"bn", Op::BatchNormalization, {"x", "s", "b", "m", "v"}, {"y"}, {{"epsilon", 0.0F}}}}, {1, 1, 1},
                         {{"s", {1}}, {"b", {1}}, {"m", {1}}, {"v", {1}}});
  model.weights.insert_or_assign("s", constant_weight({1}, 2.0F));
  model.weights.insert_or_assign("b", constant_weight({1}, 1.0F));
  model.weights.insert_or_assign("m", constant_weight({1}, 1.0F));
  model.weights.insert_or_assign("v", constant_weight({1}, 4.0F));
  Network network(model);
  const at::Tensor images = to_tensor({4, 1, 1, 1}, std::vector<float>{0, 2, 4, 6});
  EXPECT_THAT(tensor_values(network.forward(images, Mode::eval)), ::testing::ElementsAre(0.0F, 2.0F, 4.0F, 6.0F));
  const std::vector<float> trained = tensor_values(network.forward(images, Mode::train));
  for (std::size_t i = 0; i < 4; ++i) {
    const double expected = 2.0 * (2.0 * static_cast<double>(i) - 3.0) / std::sqrt(5.0) + 1.0;
    EXPECT_NEAR(trained[i], expected, 8 * 0x1p-24 * 4.0);  // at most 8 roundings of values below 4
  }
  const Model after = network.to_model({});
  EXPECT_NEAR(weight_values(after.weights.at("m"))[0], 0.9 * 1.0 + 0.1 * 3.0, 4 * 0x1p-24 * 2.0);
  EXPECT_NEAR(weight_values(after.weights.at("v"))[0], 0.9 * 4.0 + 0.1 * 20.0 / 3.0, 8 * 0x1p-24 * 8.0);
}

TEST(Network, DropoutIsKeyedBySeedStepAndNode) {
  const Model model = model_of({{"d", Op::Dropout, {"x"}, {"y"}, {{"ratio", 0.25F}}}}, {1000}, {});
  const at::Tensor ones = at::ones({4, 1000});
  Network network(model, {.seed = 1});
  const std::vector<float> first = tensor_values(network.forward(ones, Mode::train, 3));
  EXPECT_EQ(tensor_values(network.forward(ones, Mode::train, 3)), first);
  EXPECT_NE(tensor_values(network.forward(ones, Mode::train, 4)), first);
  Network other(model, {.seed = 2});
  EXPECT_NE(tensor_values(other.forward(ones, Mode::train, 3)), first);
  EXPECT_EQ(tensor_values(network.forward(ones, Mode::eval, 3)), std::vector<float>(4000, 1.0F));
  std::int64_t dropped = 0;
  for (const float value : first) {
    EXPECT_TRUE(value == 0.0F || value == static_cast<float>(1.0 / 0.75)) << value;
    dropped += value == 0.0F ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped), 1000.0, 5 * std::sqrt(4000 * 0.25 * 0.75));
}

TEST(Network, LeavesOutTheSoftmaxThatMakesTheOutput) {
  const Model model = model_of({{"g", Op::Gemm, {"x", "w"}, {"g"}, {{"transB", std::int64_t{1}}}}, {"s", Op::Softmax, {"g"}, {"y"}, {}}},
                               {4}, {{"w", {3, 4}}});
  Network network(model);
  const std::vector<float> ones(4, 1.0F);
  const std::vector<float> logits = tensor_values(network.forward(to_tensor({1, 4}, ones), Mode::eval));
  const std::vector<float> w = weight_values(model.weights.at("w"));
  EXPECT_EQ(logits[0], w[0] + w[1] + w[2] + w[3]);
}

TEST(Network, SeamsChangeWeightsAndOutputs) {
  const Model model = model_of({{"g", Op::Gemm, {"x", "w"}, {"y"}, {{"transB", std::int64_t{1}}}}}, {4}, {{"w", {3, 4}}});
  Network network(model);
  const at::Tensor ones = at::ones({1, 4});
  const std::vector<float> plain = tensor_values(network.forward(ones, Mode::eval));
  network.set_weight_transform("w", [](const at::Tensor& w, const PassContext&) { return w * 2.0; });
  network.set_output_transform("g", [](const at::Tensor& y, const PassContext&) { return y + 1.0; });
  const std::vector<float> changed = tensor_values(network.forward(ones, Mode::eval));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(changed[i], 2.0F * plain[i] + 1.0F);
  network.set_weight_transform("w", {});
  network.set_output_transform("g", {});
  EXPECT_EQ(tensor_values(network.forward(ones, Mode::eval)), plain);
  expect_error(ErrorCode::internal, "network: there is no parameter \"v\".", [&] { network.set_weight_transform("v", {}); });
  expect_error(ErrorCode::internal, "network: there is no node \"h\".", [&] { network.set_output_transform("h", {}); });
}

TEST(Network, ModelComesBackAsItWasAndWithCodes) {
  const Model model = tiny_model();
  Network network(model);
  EXPECT_EQ(network.to_model({}), model);
  EXPECT_EQ(network.weight_names(), (std::vector<std::string>{"conv.weight", "fc.weight"}));
  const Model frozen = network.to_model([&](std::string_view name) -> std::optional<QuantizedTensor> {
    if (name != "fc.weight") return std::nullopt;
    return quantize(NumberFormat::parse("pow2:4"), Shape{4, 64}, tensor_values(network.parameter("fc.weight")));
  });
  EXPECT_TRUE(std::holds_alternative<QuantizedTensor>(frozen.weights.at("fc.weight")));
  EXPECT_TRUE(std::holds_alternative<FloatTensor>(frozen.weights.at("conv.weight")));
  Network again(frozen);
  EXPECT_EQ(tensor_values(again.parameter("fc.weight")), weight_values(frozen.weights.at("fc.weight")));
}

TEST(Network, NamesTheFirstNodeThatIsNotFinite) {
  Model model = tiny_model();
  Network network(model);
  const at::Tensor images = at::ones({2, 1, 28, 28});
  EXPECT_EQ(network.first_not_finite(images, Mode::train), std::nullopt);
  EXPECT_EQ(network.to_model({}), model) << "looking moved the running statistics";
  std::get<FloatTensor>(model.weights.at("fc.bias")).values[1] = std::numeric_limits<float>::infinity();
  Network broken(model);
  EXPECT_EQ(broken.first_not_finite(images, Mode::train), "fc");
}

TEST(Network, BfloatTrainingStaysCloseAndEvaluationIsFloat32) {
  if (usable_precision(Precision::bfloat16) != Precision::bfloat16) GTEST_SKIP() << "this processor has no bfloat16 products";
  const Model model = build_zoo_model("lenet5", 1);
  Network float32(model);
  Network bfloat16(model, {.precision = Precision::bfloat16});
  const Rng rng(11, "pixels");
  std::vector<float> input(8 * 784);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(rng.uniform01(i));
  const at::Tensor images = to_tensor({8, 1, 28, 28}, input);
  EXPECT_EQ(tensor_values(bfloat16.forward(images, Mode::eval)), tensor_values(float32.forward(images, Mode::eval)));
  const at::Tensor wide = float32.forward(images, Mode::train);
  const at::Tensor narrow = bfloat16.forward(images, Mode::train);
  EXPECT_NE(tensor_values(narrow), tensor_values(wide)) << "bfloat16 was not used";
  EXPECT_EQ(narrow.scalar_type(), at::kFloat);
  // Each of four layers rounds inputs, weights and outputs to 8 bits, relative error at most 3 * 2^-9 a layer in the 2-norm of random
  // errors; 12 * 2^-8 leaves a factor of two for the layers' gain of errors against signal.
  const double error = (narrow - wide).norm().item<double>() / wide.norm().item<double>();
  EXPECT_LT(error, 12 * 0x1p-8);
  narrow.sum().backward();
  for (const Parameter& parameter : bfloat16.parameters()) EXPECT_EQ(parameter.tensor.grad().scalar_type(), at::kFloat) << parameter.name;
}

TEST(Tensor, TranslatesWhatLibTorchThrows) {
  const auto error = error_of([] { translate_torch_errors("train", [] { (void)at::ones({2, 3}).matmul(at::ones({2, 3})); }); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::internal);
  EXPECT_TRUE(error->message().starts_with("train: LibTorch refused (")) << error->message();
  EXPECT_TRUE(error->message().ends_with("); report it with the recipe."));
  EXPECT_EQ(error->message().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace bitwright::test
