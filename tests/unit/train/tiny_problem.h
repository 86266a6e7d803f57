// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/runs/run.h"
#include "bitwright/train/recipe.h"
#include "bitwright/train/run_training.h"

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace bitwright::test {

/// A float weight drawn from a stream of its own.
inline FloatTensor random_weight(const std::string& name, const Shape& shape, double deviation) {
  const Rng rng = Rng(7, "tiny").split(name);
  FloatTensor tensor{shape, std::vector<float>(static_cast<std::size_t>(shape.element_count()))};
  for (std::size_t i = 0; i < tensor.values.size(); ++i) tensor.values[i] = static_cast<float>(deviation * rng.normal(i));
  return tensor;
}

inline FloatTensor constant_weight(const Shape& shape, float value) {
  return {shape, std::vector<float>(static_cast<std::size_t>(shape.element_count()), value)};
}

/// A network with everything that has state in training: convolution, batch norm, Dropout, fully connected layer. Input 1x28x28, 4 classes.
inline Model tiny_model() {
  using Ints = std::vector<std::int64_t>;
  Model model;
  model.graph.name = "tiny";
  model.graph.inputs = {{"input", Shape{Shape::kDynamic, 1, 28, 28}}};
  model.graph.nodes = {
      {"conv", Op::Conv, {"input", "conv.weight", "conv.bias"}, {"conv"}, {{"kernel_shape", Ints{5, 5}}, {"strides", Ints{3, 3}}}},
      {"bn", Op::BatchNormalization, {"conv", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"}, {"bn"}, {}},
      {"relu", Op::Relu, {"bn"}, {"relu"}, {}},
      {"pool", Op::MaxPool, {"relu"}, {"pool"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}},
      {"flatten", Op::Flatten, {"pool"}, {"flatten"}, {}},
      {"dropout", Op::Dropout, {"flatten"}, {"dropout"}, {{"ratio", 0.25F}}},
      {"fc", Op::Gemm, {"dropout", "fc.weight", "fc.bias"}, {"fc"}, {{"transB", std::int64_t{1}}}},
  };
  model.graph.outputs = {"fc"};
  model.weights.emplace("conv.weight", random_weight("conv", Shape{4, 1, 5, 5}, 0.25));
  model.weights.emplace("conv.bias", constant_weight(Shape{4}, 0.0F));
  model.weights.emplace("bn.weight", constant_weight(Shape{4}, 1.0F));
  model.weights.emplace("bn.bias", constant_weight(Shape{4}, 0.0F));
  model.weights.emplace("bn.running_mean", constant_weight(Shape{4}, 0.0F));
  model.weights.emplace("bn.running_var", constant_weight(Shape{4}, 1.0F));
  model.weights.emplace("fc.weight", random_weight("fc", Shape{4, 64}, 0.15));
  model.weights.emplace("fc.bias", constant_weight(Shape{4}, 0.0F));
  validate(model);
  return model;
}

/// The same without batch norm: operators that have an integer form.
inline Model tiny_integer_model() {
  Model model = tiny_model();
  std::erase_if(model.graph.nodes, [](const Node& node) { return node.op == Op::BatchNormalization; });
  for (Node& node : model.graph.nodes) {
    if (node.op == Op::Relu) node.inputs = {"conv"};
  }
  std::erase_if(model.weights, [](const auto& weight) { return weight.first.starts_with("bn."); });
  validate(model);
  return model;
}

/// 80 images in batches of 16: five steps an epoch.
inline Recipe tiny_recipe(const std::filesystem::path& folder) {
  const std::filesystem::path packed = folder / "tiny.bw";
  if (!std::filesystem::exists(packed)) save_packed(packed, tiny_model());
  Recipe recipe;
  recipe.model.from = packed.string();
  recipe.data.name = "synthetic:4:80:40:3";
  recipe.train.epochs = 2;
  recipe.train.batch = 16;
  recipe.train.lr = 0.05;
  recipe.train.weight_decay = 0.01;
  recipe.train.threads = 1;
  return recipe;
}

inline MethodRecipe inq_recipe(std::int64_t bits, std::vector<double> portions) {
  return {"inq", {{"bits", bits}, {"portions", std::move(portions)}, {"epochs_per_portion", std::int64_t{1}}}};
}

/// A method with the options that fit these problems: every weight quantized, a few steps.
inline MethodRecipe tiny_method(const std::string& name) {
  if (name == "ttq") return {name, {{"layers", std::string("all")}, {"scale_lr_ratio", 0.005}}};
  return {name, {}};
}

/// The tiny recipe on the model that method `fixed` can train.
inline Recipe tiny_integer_recipe(const std::filesystem::path& folder) {
  const std::filesystem::path packed = folder / "tiny-integer.bw";
  if (!std::filesystem::exists(packed)) save_packed(packed, tiny_integer_model());
  Recipe recipe = tiny_recipe(folder);
  recipe.model.from = packed.string();
  recipe.methods = {{"fixed", {}}};
  return recipe;
}

/// The tiny problem in the form that a method can train: in integers there is no batch normalization.
inline Model tiny_model_for(const std::string& method) { return method == "fixed" ? tiny_integer_model() : tiny_model(); }
inline Recipe tiny_recipe_for(const std::string& method, const std::filesystem::path& folder) {
  return method == "fixed" ? tiny_integer_recipe(folder) : tiny_recipe(folder);
}

/// Runs a recipe in a new or existing folder.
inline TrainResult train_in(const std::filesystem::path& folder, const Recipe& recipe, StartPolicy start = StartPolicy::fresh,
                            const TrainEvents& events = {}) {
  Run run = Run::create(folder, to_toml(recipe));
  return run_training(recipe, run, start, events);
}

/// Losses of every step.
inline std::vector<double> trace_of(const std::filesystem::path& folder, const Recipe& recipe) {
  std::vector<double> losses;
  TrainEvents events;
  events.on_step = [&losses](std::int64_t, double loss) { losses.push_back(loss); };
  train_in(folder, recipe, StartPolicy::fresh, events);
  return losses;
}

}  // namespace bitwright::test
