// SPDX-License-Identifier: Apache-2.0
// Every operator on LibTorch against the reference: values, gradients, and a whole encoder through every method.
#include "bitwright/runtime/session.h"
#include "bitwright/train/method.h"
#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/operator_cases.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace bitwright::test {
namespace {

class OperatorOnTorch : public ::testing::TestWithParam<OperatorCase> {};

// The reference's bound holds for float32 in any order of summation, and so for LibTorch; its functions are within R10 like oneDNN's.
TEST_P(OperatorOnTorch, IsWithinTheReferencesBound) {
  const Model& model = GetParam().model;
  for (const std::int64_t batch : {1, 3}) {
    const Shape shape = model.graph.inputs[0].shape.with_dim(0, batch);
    const std::vector<float> input = normals("input", shape.element_count());
    Network network(model);
    for (const Mode mode : {Mode::eval, Mode::train}) {
      const at::Tensor output = network.forward(to_tensor(shape, input), mode);
      expect_close(tensor_values(output), model, input, batch, Sharpness::sharp);
      if (HasFatalFailure()) return;
    }
  }
}

/// Outputs weighted by `coefficients`: their sum, and the sum of the absolute terms.
std::vector<double> weighted_outputs(const Model& model, const std::vector<float>& input, const std::vector<float>& coefficients) {
  std::vector<double> outputs = run_reference(model, input, 2);
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] *= static_cast<double>(coefficients[i]);
  return outputs;
}

/// Slopes of a sum to the right and to the left of a coordinate's value, and the size of the terms of the one to the right.
struct Slopes {
  double right = 0.0;
  double left = 0.0;
  double size = 0.0;
};

template <typename Evaluate>
Slopes slopes_at(float& coordinate, float step, const std::vector<double>& here, Evaluate evaluate) {
  const float before = coordinate;
  coordinate = before + step;
  const double ahead = static_cast<double>(coordinate) - before;
  const std::vector<double> up = evaluate();
  coordinate = before - step;
  const double behind = static_cast<double>(before) - coordinate;
  const std::vector<double> down = evaluate();
  coordinate = before;
  Slopes slopes;
  for (std::size_t i = 0; i < up.size(); ++i) {
    slopes.right += (up[i] - here[i]) / ahead;
    slopes.left += (here[i] - down[i]) / behind;
    slopes.size += std::abs(up[i] - here[i]) / ahead;
  }
  return slopes;
}

// The mean of both slopes errs by less than their distance: by half of it where a kink lies between the points, by terms of order h of it
// where there is none. Autograd itself rounds: at most 2^12 roundings pass any term of these small graphs, 2^-12 of the terms' size; paths
// that cancel, as in x / |x|, leave 2^-20 of the outputs. Where a kink makes the distance large nothing is learnt, and the coordinate is
// passed over.
TEST_P(OperatorOnTorch, GradientsAreTheDerivatives) {
  constexpr float kStep = 0x1p-12F;
  Model model = GetParam().model;
  const Shape shape = model.graph.inputs[0].shape.with_dim(0, 2);
  std::vector<float> input = normals("gradient input", shape.element_count());
  Network network(model);
  const at::Tensor images = to_tensor(shape, input).set_requires_grad(true);
  const at::Tensor output = network.forward(images, Mode::train);
  const std::vector<float> coefficients = normals("coefficients", output.numel());
  (output * to_tensor(tensor_shape(output), coefficients)).sum().backward();
  const auto evaluate = [&] { return weighted_outputs(model, input, coefficients); };
  const std::vector<double> here = evaluate();
  double outputs = 0.0;
  for (const double value : here) outputs += std::abs(value);
  int compared = 0;
  int looked_at = 0;
  const auto check = [&](std::vector<float>& values, const at::Tensor& gradient, const std::string& name) {
    ASSERT_TRUE(gradient.defined()) << name << " gets no gradient";
    const std::vector<float> found = tensor_values(gradient);
    const std::size_t stride = std::max<std::size_t>(1, values.size() / 6);
    for (std::size_t i = 0; i < values.size(); i += stride) {
      const Slopes slopes = slopes_at(values[i], kStep, here, evaluate);
      const double distance = std::abs(slopes.right - slopes.left);
      ++looked_at;
      if (distance > 0.02 * slopes.size) continue;
      ++compared;
      EXPECT_NEAR(found[i], (slopes.right + slopes.left) / 2.0, distance + 0x1p-12 * slopes.size + 0x1p-20 * outputs)
          << name << " at " << i;
    }
  };
  check(input, images.grad(), "input");
  for (const Parameter& parameter : network.parameters()) {
    check(std::get<FloatTensor>(model.weights.at(parameter.name)).values, parameter.tensor.grad(), parameter.name);
  }
  EXPECT_GE(2 * compared, looked_at);
}

INSTANTIATE_TEST_SUITE_P(All, OperatorOnTorch, ::testing::ValuesIn(operator_cases()), [](const auto& param) { return param.param.name; });

TEST(OperatorOnTorch, ExponentsAreNotTrained) {
  GraphMaker maker(Shape{4});
  const std::string power = maker.node(Op::Pow, {"input", constant_operand(maker, Shape{}, 2.0)});
  const std::string out = maker.node(Op::Mul, {power, constant_operand(maker, Shape{4}, 0.5)});
  const Model model = std::move(maker).finish(out);
  const Network network(model);
  ASSERT_EQ(network.parameters().size(), 1U);
  EXPECT_EQ(network.parameters()[0].name, "c1");
  EXPECT_EQ(network.parameters()[0].role, Parameter::Role::other);
  EXPECT_EQ(network.to_model({}), model);
}

/// An encoder that reads the rows of an image as tokens, in the place of the tiny model.
Model tiny_encoder() {
  GraphMaker maker(Shape{1, 28, 28});
  std::string tokens = maker.node(Op::Reshape, {"input"}, {{"shape", OperatorInts{0, 28, 28}}});
  const auto linear = [&maker](const std::string& src, std::int64_t in, std::int64_t out) {
    return maker.node(Op::Add, {maker.node(Op::MatMul, {src, maker.weight("w", Shape{in, out}, 0.0, 0.2)}), maker.weight("b", Shape{out})});
  };
  tokens = linear(tokens, 28, 8);
  const std::string normal =
      maker.node(Op::LayerNormalization, {tokens, maker.weight("s", Shape{8}, 1.0, 0.1), maker.weight("b", Shape{8})});
  const std::string keys = maker.node(Op::Transpose, {linear(normal, 8, 8)}, {{"perm", OperatorInts{0, 2, 1}}});
  const std::string scores = maker.node(Op::Softmax, {maker.node(Op::MatMul, {linear(normal, 8, 8), keys})}, {{"axis", std::int64_t{-1}}});
  tokens = maker.node(Op::Add, {tokens, maker.node(Op::MatMul, {scores, normal})});
  tokens = maker.node(Op::Add, {tokens, linear(maker.node(Op::Gelu, {linear(tokens, 8, 16)}), 16, 8)});
  tokens = maker.node(Op::LayerNormalization, {tokens, maker.weight("s", Shape{8}, 1.0, 0.1), maker.weight("b", Shape{8})});
  const std::string pooled = maker.node(Op::Reshape, {tokens}, {{"shape", OperatorInts{0, -1}}});
  // Small: a classifier that begins with a guess.
  const std::string out =
      maker.node(Op::Gemm, {pooled, maker.weight("w", Shape{4, 224}, 0.0, 0.02), maker.weight("b", Shape{4}, 0.0, 0.01)},
                 {{"transB", std::int64_t{1}}});
  return std::move(maker).finish(out);
}

class EncoderByMethod : public ::testing::TestWithParam<std::string> {};

TEST_P(EncoderByMethod, IsTrainedQuantizedPackedAndRun) {
  const TempFolder folder;
  save_packed(folder.path() / "encoder.bw", tiny_encoder());
  Recipe recipe = tiny_recipe(folder.path());
  recipe.model.from = (folder.path() / "encoder.bw").string();
  recipe.train.epochs = 3;
  recipe.train.lr = 0.005;
  recipe.data.name = "synthetic:4:320:40:3";
  recipe.methods = {tiny_method(GetParam())};
  if (GetParam() == "ttq") recipe.methods[0].options.insert_or_assign("scale_init", std::string("means"));
  if (GetParam() == "fixed") {
    const auto error = error_of([&] { (void)train_in(folder.path() / "run", recipe); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->message().find('\n'), std::string::npos) << error->message();
    EXPECT_NE(error->message().find("Reshape"), std::string::npos) << error->message();
    return;
  }
  const TrainResult result = train_in(folder.path() / "run", recipe);
  for (const std::string& name : quantizable_weights(result.model.graph)) {
    const bool has_codes = std::holds_alternative<QuantizedTensor>(result.model.weights.at(name));
    EXPECT_EQ(has_codes, GetParam() != "distill") << name;
  }
  // What training evaluates is what the file runs.
  Session session = Session::open(folder.path() / "run/model.bw", {.threads = 1, .batch = 2});
  const std::vector<float> images = random_input(session);
  Network network(result.model);
  const std::vector<float> trained = tensor_values(network.forward(to_tensor(Shape{2, 1, 28, 28}, images), Mode::eval));
  const std::vector<float> run = run_session(session, images);
  std::vector<double> bound;
  const std::vector<double> reference = run_reference(result.model, images, 2, &bound);
  for (std::size_t i = 0; i < run.size(); ++i) {
    EXPECT_LE(std::abs(static_cast<double>(run[i]) - reference[i]), bound[i]);
    EXPECT_LE(std::abs(static_cast<double>(trained[i]) - reference[i]), bound[i]);
  }
}

std::vector<std::string> every_method() {
  std::vector<std::string> names;
  for (const MethodEntry& entry : method_registry()) names.emplace_back(entry.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, EncoderByMethod, ::testing::ValuesIn(every_method()), [](const auto& param) { return param.param; });

}  // namespace
}  // namespace bitwright::test
