// SPDX-License-Identifier: Apache-2.0
// Ten steps of training on a problem so small and tame that machines must agree: the losses within a derived bound, the codes exactly.
//
// The problem is softmax regression on 4x4 pixel means (49 features in [0, 1], 4 classes, 196 weights), plain gradient descent, one
// thread, float32.
//  - Its loss is convex with curvature L <= max |x|^2 / 2 <= (49 + 1) / 2 = 25 (softmax's Hessian has norm <= 1/2, the bias adds 1), plus
//    the decay of 0.01. lr = 0.05 < 2 / 25.01: a step never pushes two nearby weight vectors apart, so rounding differences add up, they do
//    not grow.
//  - One step's gradient is a mean over 16 images of products of terms in [-1, 1] and [0, 1]; behind it stand a sum of 16 pixels, a dot
//    product of 50, a softmax of 4 (fewer than 20 roundings) and the sum of 16 images: at most 102 roundings, 102 * 2^-24 = 6.1e-6 of the
//    terms' absolute size, which is <= 1. One step moves a weight apart by at most lr * 6.1e-6 = 3.1e-7, ten steps by 3.1e-6 (kDrift).
//  - The loss has slope <= sqrt(2) |x| <= 10 in the weights' 2-norm: 10 * sqrt(200) * 3.1e-6 = 4.4e-4, plus its own rounding, 102
//    roundings of sums of absolute size <= sum |w x| < 20: 1.2e-4 (together kLossBound).
//  - ttq: the loss depends on latent weights through their assignment alone, which the drift must not change (below). It is convex in what
//  is
//    left, scales and biases: a logit's derivative by the scales is a sum of at most 49 features for each, 4 classes, half of that by
//    softmax: L <= 4 * 49^2 / 2 = 4802 for the scales, whose rate is 0.05 * 0.005 = 2.5e-4 < 2 / L. The sum over at most 196 weights of
//    their gradients is rounded once more, and latent weights get g times a scale below 1: the bounds stand.
//  - DQ trains points in place of weights. With the assignment held the logits are linear in them, and a change of one moves the weights of
//    its cell times their range: at 16 quantiles of 196 weights 13 a cell, taken as up to 40, a range below 1.5. The curvature is at most
//    25 * 40 * 1.5^2 = 2250, and lr = 5e-4 < 2 / 2250.
//  - distill: temperature T's divergence, times T^2, has the curvature of the cross entropy or less.
//  - qd: the loss depends on latent weights through their assignment, which the drift must not change (below), and through the least and
//  the
//    largest weight of the only bucket: a value moves no further than these two, a logit by <= 49 and the loss by <= 98 kDrift = 3.1e-4.
//  - Codes are the same everywhere when no weight lies within the drift of a rounding threshold and no two within twice the drift around a
//    portion's end. Updating repeats the run from weights moved up and down by the drift and refuses to write a trace whose codes change.
#include "bitwright/core/file.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/train/method.h"
#include "bitwright/train/run_training.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string_view>

namespace bitwright::test {
namespace {

using nlohmann::json;

constexpr double kDrift = 3.1e-6;
constexpr double kLossBound = 4.4e-4 + 1.2e-4;

bool update_golden = false;

/// Initial weights are moved by `shift`. A mean has no integer form: method `fixed` sees the largest pixel of each window.
Model regression_model(Op pool, double shift) {
  using Ints = std::vector<std::int64_t>;
  Model model;
  model.graph.name = "regression";
  model.graph.inputs = {{"input", Shape{Shape::kDynamic, 1, 28, 28}}};
  model.graph.nodes = {
      {"mean", pool, {"input"}, {"mean"}, {{"kernel_shape", Ints{4, 4}}, {"strides", Ints{4, 4}}}},
      {"flatten", Op::Flatten, {"mean"}, {"flatten"}, {}},
      {"fc", Op::Gemm, {"flatten", "fc.weight", "fc.bias"}, {"fc"}, {{"transB", std::int64_t{1}}}},
  };
  model.graph.outputs = {"fc"};
  FloatTensor weight = random_weight("fc", Shape{4, 49}, 0.2);
  for (float& value : weight.values) value = static_cast<float>(value + shift);
  model.weights.emplace("fc.weight", std::move(weight));
  model.weights.emplace("fc.bias", constant_weight(Shape{4}, 0.0F));
  return model;
}

json run_trace(const std::string& method, double shift) {
  const TempFolder folder;
  save_packed(folder / "model.bw", regression_model(method == "fixed" ? Op::MaxPool : Op::AveragePool, shift));
  Recipe recipe;
  recipe.model.from = (folder / "model.bw").string();
  recipe.data.name = "synthetic:4:80:40:3";
  recipe.train.batch = 16;
  recipe.train.epochs = 2;  // ten steps
  recipe.train.lr = 0.05;
  recipe.train.momentum = 0.0;
  recipe.train.weight_decay = 0.01;
  recipe.train.threads = 1;
  if (method != "float") recipe.methods = {tiny_method(method)};
  if (method == "inq") recipe.methods = {inq_recipe(3, {0.5, 1.0})};
  if (method == "dq") recipe.train.lr = 5e-4;  // see the head: a point moves all weights of its cell
  Run run = Run::create(folder / "run", to_toml(recipe));
  json trace = {{"losses", json::array()}};
  TrainEvents events;
  events.on_step = [&trace](std::int64_t, double loss) { trace["losses"].push_back(loss); };
  const TrainResult result = run_training(recipe, run, StartPolicy::fresh, events);
  const Weight& weight = result.model.weights.at("fc.weight");
  if (const auto* codes = std::get_if<QuantizedTensor>(&weight)) {
    trace["format"] = codes->format().spec();
    trace["codes"] = std::vector<std::int32_t>(codes->codes().begin(), codes->codes().end());
  } else {
    trace["weights"] = weight_values(weight);
  }
  trace["bias"] = weight_values(result.model.weights.at("fc.bias"));
  return trace;
}

/// Ten, but for a method that asks for no epochs.
std::int64_t steps_of(const std::string& name) {
  if (name == "float") return 10;
  const std::vector<Phase> phases = make_method(tiny_method(name))->phases(2);
  return phases.empty() || phases[0].epochs > 0 ? 10 : 0;
}

void expect_near(const json& found, const json& golden, double bound, const char* what) {
  ASSERT_EQ(found.size(), golden.size()) << what;
  for (std::size_t i = 0; i < golden.size(); ++i) EXPECT_NEAR(found[i].get<double>(), golden[i].get<double>(), bound) << what << " " << i;
}

class TrainingTrace : public ::testing::TestWithParam<std::string> {};

TEST_P(TrainingTrace, TenStepsAreAsRecorded) {
  const std::filesystem::path path = std::filesystem::path(BITWRIGHT_SOURCE_DIR) / "tests/golden/traces" / (GetParam() + ".json");
  const json found = run_trace(GetParam(), 0.0);
  if (update_golden) {
    // Method `fixed` adds integers from its first conversion on: there is no drift to leave room for.
    for (const double shift : GetParam() == "fixed" ? std::vector<double>() : std::vector<double>{kDrift, -kDrift}) {
      ASSERT_EQ(run_trace(GetParam(), shift).value("codes", json()), found.value("codes", json())) << "no margin: change the problem";
    }
    write_file_atomic(path, found.dump() + "\n");
    return;
  }
  const json golden = json::parse(read_text_file(path));
  ASSERT_EQ(std::ssize(golden.at("losses")), steps_of(GetParam()));
  expect_near(found.at("losses"), golden.at("losses"), kLossBound, "loss");
  expect_near(found.at("bias"), golden.at("bias"), kDrift, "bias");
  EXPECT_EQ(found.contains("codes"), golden.contains("codes"));
  if (golden.contains("codes")) {
    EXPECT_EQ(found.at("format"), golden.at("format"));
    EXPECT_EQ(found.at("codes"), golden.at("codes"));
  } else {
    expect_near(found.at("weights"), golden.at("weights"), kDrift, "weight");
  }
}

std::vector<std::string> trace_names() {
  std::vector<std::string> names = {"float"};
  for (const MethodEntry& entry : method_registry()) names.emplace_back(entry.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Methods, TrainingTrace, ::testing::ValuesIn(trace_names()), [](const auto& param) { return param.param; });

}  // namespace
}  // namespace bitwright::test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) bitwright::test::update_golden |= std::string_view(argv[i]) == "--update-golden";
  return RUN_ALL_TESTS();
}
