// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright::test {

/// One fully connected layer "fc" of 2 x 3 weights, with a float bias, a transform, class names and a note.
inline Model tiny_model(Weight fc_weight) {
  Model model;
  model.graph.name = "tiny";
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, 3}}};
  model.graph.nodes = {Node{.name = "fc",
                            .op = Op::Gemm,
                            .inputs = {"input", "fc.weight", "fc.bias"},
                            .outputs = {"logits"},
                            .attributes = {{"transB", std::int64_t{1}}}}};
  model.graph.outputs = {"logits"};
  model.weights.emplace("fc.weight", std::move(fc_weight));
  model.weights.emplace("fc.bias", FloatTensor{Shape{2}, {0.5F, -1.0F}});
  model.input_transform.mean = {0.25F, 0.5F, 0.75F};
  model.class_names = {"no", "yes"};
  model.notes = {{"method", "golden"}};
  return model;
}

/// A `tiny_model` per number format, and the values its weights stand for, written out by hand.
struct TinyCase {
  std::string name;
  Weight weight;
  std::vector<float> values;
};

inline std::vector<TinyCase> tiny_cases() {
  const Shape shape{2, 3};
  const auto codes = [&shape](NumberFormat format, std::vector<std::int32_t> stored, FormatParameters parameters) {
    return Weight(QuantizedTensor(std::move(format), shape, std::move(stored), std::move(parameters)));
  };
  std::vector<TinyCase> cases;
  cases.push_back({"float32", FloatTensor{shape, {1.5F, -0.25F, 0.0F, 3.0F, -2.0F, 0.125F}}, {1.5F, -0.25F, 0.0F, 3.0F, -2.0F, 0.125F}});
  cases.push_back({"fixed",
                   codes(FixedPoint{2, 6}, {-128, 127, 0, 1, -1, 64}, FixedPoint::Parameters{}),
                   {-2.0F, 1.984375F, 0.0F, 0.015625F, -0.015625F, 1.0F}});
  cases.push_back({"pow2",
                   codes(PowerOfTwo{3}, {0, 1, 2, 3, 4, 0}, PowerOfTwo::Parameters{.exp_max = 0, .exp_min = -1}),
                   {0.0F, 0.5F, -0.5F, 1.0F, -1.0F, 0.0F}});
  cases.push_back({"ternary",
                   codes(Ternary{}, {0, 1, 2, 1, 2, 0}, Ternary::Parameters{.positive_scale = 0.75F, .negative_scale = 0.5F}),
                   {0.0F, 0.75F, -0.5F, 0.75F, -0.5F, 0.0F}});
  cases.push_back(
      {"ternary-2bit",
       codes(Ternary{TernaryLayout::two_bits}, {0, 1, 2, 1, 2, 0}, Ternary::Parameters{.positive_scale = 0.75F, .negative_scale = 0.5F}),
       {0.0F, 0.75F, -0.5F, 0.75F, -0.5F, 0.0F}});
  cases.push_back({"uniform",
                   codes(Uniform{2, 4}, {0, 1, 2, 3, 0, 3}, Uniform::Parameters{{{3.0F, -1.0F}, {0.75F, 0.25F}}}),
                   {-1.0F, 0.0F, 1.0F, 2.0F, 0.25F, 1.0F}});
  cases.push_back(
      {"codebook",
       codes(Codebook{4, 4}, {0, 1, 2, 3, 1, 2}, Codebook::Parameters{{0.0F, 0.25F, 0.5F, 1.0F}, {{2.0F, -1.0F}, {1.0F, 0.0F}}}),
       {-1.0F, -0.5F, 0.0F, 1.0F, 0.25F, 0.5F}});
  return cases;
}

/// Adds nodes and weights to a model, each by its name.
struct ModelWriter {
  Model& model;
  void add(const std::string& name, Op op, std::vector<std::string> inputs, std::map<std::string, Attribute> attributes = {}) const {
    model.graph.nodes.push_back(
        Node{.name = name, .op = op, .inputs = std::move(inputs), .outputs = {name}, .attributes = std::move(attributes)});
  }
  /// Values first, first + step, …, beginning anew after 16. Returns the name.
  std::string weight(const std::string& name, Shape shape, float first, float step) const {
    std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + step * static_cast<float>(i % 16);
    model.weights.emplace(name, FloatTensor{std::move(shape), std::move(values)});
    return name;
  }
};

/// A model without nodes, on images of 2 x 4 x 4.
inline Model model_on_small_images(std::string name) {
  Model model;
  model.graph.name = std::move(name);
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, 2, 4, 4}}};
  return model;
}

/// A graph with every operator that file version 1 was first written with, on images of 2 x 4 x 4.
inline Model every_operator_model() {
  using Ints = std::vector<std::int64_t>;
  Model model = model_on_small_images("every-operator");
  const ModelWriter to{model};
  to.add("conv", Op::Conv,
         {"input", to.weight("conv.weight", Shape{4, 1, 3, 3}, -1.0F, 0.125F), to.weight("conv.bias", Shape{4}, 0.5F, 0.25F)},
         {{"kernel_shape", Ints{3, 3}},
          {"pads", Ints{1, 1, 1, 1}},
          {"strides", Ints{1, 1}},
          {"dilations", Ints{1, 1}},
          {"group", std::int64_t{2}}});
  to.add("bn", Op::BatchNormalization,
         {"conv", to.weight("bn.weight", Shape{4}, 1.0F, 0.5F), to.weight("bn.bias", Shape{4}, -0.5F, 0.25F),
          to.weight("bn.running_mean", Shape{4}, 0.25F, 0.125F), to.weight("bn.running_var", Shape{4}, 1.0F, 0.5F)},
         {{"epsilon", 1e-5F}});
  to.add("relu", Op::Relu, {"bn"}, {});
  to.add("maxpool", Op::MaxPool, {"relu"}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", std::int64_t{1}}});
  to.add(
      "avgpool", Op::AveragePool, {"relu"},
      {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"auto_pad", std::string("NOTSET")}, {"count_include_pad", std::int64_t{1}}});
  to.add("add", Op::Add, {"maxpool", "avgpool"}, {});
  to.add("slice", Op::Slice, {"add"}, {{"starts", Ints{0, 0}}, {"ends", Ints{2, 1}}, {"axes", Ints{1, 2}}, {"steps", Ints{1, 2}}});
  to.add("pad", Op::Pad, {"slice"}, {{"pads", Ints{0, 1, 0, 0, 0, 1, 1, 0}}, {"value", -0.5F}});
  to.add("dropout", Op::Dropout, {"pad"}, {{"ratio", 0.25F}});
  to.add("gap", Op::GlobalAveragePool, {"dropout"}, {});
  to.add("flatten", Op::Flatten, {"gap"}, {{"axis", std::int64_t{1}}});
  to.add("fc", Op::Gemm, {"flatten", to.weight("fc.weight", Shape{3, 4}, 0.75F, -0.125F)}, {{"transB", std::int64_t{1}}});
  to.add("softmax", Op::Softmax, {"fc"}, {{"axis", std::int64_t{-1}}});
  model.graph.outputs = {"softmax"};
  model.class_names = {"a", "b", "c"};
  return model;
}

/// A graph with every operator that came later, on images of 2 x 4 x 4.
inline Model every_newer_operator_model() {
  using Ints = std::vector<std::int64_t>;
  Model model = model_on_small_images("newer-operators");
  const ModelWriter to{model};
  to.add("leaky", Op::LeakyRelu, {"input"}, {{"alpha", 0.25F}});
  to.add("elu", Op::Elu, {"input"}, {{"alpha", 0.5F}});
  to.add("concat", Op::Concat, {"leaky", "elu"}, {{"axis", std::int64_t{1}}});
  to.add("prelu", Op::PRelu, {"concat", to.weight("slope", Shape{4, 1, 1}, 0.125F, 0.125F)});
  to.add("lrn", Op::LRN, {"prelu"}, {{"size", std::int64_t{3}}, {"alpha", 0.25F}, {"beta", 0.75F}, {"bias", 2.0F}});
  to.add("peak", Op::GlobalMaxPool, {"lrn"});
  to.add("gate", Op::HardSigmoid, {"peak"}, {{"alpha", 0.25F}, {"beta", 0.5F}});
  to.add("mul", Op::Mul, {"gate", "lrn"});
  to.add("swish", Op::HardSwish, {"mul"});
  to.add("clip", Op::Clip, {"swish"}, {{"min", -2.0F}, {"max", 2.0F}});
  to.add("reshape", Op::Reshape, {"clip"}, {{"shape", Ints{0, 4, -1}}});
  to.add("tokens", Op::Transpose, {"reshape"}, {{"perm", Ints{0, 2, 1}}});
  to.add("norm", Op::LayerNormalization,
         {"tokens", to.weight("norm.weight", Shape{4}, 0.5F, 0.25F), to.weight("norm.bias", Shape{4}, -0.25F, 0.125F)},
         {{"axis", std::int64_t{-1}}, {"epsilon", 1e-5F}});
  to.add("project", Op::MatMul, {"norm", to.weight("project.weight", Shape{4, 4}, -0.5F, 0.0625F)});
  to.add("scores", Op::MatMul, {"project", "reshape"});
  to.add("scaled", Op::Div, {"scores", to.weight("scale", Shape{}, 2.0F, 0.0F)});
  to.add("gelu", Op::Gelu, {"scaled"}, {{"approximate", std::string("none")}});
  to.add("tanh", Op::Tanh, {"gelu"});
  to.add("sigmoid", Op::Sigmoid, {"tanh"});
  to.add("erf", Op::Erf, {"sigmoid"});
  to.add("neg", Op::Neg, {"erf"});
  to.add("exp", Op::Exp, {"neg"});
  to.add("sqrt", Op::Sqrt, {"exp"});
  to.add("pow", Op::Pow, {"sqrt", to.weight("exponent", Shape{1}, 3.0F, 0.0F)});
  to.add("sub", Op::Sub, {to.weight("one", Shape{16}, 1.0F, 0.0F), "pow"});
  to.add("abs", Op::Abs, {"sub"});
  to.add("mean", Op::ReduceMean, {"abs"}, {{"axes", Ints{1}}, {"keepdims", std::int64_t{0}}});
  to.add("gather", Op::Gather, {"mean"}, {{"axis", std::int64_t{1}}, {"indices", Ints{0, 5, -1}}});
  model.graph.outputs = {"gather"};
  return model;
}

}  // namespace bitwright::test
