// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/import.h"

#include "bitwright/core/file.h"
#include "bitwright/onnx/import_rules.h"
#include "bitwright/onnx/tensor_bytes.h"
#include "bitwright/onnx/wire.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/onnx/onnx_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace bitwright {
namespace {

using onnx::DataType;
using onnx::float_attribute;
using onnx::int_attribute;
using onnx::ints_attribute;
using onnx::text_attribute;
using test::error_of;
using test::expect_error;
using test::import_proto;
using test::onnx_floats;
using test::onnx_graph;
using test::onnx_ints;
using test::onnx_node;
using test::ramp;
using testing::HasSubstr;

using Ints = std::vector<std::int64_t>;

/// The one node of a graph with one operator.
Node only_node(const onnx::ModelProto& proto) {
  const Model model = import_proto(proto).model;
  EXPECT_EQ(model.graph.nodes.size(), 1U);
  return model.graph.nodes.at(0);
}

std::string refusal(const onnx::ModelProto& proto) {
  const auto error = error_of([&] { (void)import_proto(proto); });
  return error ? fmt::format("{}: {}", error_code_name(error->code()), error->message()) : "nothing";
}

onnx::TensorProto scalar(std::string name, float value) { return onnx_floats(std::move(name), {}, {value}); }

TEST(OnnxImport, GemmIsBroughtToOneForm) {
  const auto gemm = [](std::vector<onnx::AttributeProto> attributes, onnx::TensorProto weight) {
    return import_proto(onnx_graph(13, {0, 3}, {onnx_node("Gemm", {"x", "w", "b"}, {"y"}, std::move(attributes))},
                                   {std::move(weight), onnx_floats("b", {1, 2}, {4, 6})}))
        .model;
  };
  const Model plain = gemm({int_attribute("transB", 1)}, onnx_floats("w", {2, 3}, {0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(plain.graph.nodes.at(0).op, Op::Gemm);
  EXPECT_EQ(plain.graph.inputs.at(0).shape, (Shape{Shape::kDynamic, 3}));
  EXPECT_EQ(std::get<FloatTensor>(plain.weights.at("b")), (FloatTensor{Shape{2}, {4, 6}}));
  EXPECT_EQ(gemm({}, onnx_floats("w", {3, 2}, {0, 3, 1, 4, 2, 5})), plain) << "transposed";
  const Model scaled = gemm({int_attribute("transB", 1), float_attribute("alpha", 2.0F), float_attribute("beta", 0.5F)},
                            onnx_floats("w", {2, 3}, {0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(std::get<FloatTensor>(scaled.weights.at("w")).values, (std::vector<float>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(std::get<FloatTensor>(scaled.weights.at("b")).values, (std::vector<float>{2, 3}));
}

TEST(OnnxImport, MatMulOfMatricesIsGemm) {
  const Model model =
      import_proto(onnx_graph(13, {0, 3}, {onnx_node("MatMul", {"x", "w"}, {"y"})}, {onnx_floats("w", {3, 2}, {0, 3, 1, 4, 2, 5})})).model;
  EXPECT_EQ(model.graph.nodes.at(0).op, Op::Gemm);
  EXPECT_EQ(std::get<FloatTensor>(model.weights.at("w")), (FloatTensor{Shape{2, 3}, {0, 1, 2, 3, 4, 5}}));
}

// What older operator sets have as attributes and newer ones as inputs is the same node.
TEST(OnnxImport, AttributesAndInputsOfAllOperatorSetsMeet) {
  const Node pad_old = only_node(
      onnx_graph(7, {0, 3}, {onnx_node("Pad", {"x"}, {"y"}, {ints_attribute("pads", {0, 1, 0, 2}), float_attribute("value", 3.0F)})}));
  const Node pad_new =
      only_node(onnx_graph(13, {0, 3}, {onnx_node("Pad", {"x", "p", "v"}, {"y"})}, {onnx_ints("p", {0, 1, 0, 2}), scalar("v", 3.0F)}));
  EXPECT_EQ(pad_old, pad_new);
  const Node pad_axes = only_node(onnx_graph(18, {0, 3}, {onnx_node("Pad", {"x", "p", "v", "a"}, {"y"})},
                                             {onnx_ints("p", {1, 2}), scalar("v", 3.0F), onnx_ints("a", {-1})}));
  EXPECT_EQ(pad_axes, pad_new);

  const Node slice_old = only_node(onnx_graph(
      9, {0, 9},
      {onnx_node("Slice", {"x"}, {"y"}, {ints_attribute("axes", {1}), ints_attribute("ends", {7}), ints_attribute("starts", {2})})}));
  const Node slice_new = only_node(onnx_graph(13, {0, 9}, {onnx_node("Slice", {"x", "s", "e", "a"}, {"y"})},
                                              {onnx_ints("s", {2}), onnx_ints("e", {7}), onnx_ints("a", {1})}));
  EXPECT_EQ(slice_old, slice_new);

  const Node dropout_old = only_node(onnx_graph(10, {0, 3}, {onnx_node("Dropout", {"x"}, {"y"}, {float_attribute("ratio", 0.25F)})}));
  const Node dropout_new = only_node(onnx_graph(13, {0, 3}, {onnx_node("Dropout", {"x", "r"}, {"y"})}, {scalar("r", 0.25F)}));
  EXPECT_EQ(dropout_old, dropout_new);

  for (const std::int64_t opset : {7, 12, 13, 21}) {
    std::vector<onnx::AttributeProto> attributes;
    std::vector<std::string> inputs = {"x"};
    if (opset < 13) {
      attributes.push_back(ints_attribute("axes", {2, 3}));
    } else {
      inputs.push_back("axes");
    }
    const Node squeezed =
        only_node(onnx_graph(opset, {0, 5, 1, 1}, {onnx_node("Squeeze", inputs, {"y"}, attributes)}, {onnx_ints("axes", {2, 3})}));
    EXPECT_EQ(squeezed.op, Op::Flatten) << opset;
  }
}

TEST(OnnxImport, SoftmaxBeforeOpset13TakesAllLaterAxesTogether) {
  EXPECT_EQ(only_node(onnx_graph(12, {0, 4}, {onnx_node("Softmax", {"x"}, {"y"})})).int_attribute("axis", -1), 1);
  EXPECT_EQ(only_node(onnx_graph(13, {0, 4, 2, 2}, {onnx_node("Softmax", {"x"}, {"y"})})).int_attribute("axis", -1), -1);
  EXPECT_THAT(refusal(onnx_graph(12, {0, 4, 2, 2}, {onnx_node("Softmax", {"x"}, {"y"})})), HasSubstr("over several axes at once"));
}

TEST(OnnxImport, AutoPadIsWrittenOut) {
  const auto pool = [](const char* mode, std::int64_t size) {
    return only_node(onnx_graph(11, {0, 1, size, 8},
                                {onnx_node("MaxPool", {"x"}, {"y"},
                                           {text_attribute("auto_pad", mode), ints_attribute("kernel_shape", {3, 3}),
                                            ints_attribute("strides", {2, 2})})}))
        .ints_attribute("pads", {});
  };
  // 7 rows by a window of 3 and stride 2: 4 outputs need (4 - 1) * 2 + 3 - 7 = 2 pads; 8 columns give 4 outputs and 1 pad.
  EXPECT_EQ(pool("SAME_UPPER", 7), (Ints{1, 0, 1, 1}));
  EXPECT_EQ(pool("SAME_LOWER", 7), (Ints{1, 1, 1, 0}));
  EXPECT_EQ(pool("VALID", 7), Ints{});
}

// As PyTorch exports x.view(x.size(0), -1).
TEST(OnnxImport, ShapeArithmeticIsComputedWithAFreeBatch) {
  const Model model = import_proto(onnx_graph(13, {0, 2, 3, 4},
                                              {onnx_node("Shape", {"x"}, {"shape"}), onnx_node("Gather", {"shape", "zero"}, {"batch"}),
                                               onnx_node("Unsqueeze", {"batch", "axes"}, {"first"}),
                                               onnx_node("Concat", {"first", "rest"}, {"target"}, {int_attribute("axis", 0)}),
                                               onnx_node("Reshape", {"x", "target"}, {"y"})},
                                              {onnx::int64_tensor("zero", {}, Ints{0}), onnx_ints("axes", {0}), onnx_ints("rest", {-1})}))
                          .model;
  ASSERT_EQ(model.graph.nodes.size(), 1U);
  EXPECT_EQ(model.graph.nodes[0].op, Op::Flatten);
  EXPECT_EQ(infer_shapes(model.graph, {}, 5).at("y"), (Shape{5, 24}));
}

// TensorFlow's exporters multiply extents and cast between integer types.
TEST(OnnxImport, ShapeArithmeticMultipliesAndCasts) {
  const Model model =
      import_proto(
          onnx_graph(13, {0, 2, 6},
                     {onnx_node("Shape", {"x"}, {"shape"}), onnx_node("Cast", {"shape"}, {"narrow"}, {int_attribute("to", 6)}),
                      onnx_node("Slice", {"narrow", "one", "end"}, {"tail"}), onnx_node("Slice", {"narrow", "zero", "one"}, {"head"}),
                      onnx_node("Gather", {"tail", "first"}, {"a"}), onnx_node("Gather", {"tail", "one"}, {"b"}),
                      onnx_node("Mul", {"a", "b"}, {"ab"}), onnx_node("Concat", {"head", "ab"}, {"target"}, {int_attribute("axis", 0)}),
                      onnx_node("Cast", {"target"}, {"wide"}, {int_attribute("to", 7)}), onnx_node("Reshape", {"x", "wide"}, {"y"})},
                     {onnx_ints("zero", {0}), onnx_ints("one", {1}), onnx_ints("end", {INT64_MAX}), onnx_ints("first", {0})}))
          .model;
  ASSERT_EQ(model.graph.nodes.size(), 1U);
  EXPECT_EQ(infer_shapes(model.graph, {}, 7).at("y"), (Shape{7, 12}));
}

TEST(OnnxImport, AFixedBatchBecomesFree) {
  const Imported imported = import_proto(onnx_graph(13, {4, 2, 3}, {onnx_node("Reshape", {"x", "s"}, {"y"})}, {onnx_ints("s", {4, 6})}));
  EXPECT_EQ(imported.model.graph.inputs[0].shape, (Shape{Shape::kDynamic, 2, 3}));
  EXPECT_EQ(imported.remarks, (std::vector<std::string>{"input \"x\" had a fixed batch of 4; it is free now."}));
  EXPECT_EQ(imported.model.notes.at("import"), imported.remarks[0]);
}

TEST(OnnxImport, DropsIdentitiesAndDeadNodes) {
  const Model model = import_proto(onnx_graph(13, {0, 3},
                                              {onnx_node("Identity", {"x"}, {"a"}), onnx_node("NonMaxSuppression", {"x"}, {"dead"}),
                                               onnx_node("Relu", {"a"}, {"y"})}))
                          .model;
  ASSERT_EQ(model.graph.nodes.size(), 1U);
  EXPECT_EQ(model.graph.nodes[0].inputs, (std::vector<std::string>{"x"}));
}

TEST(OnnxImport, DropsInputsThatNobodyReads) {
  onnx::ModelProto proto = onnx_graph(13, {0, 3}, {onnx_node("Relu", {"x"}, {"y"})});
  proto.graph.inputs.push_back(test::onnx_value("unread", {0, 7}));
  const Imported imported = import_proto(proto);
  EXPECT_EQ(imported.model.graph.inputs.size(), 1U);
  EXPECT_EQ(imported.remarks, (std::vector<std::string>{"input \"unread\" was read by no node; it is gone."}));
}

TEST(OnnxImport, EveryRuleTakesOrRefusesAnyNumberOfInputs) {
  for (const onnx::ImportEntry& entry : onnx::import_entries()) {
    for (std::size_t count = 0; count <= 4; ++count) {
      for (const std::int64_t opset : {1, 6, 9, 13, 21}) {
        SCOPED_TRACE(fmt::format("{} with {} inputs, opset {}", entry.onnx, count, opset));
        onnx::ModelProto proto =
            onnx_graph(opset, {0, 2, 4, 4}, {onnx_node(std::string(entry.onnx), std::vector<std::string>(count, "x"), {"y"})});
        proto.graph.nodes[0].name.clear();
        const auto error = error_of([&] { (void)import_proto(proto); });
        EXPECT_TRUE(!error || error->code() == ErrorCode::unsupported || error->code() == ErrorCode::invalid_input) << error->message();
      }
    }
  }
}

TEST(OnnxImport, SplitIsSlices) {
  onnx::ModelProto proto =
      onnx_graph(13, {0, 6}, {onnx_node("Split", {"x", "sizes"}, {"a", "b"}, {int_attribute("axis", 1)}), onnx_node("Relu", {"b"}, {"y"})},
                 {onnx_ints("sizes", {2, 4})});
  const Model model = import_proto(proto).model;
  const auto slice = std::ranges::find(model.graph.nodes, Op::Slice, &Node::op);
  ASSERT_NE(slice, model.graph.nodes.end());
  EXPECT_EQ(infer_shapes(model.graph, {}, 1).at("b"), (Shape{1, 4}));
  EXPECT_EQ(std::ranges::count(model.graph.nodes, Op::Slice, &Node::op), 1) << "a part that no node reads is left out";
  proto.graph.initializers = {onnx_ints("sizes", {2, 3})};
  EXPECT_THAT(refusal(proto), HasSubstr("sum up to 6"));
}

TEST(OnnxImport, ReadsEveryFloatType) {
  const auto values = [](DataType type, std::vector<std::byte> storage) {
    onnx::TensorProto weight;
    weight.name = "w";
    weight.data_type = type;
    weight.dims = {1, 2};
    weight.has_raw = true;
    weight.storage = std::move(storage);
    return weight_values(
        import_proto(onnx_graph(13, {0, 2}, {onnx_node("Gemm", {"x", "w"}, {"y"}, {int_attribute("transB", 1)})}, {weight}))
            .model.weights.at("w"));
  };
  const auto bytes = [](std::initializer_list<int> list) {
    std::vector<std::byte> result;
    for (const int byte : list) result.push_back(static_cast<std::byte>(byte));
    return result;
  };
  const std::vector<float> wanted = {1.0F, -2.5F};
  EXPECT_EQ(values(DataType::float16, bytes({0x00, 0x3c, 0x00, 0xc1})), wanted);
  EXPECT_EQ(values(DataType::bfloat16, bytes({0x80, 0x3f, 0x20, 0xc0})), wanted);
  EXPECT_EQ(values(DataType::float64, bytes({0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0x04, 0xc0})), wanted);
  EXPECT_EQ(onnx::half_to_float(0x0001), std::ldexp(1.0F, -24));
  EXPECT_EQ(onnx::half_to_float(0x7bff), 65504.0F);
}

TEST(OnnxImport, QuantizedWeightsComeInAsIntegers) {
  const auto gemm = [](onnx::TensorProto codes, onnx::TensorProto scale, std::optional<onnx::TensorProto> zero, std::int64_t axis,
                       bool transposed) {
    std::vector<onnx::TensorProto> initializers = {std::move(codes), std::move(scale)};
    std::vector<std::string> inputs = {"q", "s"};
    if (zero) {
      initializers.push_back(*zero);
      inputs.push_back("z");
    }
    return import_proto(onnx_graph(21, {0, 3},
                                   {onnx_node("DequantizeLinear", inputs, {"w"}, {int_attribute("axis", axis)}),
                                    onnx_node("Gemm", {"x", "w"}, {"y"}, {int_attribute("transB", transposed ? 0 : 1)})},
                                   std::move(initializers)))
        .model;
  };
  const Ints integers = {-128, 5, 127, 0, 1, -2};
  const Model per_tensor = gemm(onnx::integer_tensor("q", DataType::int8, {2, 3}, integers), scalar("s", 0.1F), std::nullopt, 0, false);
  const auto& tensor = std::get<QuantizedTensor>(per_tensor.weights.at("w"));
  EXPECT_EQ(tensor.format().spec(), "codebook:256");
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(tensor.dequantize()[i], static_cast<float>(integers[i]) * 0.1F);

  // One scale an output, stored [in, out]: transposed to [out, in] with its scales.
  const Model per_output =
      gemm(onnx::integer_tensor("q", DataType::uint8, {3, 2}, Ints{128, 0, 129, 255, 127, 128}), onnx_floats("s", {2}, {0.5F, 0.25F}),
           onnx::integer_tensor("z", DataType::uint8, {2}, Ints{128, 128}), 1, true);
  const auto& turned = std::get<QuantizedTensor>(per_output.weights.at("w"));
  EXPECT_EQ(turned.format().spec(), "codebook:256/3");
  EXPECT_EQ(turned.shape(), (Shape{2, 3}));
  EXPECT_EQ(turned.dequantize(), (std::vector<float>{0, 0.5F, -0.5F, -32.0F, 31.75F, 0}));

  const Model four_bits =
      gemm(onnx::integer_tensor("q", DataType::int4, {2, 3}, Ints{-8, 7, 1, 0, -1, 3}), scalar("s", 2.0F), std::nullopt, 0, false);
  EXPECT_EQ(std::get<QuantizedTensor>(four_bits.weights.at("w")).format().spec(), "codebook:16");
  EXPECT_EQ(weight_values(four_bits.weights.at("w")), (std::vector<float>{-16, 14, 2, 0, -2, 6}));

  const Model sixteen =
      gemm(onnx::integer_tensor("q", DataType::int16, {2, 3}, Ints{-32768, 7, 1, 0, -1, 3}), scalar("s", 0.25F), std::nullopt, 0, false);
  EXPECT_EQ(std::get<QuantizedTensor>(sixteen.weights.at("w")).format().spec(), "fixed<14,2>");
}

TEST(OnnxImport, QuantizedActivationsStayFloatWithARemark) {
  const Imported imported = import_proto(onnx_graph(
      13, {0, 3},
      {onnx_node("QuantizeLinear", {"x", "s"}, {"q"}), onnx_node("DequantizeLinear", {"q", "s"}, {"d"}), onnx_node("Relu", {"d"}, {"y"})},
      {scalar("s", 0.1F)}));
  EXPECT_EQ(imported.model.graph.nodes.size(), 1U);
  ASSERT_EQ(imported.remarks.size(), 1U);
  EXPECT_THAT(imported.remarks[0], HasSubstr("stay float32"));
}

TEST(OnnxImport, KeepsLegalNamesAndRewritesOthers) {
  onnx::ModelProto proto = onnx_graph(13, {0, 3}, {onnx_node("Relu", {"x"}, {"a\nb"}), onnx_node("Relu", {"a\nb"}, {"y"})});
  proto.graph.nodes[1].name = proto.graph.nodes[0].name = "same/name:0";
  const Model model = import_proto(proto).model;
  EXPECT_EQ(model.graph.nodes[0].name, "same/name:0");
  EXPECT_EQ(model.graph.nodes[1].name, "same/name:0.2");
  EXPECT_EQ(model.graph.nodes[0].outputs[0], "a\\x0ab");
}

TEST(OnnxImport, ListsAllUnsupportedOperatorsAtOnce) {
  onnx::ModelProto proto = onnx_graph(13, {0, 3},
                                      {onnx_node("Einsum", {"x"}, {"a"}), onnx_node("Relu", {"a"}, {"b"}),
                                       onnx_node("Einsum", {"b"}, {"c"}), onnx_node("Det", {"c"}, {"y"})});
  proto.graph.nodes[3].domain = "com.example";
  expect_error(ErrorCode::unsupported,
               "net.onnx: the network uses operators that are not supported (found Einsum in nodes \"Einsum_a\", \"Einsum_c\"; "
               "com.example.Det in node "
               "\"Det_y\"); docs/onnx.md lists those that are.",
               [&] { (void)import_proto(proto); });
}

TEST(OnnxImport, SaysWhatIsWrongWithAGraph) {
  const auto relu = [] { return onnx_graph(13, {0, 3}, {onnx_node("Relu", {"x"}, {"y"})}); };
  onnx::ModelProto proto = relu();
  proto.graph.nodes = {onnx_node("Relu", {"b"}, {"a"}), onnx_node("Relu", {"a"}, {"b"}), onnx_node("Relu", {"a"}, {"y"})};
  EXPECT_EQ(refusal(proto),
            "invalid_input: net.onnx: node \"Relu_a\" reads \"b\", which only a later node makes (the graph has a cycle or is not sorted); "
            "check the model.");
  proto = relu();
  proto.graph.nodes = {onnx_node("Gemm", {"x", "w"}, {"y"})};
  EXPECT_EQ(refusal(proto),
            "invalid_input: net.onnx: node \"Gemm_y\" reads \"w\", which no node, input or initializer makes; check the model.");
  proto = relu();
  proto.graph.nodes.push_back(proto.graph.nodes[0]);
  EXPECT_EQ(refusal(proto),
            "invalid_input: net.onnx: node \"Relu_y\" makes value \"y\", which exists already; give every value its own name.");
  proto = relu();
  proto.graph.initializers = {scalar("w", 1), scalar("w", 2)};
  EXPECT_EQ(refusal(proto), "invalid_input: net.onnx: two initializers are named \"w\"; give every value its own name.");
  proto = relu();
  proto.graph.inputs[0].dims[1].value = -5;
  EXPECT_THAT(refusal(proto), HasSubstr("extent out of range on axis 1 (found -5"));
  proto.graph.inputs[0].dims[1].value = std::int64_t{1} << 40;
  EXPECT_THAT(refusal(proto), HasSubstr("extent out of range on axis 1 (found 1099511627776"));
  proto.graph.inputs[0].dims[1] = {.value = std::nullopt, .symbol = "width"};
  EXPECT_THAT(refusal(proto), HasSubstr("open extent on axis 1 (found \"width\""));
  proto = relu();
  proto.graph.inputs[0].type = DataType::int64;
  EXPECT_THAT(refusal(proto), HasSubstr("has a type that is not supported (found INT64"));
  proto = relu();
  proto.opset_imports = {{"", 22}};
  EXPECT_EQ(
      refusal(proto),
      "unsupported: net.onnx: the operator set is not supported (found 22, need 1 to 21); export the network again with one of those.");
  proto = relu();
  proto.graph.outputs[0].name = "z";
  EXPECT_EQ(refusal(proto), "invalid_input: net.onnx: output \"z\" is made by no node; check the graph's outputs.");
}

TEST(OnnxImport, NamesWithControlCharactersStayOnOneLine) {
  const std::string message = refusal(onnx_graph(13, {0, 3}, {onnx_node("No\nSuch\x01Op", {"x"}, {"y"})}));
  EXPECT_NE(message.find("No\\x0aSuch\\x01Op"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(OnnxImport, SaysWhatIsWrongWithATensor) {
  const auto gemm = [](onnx::TensorProto weight) {
    weight.name = "w";
    return refusal(onnx_graph(13, {0, 3}, {onnx_node("Gemm", {"x", "w"}, {"y"}, {int_attribute("transB", 1)})}, {std::move(weight)}));
  };
  EXPECT_THAT(gemm(onnx_floats("w", {2, 4}, ramp(8))), HasSubstr("weight \"w\" does not fit node \"Gemm_y\" (found [2, 4], need [?, 3])"));
  EXPECT_THAT(gemm(onnx_floats("w", {2, 3}, ramp(5))), HasSubstr("a number of bytes that its shape and type deny (found 20, need 24"));
  EXPECT_THAT(gemm(onnx_floats("w", {2, -3}, ramp(5))), HasSubstr("an extent out of range"));
  EXPECT_THAT(gemm(onnx_floats("w", {1 << 30, 1 << 30}, ramp(6))), HasSubstr("an extent out of range"));
  EXPECT_THAT(gemm(onnx_floats("w", {2, 3}, {1, 2, NAN, 4, 5, 6})), HasSubstr("weight \"w\" is not finite at index 2"));
  EXPECT_THAT(gemm(onnx::int64_tensor("w", {2, 3}, Ints(6))), HasSubstr("has a type that can't be a weight (found INT64"));
  onnx::TensorProto list;
  list.data_type = DataType::int8;
  list.dims = {2, 3};
  list.ints = {1, 2, 3, 4, 5, 300};
  list.name = "q";
  onnx::TensorBytes bytes("net.onnx", std::nullopt, {});
  expect_error(ErrorCode::invalid_input,
               "net.onnx: tensor \"q\" holds a value that its type can't (found 300, need -128 to 127 for INT8); check the model.",
               [&] { (void)bytes.integers(list); });
  onnx::TensorProto text;
  text.data_type = DataType::text;
  text.dims = {2, 3};
  EXPECT_THAT(gemm(text), HasSubstr("has a type that is not supported (found STRING"));
}

TEST(OnnxImport, EveryTruncationIsRefused) {
  const std::vector<std::byte> file = onnx::write_model(
      onnx_graph(13, {0, 3}, {onnx_node("Gemm", {"x", "w"}, {"y"}, {int_attribute("transB", 1)})}, {onnx_floats("w", {2, 3}, ramp(6))}));
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto error = error_of([&] { (void)import_onnx(std::span(file).first(size), "net.onnx"); });
    ASSERT_TRUE(error) << size;
    EXPECT_THAT(error->message(), testing::StartsWith("net.onnx: ")) << size;
    EXPECT_EQ(exit_code(error->code()), 3) << size << error->message();
  }
}

class ExternalData : public testing::Test {
 protected:
  std::string refusal_of(const std::string& location, const std::string& offset = "", const std::string& length = "") {
    const auto error = error_of([&] { (void)load(location, offset, length); });
    return error ? error->message().substr(error->message().find(": tensor") + 2) : "nothing";
  }
  Imported load(const std::string& location, const std::string& offset, const std::string& length) {
    onnx::ModelProto proto =
        onnx_graph(13, {0, 3}, {onnx_node("Gemm", {"x", "w"}, {"y"}, {int_attribute("transB", 1)})}, {onnx_floats("w", {2, 3}, ramp(6))});
    std::filesystem::create_directories(folder_.path() / "model");
    const std::vector<float> values = ramp(8);
    write_file_atomic(folder_.path() / "model/net.data", std::as_bytes(std::span(values)));
    write_file_atomic(folder_.path() / "secret", std::as_bytes(std::span(values)));
    std::error_code ignored;
    std::filesystem::create_symlink(folder_.path() / "secret", folder_.path() / "model/link", ignored);
    // The writer has no external data, so the entries are put in by hand: fields 13 and 14 behind a tensor without raw data.
    onnx::WireWriter tensor;
    tensor.integer(1, 2);
    tensor.integer(1, 3);
    tensor.integer(2, 1);
    tensor.text(8, "w");
    for (const auto& [key, value] : std::map<std::string, std::string>{{"location", location}, {"offset", offset}, {"length", length}}) {
      if (value.empty()) continue;
      onnx::WireWriter entry;
      entry.text(1, key);
      entry.text(2, value);
      tensor.message(13, entry);
    }
    tensor.integer(14, 1);
    proto.graph.initializers.clear();
    std::vector<std::byte> file = onnx::write_model(proto);
    onnx::WireWriter graph;
    graph.message(5, tensor);
    // A second piece of the graph's message would be merged by protobuf; here the whole graph is written anew with the tensor in it.
    onnx::WireReader reader(file, source_);
    onnx::WireWriter whole;
    for (onnx::WireField field; reader.next(field);) {
      if (field.number == 7) {
        std::vector<std::byte> content(field.bytes.begin(), field.bytes.end());
        content.insert(content.end(), graph.view().begin(), graph.view().end());
        whole.bytes(7, content);
      } else if (field.type == onnx::kVarint) {
        whole.integer(field.number, static_cast<std::int64_t>(field.value));
      } else {
        whole.bytes(field.number, field.bytes);
      }
    }
    write_file_atomic(folder_.path() / "model/net.onnx", whole.view());
    return import_onnx(folder_.path() / "model/net.onnx");
  }
  test::TempFolder folder_;
  std::string source_ = "net.onnx";
};

TEST_F(ExternalData, IsReadFromTheModelsFolder) {
  EXPECT_EQ(weight_values(load("net.data", "8", "24").model.weights.at("w")), ramp(6, 2.0F));
  EXPECT_EQ(weight_values(load("./net.data", "", "24").model.weights.at("w")), ramp(6));
}

TEST_F(ExternalData, IsRefusedOutsideIt) {
  const std::string kOutside =
      "tensor \"w\" lies outside the model's folder (found location \"{}\", need a path inside it); a model must not read other files.";
  for (const std::string location : {"../secret", "sub/../../secret", "link", "/etc/passwd", ""}) {
    EXPECT_EQ(refusal_of(location, "", "24"), fmt::format(fmt::runtime(kOutside), location));
  }
  EXPECT_THAT(refusal_of("net.data", "16", "24"),
              HasSubstr("lies behind the end of its file (found offset 16 and length \"24\" in 32 bytes"));
  EXPECT_THAT(refusal_of("net.data", "x", "24"), HasSubstr("external offset or length that is no number"));
  EXPECT_THAT(refusal_of("net.data", "0", "20"), HasSubstr("a number of bytes that its shape and type deny"));
}

TEST(OnnxImport, NamesItsOperators) {
  const std::vector<ImportableOperator> operators = importable_operators();
  EXPECT_TRUE(std::ranges::is_sorted(operators, {}, &ImportableOperator::onnx));
  EXPECT_GE(operators.size(), 50U);
}

}  // namespace
}  // namespace bitwright
