// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/graph.h"

#include "bitwright/model/model.h"
#include "bitwright/model/ops/shape_rule.h"
#include "tests/support/expect_error.h"
#include "tests/support/small_models.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace bitwright {
namespace {

using test::every_operator_model;
using test::expect_error;
using test::tiny_model;

Model float_tiny() { return tiny_model(FloatTensor{Shape{2, 3}, std::vector<float>(6, 0.5F)}); }

ShapeMap shapes_of(const Model& model, std::int64_t batch) { return infer_shapes(model.graph, weight_shapes(model), batch); }

TEST(Node, AttributesHaveDefaultsAndTypes) {
  Node node{.name = "n", .op = Op::Conv, .inputs = {}, .outputs = {}, .attributes = {}};
  EXPECT_EQ(node.int_attribute("group", 7), 7);
  EXPECT_EQ(node.float_attribute("epsilon", 0.5F), 0.5F);
  EXPECT_EQ(node.string_attribute("mode", "constant"), "constant");
  EXPECT_EQ(node.ints_attribute("pads", {1, 2}), (std::vector<std::int64_t>{1, 2}));
  node.attributes = {{"group", std::int64_t{2}}, {"epsilon", 0.25F}, {"mode", std::string("edge")}, {"pads", std::vector<std::int64_t>{3}}};
  EXPECT_EQ(node.int_attribute("group", 7), 2);
  EXPECT_EQ(node.float_attribute("epsilon", 0.5F), 0.25F);
  EXPECT_EQ(node.string_attribute("mode", "constant"), "edge");
  EXPECT_EQ(node.ints_attribute("pads", {1, 2}), std::vector<std::int64_t>{3});
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"group\" has the wrong type (found int, need ints); check the graph.",
               [&] { (void)node.ints_attribute("group", {}); });
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"pads\" has the wrong type (found ints, need float); check the graph.",
               [&] { (void)node.float_attribute("pads", 0.0F); });
}

TEST(InferShapes, EveryOperatorHasARuleAndTheExamplesUseThemAll) {
  const Model model = every_operator_model();
  std::set<Op> used;
  for (const Node& node : model.graph.nodes) used.insert(node.op);
  for (const Node& node : test::every_newer_operator_model().graph.nodes) used.insert(node.op);
  EXPECT_EQ(used.size(), op_registry().size());
  const ShapeMap shapes = shapes_of(model, 5);
  const std::map<std::string, Shape> need = {
      {"input", {5, 2, 4, 4}},   {"conv", {5, 4, 4, 4}}, {"bn", {5, 4, 4, 4}},    {"relu", {5, 4, 4, 4}}, {"maxpool", {5, 4, 2, 2}},
      {"avgpool", {5, 4, 2, 2}}, {"add", {5, 4, 2, 2}},  {"slice", {5, 2, 1, 2}}, {"pad", {5, 4, 2, 2}},  {"dropout", {5, 4, 2, 2}},
      {"gap", {5, 4, 1, 1}},     {"flatten", {5, 4}},    {"fc", {5, 3}},          {"softmax", {5, 3}},    {"fc.weight", {3, 4}}};
  for (const auto& [name, shape] : need) EXPECT_EQ(shapes.at(name).to_string(), shape.to_string()) << name;
  EXPECT_EQ(shapes.size(), 14U + model.weights.size());
}

TEST(InferShapes, BatchEntersOnlyAxisZero) {
  const ShapeMap one = shapes_of(every_operator_model(), 1);
  const ShapeMap many = shapes_of(every_operator_model(), 9);
  for (const auto& [name, shape] : one) {
    const Shape& other = many.at(name);
    ASSERT_EQ(shape.rank(), other.rank()) << name;
    for (std::size_t axis = 1; axis < shape.rank(); ++axis) EXPECT_EQ(shape[axis], other[axis]) << name;
  }
  EXPECT_EQ(many.at("softmax")[0], 9);
}

struct Broken {
  std::string what;
  ErrorCode code;
  std::string message;
  std::function<void(Model&)> break_it;
};

class BrokenGraph : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenGraph, IsRefusedWithItsMessage) {
  Model model = float_tiny();
  GetParam().break_it(model);
  expect_error(GetParam().code, GetParam().message, [&] { (void)shapes_of(model, 1); });
}

Node relu(std::string name, std::string from, std::string to) {
  return Node{.name = std::move(name), .op = Op::Relu, .inputs = {std::move(from)}, .outputs = {std::move(to)}, .attributes = {}};
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenGraph,
    ::testing::Values(
        Broken{"ValueNeverMade", ErrorCode::invalid_input,
               "tiny: node \"r\" reads \"ghost\", which no earlier node, input or weight makes; check names and order.",
               [](Model& m) { m.graph.nodes.push_back(relu("r", "ghost", "out")); }},
        Broken{"ValueUsedTooEarly", ErrorCode::invalid_input,
               "tiny: node \"r\" reads \"logits\", which no earlier node, input or weight makes; check names and order.",
               [](Model& m) { m.graph.nodes.insert(m.graph.nodes.begin(), relu("r", "logits", "out")); }},
        Broken{"ValueMadeTwice", ErrorCode::invalid_input,
               "tiny: node \"r\" makes value \"logits\", which exists already; give every value its own name.",
               [](Model& m) { m.graph.nodes.push_back(relu("r", "logits", "logits")); }},
        Broken{"ValueNamedLikeAWeight", ErrorCode::invalid_input,
               "tiny: node \"r\" makes value \"fc.bias\", which exists already; give every value its own name.",
               [](Model& m) { m.graph.nodes.push_back(relu("r", "logits", "fc.bias")); }},
        Broken{"ValueWithoutName", ErrorCode::invalid_input, "tiny: node \"r\" makes a value without a name; give every value a name.",
               [](Model& m) { m.graph.nodes.push_back(relu("r", "logits", "")); }},
        Broken{"NodeNamedTwice", ErrorCode::invalid_input, "tiny: two nodes are named \"fc\"; give every node its own name.",
               [](Model& m) { m.graph.nodes.push_back(relu("fc", "logits", "out")); }},
        Broken{"NodeWithoutName", ErrorCode::invalid_input, "tiny: a Relu node has no name; give every node a name.",
               [](Model& m) { m.graph.nodes.push_back(relu("", "logits", "out")); }},
        Broken{"TooFewInputs", ErrorCode::invalid_input,
               "tiny: node \"fc\": Gemm has the wrong number of inputs (found 1, need 2 to 3); check the graph.",
               [](Model& m) { m.graph.nodes[0].inputs = {"input"}; }},
        Broken{"TooManyOutputs", ErrorCode::invalid_input,
               "tiny: node \"fc\": Gemm has the wrong number of outputs (found 2, need 1); check the graph.",
               [](Model& m) {
                 m.graph.nodes[0].outputs = {"a", "b"};
               }},
        Broken{"RequiredInputOmitted", ErrorCode::invalid_input, "tiny: node \"fc\": input 0 of Gemm is missing; connect it.",
               [](Model& m) { m.graph.nodes[0].inputs[0] = ""; }},
        Broken{"WeightShape", ErrorCode::invalid_input,
               "tiny: weight \"fc.weight\" does not fit node \"fc\" (found [2, 4], need [?, 3]); give weights trained for this graph.",
               [](Model& m) {
                 m.weights["fc.weight"] = FloatTensor{Shape{2, 4}, std::vector<float>(8)};
               }},
        Broken{"BiasShape", ErrorCode::invalid_input,
               "tiny: weight \"fc.bias\" does not fit node \"fc\" (found [3], need [2]); give weights trained for this graph.",
               [](Model& m) {
                 m.weights["fc.bias"] = FloatTensor{Shape{3}, std::vector<float>(3)};
               }},
        Broken{"ComputedWeight", ErrorCode::unsupported,
               "tiny: node \"fc\": input \"input\" of Gemm is computed (need a weight); store it as a weight.",
               [](Model& m) { m.graph.nodes[0].inputs[1] = "input"; }},
        Broken{"ConstantInput", ErrorCode::unsupported,
               "tiny: node \"fc\": Gemm of a constant is not supported (found weight \"fc.weight\" as input 0); compute it beforehand.",
               [](Model& m) { m.graph.nodes[0].inputs[0] = "fc.weight"; }},
        Broken{"AttributeType", ErrorCode::invalid_input,
               "tiny: node \"fc\": attribute \"transB\" has the wrong type (found float, need int); check the graph.",
               [](Model& m) { m.graph.nodes[0].attributes["transB"] = 1.0F; }},
        Broken{"UnknownAttribute", ErrorCode::unsupported,
               "tiny: node \"fc\": Gemm has an attribute that is not supported (found \"gamma\", need one of: alpha, beta, input_format, "
               "output_format, transA, "
               "transB); remove it.",
               [](Model& m) { m.graph.nodes[0].attributes["gamma"] = 1.0F; }},
        Broken{"OutputNeverMade", ErrorCode::invalid_input, "tiny: output \"ghost\" is made by no node; check the graph's outputs.",
               [](Model& m) { m.graph.outputs = {"ghost"}; }},
        Broken{"InputExtentZero", ErrorCode::invalid_input,
               "tiny: \"input\" has an extent out of range (found [1, 0], need 1 to 2147483647); check the shapes.",
               [](Model& m) {
                 m.graph.inputs[0].shape = Shape{Shape::kDynamic, 0};
               }},
        Broken{"SecondDynamicExtent", ErrorCode::invalid_input,
               "tiny: \"input\" has an extent out of range (found [1, ?], need 1 to 2147483647); check the shapes.",
               [](Model& m) {
                 m.graph.inputs[0].shape = Shape{Shape::kDynamic, Shape::kDynamic};
               }},
        Broken{"InputWithoutBatch", ErrorCode::invalid_input, "tiny: input \"input\" has no batch axis; give it one.",
               [](Model& m) { m.graph.inputs[0].shape = Shape{}; }},
        Broken{"FixedBatch", ErrorCode::invalid_input,
               "tiny: input \"input\" has a fixed batch (found 4, need 1); make axis 0 dynamic or run that batch.",
               [](Model& m) {
                 m.graph.inputs[0].shape = Shape{4, 3};
               }},
        Broken{"TooManyAxes", ErrorCode::invalid_input, "tiny: \"input\" has too many axes (found 9, need at most 8); check the graph.",
               [](Model& m) { m.graph.inputs[0].shape = Shape{Shape::kDynamic, 1, 1, 1, 1, 1, 1, 1, 3}; }},
        Broken{"ProductOverflows", ErrorCode::invalid_input,
               "tiny: shape [1, 2147483647, 2147483647, 2147483647]: too many elements (need at most 2^62); check the extents.",
               [](Model& m) {
                 m.graph.inputs[0].shape = Shape{Shape::kDynamic, 2147483647, 2147483647, 2147483647};
               }}),
    [](const auto& instance) { return instance.param.what; });

TEST(InferShapes, RefusesABatchOfZero) {
  const Model model = float_tiny();
  expect_error(ErrorCode::invalid_input, "tiny: the batch is out of range (found 0, need 1 to 2147483647); give another batch.",
               [&] { (void)shapes_of(model, 0); });
}

TEST(InferShapes, AnOmittedBiasIsFine) {
  Model model = float_tiny();
  model.graph.nodes[0].inputs[2] = "";
  model.weights.erase("fc.bias");
  EXPECT_EQ(shapes_of(model, 2).at("logits"), (Shape{2, 2}));
}

TEST(WeightInput, IsInputOneOfProductsOnly) {
  const Model model = every_operator_model();
  for (const Node& node : model.graph.nodes) {
    const bool multiplies = node.op == Op::Conv || node.op == Op::Gemm;
    EXPECT_EQ(weight_input(model.graph, node), multiplies ? std::optional(node.name + ".weight") : std::nullopt);
  }
}

TEST(WeightInput, OfAMatMulIsWhatNothingComputes) {
  Model model = test::every_newer_operator_model();
  std::map<std::string, std::optional<std::string>> found;
  for (const Node& node : model.graph.nodes) {
    if (node.op == Op::MatMul) found[node.name] = weight_input(model.graph, node);
  }
  EXPECT_EQ(found, (std::map<std::string, std::optional<std::string>>{{"project", "project.weight"}, {"scores", std::nullopt}}));
}

TEST(InferShapes, SaysWhichInputsMayBeStored) {
  const auto refuses = [](const std::string& message, const std::string& node, std::size_t input, const std::string& name) {
    Model model = test::every_newer_operator_model();
    for (Node& each : model.graph.nodes) {
      if (each.name == node) each.inputs.at(input) = name;
    }
    expect_error(ErrorCode::unsupported, "newer-operators: " + message, [&] { (void)shapes_of(model, 1); });
  };
  refuses("node \"concat\": Concat of a constant is not supported (found weight \"slope\" as input 1); compute it beforehand.", "concat", 1,
          "slope");
  refuses("node \"project\": MatMul of a constant is not supported (found weight \"slope\" as input 0); compute it beforehand.", "project",
          0, "slope");
  refuses("node \"project\": weight \"slope\" of MatMul is not a matrix (found [4, 1, 1], need rank 2); rewrite the node.", "project", 1,
          "slope");
  refuses("node \"prelu\": input \"concat\" of PRelu is computed (need a weight); store it as a weight.", "prelu", 1, "concat");
  refuses("node \"sub\": Sub of constants only is not supported (found weight \"one\"); compute it beforehand.", "sub", 1, "slope");
}

}  // namespace
}  // namespace bitwright
