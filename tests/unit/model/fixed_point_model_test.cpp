// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/fixed_point_model.h"

#include "tests/support/expect_error.h"
#include "tests/support/fixed_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

namespace bitwright {
namespace {

constexpr FixedPoint kFixed412{.int_bits = 4, .frac_bits = 12};
constexpr FixedPoint kFixed610{.int_bits = 6, .frac_bits = 10};
constexpr FixedPoint kFixed214{.int_bits = 2, .frac_bits = 14};

QuantizedTensor codes(const FixedPoint& format, const Shape& shape, std::int32_t code = 1) {
  return QuantizedTensor(format, shape, std::vector<std::int32_t>(static_cast<std::size_t>(shape.element_count()), code),
                         FixedPoint::Parameters{});
}

/// conv (2 -> 3, 3x3) -> relu -> pool -> flatten -> fc (12 -> 2) -> softmax on images of 2 x 6 x 6.
Model small() {
  using Ints = std::vector<std::int64_t>;
  Model model;
  model.graph.name = "small";
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, 2, 6, 6}}};
  model.graph.nodes = {{.name = "conv",
                        .op = Op::Conv,
                        .inputs = {"input", "conv.weight", "conv.bias"},
                        .outputs = {"conv"},
                        .attributes = {{"input_format", std::string("fixed<4,12>")}, {"output_format", std::string("fixed<6,10>")}}},
                       {.name = "relu", .op = Op::Relu, .inputs = {"conv"}, .outputs = {"relu"}, .attributes = {}},
                       {.name = "pool",
                        .op = Op::MaxPool,
                        .inputs = {"relu"},
                        .outputs = {"pool"},
                        .attributes = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}},
                       {.name = "flatten", .op = Op::Flatten, .inputs = {"pool"}, .outputs = {"flatten"}, .attributes = {}},
                       {.name = "fc",
                        .op = Op::Gemm,
                        .inputs = {"flatten", "fc.weight", "fc.bias"},
                        .outputs = {"fc"},
                        .attributes = {{"transB", std::int64_t{1}},
                                       {"input_format", std::string("fixed<6,10>")},
                                       {"output_format", std::string("fixed<8,8>")}}},
                       {.name = "softmax", .op = Op::Softmax, .inputs = {"fc"}, .outputs = {"softmax"}, .attributes = {}}};
  model.graph.outputs = {"softmax"};
  model.weights.emplace("conv.weight", codes(kFixed214, Shape{3, 2, 3, 3}));
  model.weights.emplace("conv.bias", codes(kFixed610, Shape{3}, -5));
  model.weights.emplace("fc.weight", codes(kFixed412, Shape{2, 12}));
  model.weights.emplace("fc.bias", codes(kFixed610, Shape{2}));
  return model;
}

Node& node(Model& model, std::string_view name) {
  for (Node& candidate : model.graph.nodes) {
    if (candidate.name == name) return candidate;
  }
  throw std::logic_error("no such node");
}

void expect_refusal(std::string_view message, const std::function<void(Model&)>& spoil) {
  Model model = small();
  spoil(model);
  test::expect_error(ErrorCode::invalid_input, message, [&] { validate(model); });
}

TEST(FixedPointModel, KnowsTheFormatOfEveryValue) {
  const Model model = small();
  EXPECT_NO_THROW(validate(model));
  EXPECT_TRUE(is_fixed_point(model.graph));
  const ValueFormats formats = fixed_point_formats(model);
  EXPECT_EQ(formats.size(), 6U);
  EXPECT_EQ(formats.at("input"), kFixed412);
  for (const char* name : {"conv", "relu", "pool", "flatten"}) EXPECT_EQ(formats.at(name), kFixed610) << name;
  EXPECT_EQ(formats.at("fc").spec(), "fixed<8,8>");
  EXPECT_FALSE(formats.contains("softmax"));
}

TEST(FixedPointModel, AlignsTheBiasToTheAccumulator) {
  const Model model = small();
  const FixedPointProduct product = fixed_point_product(model, model.graph.nodes.front());
  EXPECT_EQ(product.acc_frac_bits(), 26);
  EXPECT_EQ(product.output, kFixed610);
  EXPECT_THAT(product.bias, ::testing::Each(-5 * 65536));  // 10 fraction bits to 26
  Model without = small();
  node(without, "fc").inputs.resize(2);
  EXPECT_THAT(fixed_point_product(without, node(without, "fc")).bias, ::testing::ElementsAre(0, 0));
}

TEST(FixedPointModel, OtherModelsAreNone) {
  Model model = small();
  for (Node& each : model.graph.nodes) {
    each.attributes.erase("input_format");
    each.attributes.erase("output_format");
  }
  EXPECT_FALSE(is_fixed_point(model.graph));
  EXPECT_NO_THROW(validate(model));
}

TEST(FixedPointModel, RandomOnesAreValid) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) EXPECT_NO_THROW(validate(test::random_fixed_model(seed))) << seed;
}

TEST(FixedPointModel, RefusesAMixture) {
  expect_refusal(
      "small: node \"fc\": attribute \"input_format\" is missing (found none, need it on every Conv and Gemm or on none); state "
      "input_format "
      "and output_format everywhere.",
      [](Model& model) {
        node(model, "fc").attributes.erase("input_format");
        node(model, "fc").attributes.erase("output_format");
      });
  expect_refusal(
      "small: node \"conv\": attribute \"output_format\" is missing (found none, need it on every Conv and Gemm or on none); state "
      "input_format and output_format everywhere.",
      [](Model& model) { node(model, "conv").attributes.erase("output_format"); });
}

TEST(FixedPointModel, RefusesWrongTexts) {
  for (const char* text : {"", "fixed<6>", "fixed<0,4>", "ternary", "pow2:5", "Fixed<6,10>"}) {
    expect_refusal(fmt::format("small: node \"conv\": attribute \"output_format\" is no fixed-point format (found \"{}\", need e.g. "
                               "fixed<6,10>); correct it.",
                               text),
                   [text](Model& model) { node(model, "conv").attributes["output_format"] = std::string(text); });
  }
  expect_refusal("small: node \"fc\": attribute \"output_format\" has the wrong type (found int, need string); check the graph.",
                 [](Model& model) { node(model, "fc").attributes["output_format"] = std::int64_t{3}; });
}

TEST(FixedPointModel, RefusesTooManyBits) {
  expect_refusal("small: node \"fc\": attribute \"output_format\" has too many bits (found 17 of fixed<7,10>, need at most 16); use fewer.",
                 [](Model& model) { node(model, "fc").attributes["output_format"] = std::string("fixed<7,10>"); });
  expect_refusal("small: node \"fc\": weight \"fc.weight\" has too many bits (found 25 of fixed<4,21>, need at most 24); use fewer.",
                 [](Model& model) {
                   model.weights.insert_or_assign("fc.weight", codes({.int_bits = 4, .frac_bits = 21}, Shape{2, 12}));
                 });
}

TEST(FixedPointModel, RefusesOtherWeights) {
  expect_refusal(
      "small: node \"conv\": weight \"conv.weight\" is not fixed-point (found float32, need e.g. fixed<2,14>); quantize it or remove "
      "the format attributes.",
      [](Model& model) {
        model.weights.insert_or_assign("conv.weight", FloatTensor{Shape{3, 2, 3, 3}, std::vector<float>(54, 0.5F)});
      });
  expect_refusal(
      "small: node \"fc\": weight \"fc.bias\" is not fixed-point (found ternary, need e.g. fixed<2,14>); quantize it or remove the "
      "format attributes.",
      [](Model& model) {
        model.weights.insert_or_assign("fc.bias", quantize(Ternary{}, Shape{2}, std::vector<float>{1.0F, -1.0F}));
      });
}

TEST(FixedPointModel, RefusesABiasThatTheAccumulatorCannotHold) {
  expect_refusal(
      "small: node \"fc\": bias \"fc.bias\" is finer than the accumulator (found 23 fraction bits, need at most 22); use a coarser "
      "format.",
      [](Model& model) { model.weights.insert_or_assign("fc.bias", codes({.int_bits = 2, .frac_bits = 23}, Shape{2})); });
  expect_refusal(
      "small: node \"conv\": bias \"conv.bias\" does not fit the accumulator (found 62 bits when aligned, need at most 61); use fewer "
      "integer bits.",
      [](Model& model) {
        // 15 + 15 fraction bits and 32 of the bias.
        node(model, "conv").attributes["input_format"] = std::string("fixed<1,15>");
        model.weights.insert_or_assign("conv.weight", codes({.int_bits = 1, .frac_bits = 15}, Shape{3, 2, 3, 3}));
        model.weights.insert_or_assign("conv.bias", codes({.int_bits = 32, .frac_bits = 0}, Shape{3}));
      });
}

TEST(FixedPointModel, RefusesNeighboursThatDisagree) {
  expect_refusal(
      "small: node \"fc\": \"flatten\" comes in another format (found fixed<6,10>, need fixed<4,12> as input_format says); let both "
      "sides state the same format.",
      [](Model& model) { node(model, "fc").attributes["input_format"] = std::string("fixed<4,12>"); });
}

TEST(FixedPointModel, RefusesOtherOperators) {
  expect_refusal(
      "small: node \"pool\": a fixed-point model can't hold AveragePool (found it, need Conv, Gemm, Relu, MaxPool, Flatten, Dropout or "
      "a last Softmax); remove it or the format attributes.",
      [](Model& model) { node(model, "pool").op = Op::AveragePool; });
  expect_refusal(
      "small: node \"softmax\": Softmax gives float32 (found it read by other nodes, need it last); move it to the end.", [](Model& model) {
        model.graph.nodes.push_back({.name = "late", .op = Op::Relu, .inputs = {"softmax"}, .outputs = {"late"}, .attributes = {}});
        model.graph.outputs = {"late"};
      });
}

}  // namespace
}  // namespace bitwright
