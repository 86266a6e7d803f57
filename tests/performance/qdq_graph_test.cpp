// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/qdq_graph.h"

#include "bitwright/core/error.h"
#include "bitwright/model/passes.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/proto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace bitwright {
namespace {

using onnx::DataType;
using onnx::ModelProto;
using onnx::NodeProto;
using onnx::TensorProto;

const TensorProto& tensor_of(const ModelProto& file, const std::string& name) {
  const auto found = std::ranges::find(file.graph.initializers, name, &TensorProto::name);
  EXPECT_NE(found, file.graph.initializers.end()) << name;
  return *found;
}

template <typename T>
std::vector<T> values_of(const TensorProto& tensor) {
  std::vector<T> values(tensor.raw_view().size() / sizeof(T));
  std::memcpy(values.data(), tensor.raw_view().data(), tensor.raw_view().size());
  return values;
}

/// 3 inputs, Gemm of 2 outputs, Relu, Gemm of 1 output.
Model small_model() {
  Model model;
  model.graph.name = "small";
  model.graph.inputs = {{.name = "x", .shape = Shape{Shape::kDynamic, 3}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {
      {.name = "fc1", .op = Op::Gemm, .inputs = {"x", "w1", "b1"}, .outputs = {"h"}, .attributes = {{"transB", std::int64_t{1}}}},
      {.name = "relu", .op = Op::Relu, .inputs = {"h"}, .outputs = {"r"}, .attributes = {}},
      {.name = "fc2", .op = Op::Gemm, .inputs = {"r", "w2", "b2"}, .outputs = {"y"}, .attributes = {{"transB", std::int64_t{1}}}}};
  model.weights["w1"] = FloatTensor{.shape = Shape{2, 3}, .values = {1.27F, 0.0F, -0.64F, 0.0F, 0.0F, 0.0F}};
  model.weights["b1"] = FloatTensor{.shape = Shape{2}, .values = {0.5F, -1.0F}};
  model.weights["w2"] = FloatTensor{.shape = Shape{1, 2}, .values = {2.54F, -2.54F}};
  model.weights["b2"] = FloatTensor{.shape = Shape{1}, .values = {0.0F}};
  return model;
}

TEST(QdqGraph, GridsAreTheirRanges) {
  const ValueRanges ranges = {{"x", {-1.0F, 1.55F}}, {"h", {-9.0F, 9.0F}}, {"r", {0.5F, 5.1F}}};
  const std::vector<std::byte> bytes = onnx_int8_qdq(small_model(), ranges);
  const ModelProto file = onnx::parse_model(bytes, "small.onnx");
  // 255 steps of 0.01 from -1 to 1.55; a range that begins above 0 is widened to it.
  EXPECT_FLOAT_EQ(values_of<float>(tensor_of(file, "x/scale"))[0], 0.01F);
  EXPECT_EQ(values_of<std::uint8_t>(tensor_of(file, "x/zero"))[0], 100);
  EXPECT_FLOAT_EQ(values_of<float>(tensor_of(file, "r/scale"))[0], 0.02F);
  EXPECT_EQ(values_of<std::uint8_t>(tensor_of(file, "r/zero"))[0], 0);
  // Weights per output channel; a channel of zeros has some scale.
  EXPECT_EQ(values_of<std::int8_t>(tensor_of(file, "w1/q")), (std::vector<std::int8_t>{127, 0, -64, 0, 0, 0}));
  EXPECT_FLOAT_EQ(values_of<float>(tensor_of(file, "w1/scale"))[0], 0.01F);
  EXPECT_EQ(values_of<float>(tensor_of(file, "w1/scale"))[1], 1.0F);
  EXPECT_EQ(values_of<std::int8_t>(tensor_of(file, "w2/q")), (std::vector<std::int8_t>{127, -127}));
  // Biases in steps of both scales: 0.5 / 1e-4, -1 / 1e-2.
  EXPECT_EQ(values_of<std::int32_t>(tensor_of(file, "b1/q")), (std::vector<std::int32_t>{5000, -100}));
}

TEST(QdqGraph, PairsStandWhereOnnxRuntimeFusesThem) {
  const ValueRanges ranges = {{"x", {-1.0F, 1.0F}}, {"h", {-1.0F, 1.0F}}, {"r", {0.0F, 1.0F}}};
  const std::vector<std::byte> bytes = onnx_int8_qdq(small_model(), ranges);
  const ModelProto file = onnx::parse_model(bytes, "small.onnx");
  std::set<std::string> quantized;
  for (const NodeProto& node : file.graph.nodes) {
    if (node.op_type == "QuantizeLinear") quantized.insert(node.inputs.front());
  }
  // Not between a product and its Relu, and the output stays float.
  EXPECT_EQ(quantized, (std::set<std::string>{"x", "r"}));
  const auto product = std::ranges::find(file.graph.nodes, "fc1", &NodeProto::name);
  ASSERT_NE(product, file.graph.nodes.end());
  EXPECT_EQ(product->inputs, (std::vector<std::string>{"x/dq", "w1/dq", "b1/dq"}));
  for (const TensorProto& tensor : file.graph.initializers) {
    EXPECT_TRUE(tensor.data_type != DataType::float32 || tensor.name.ends_with("/scale")) << tensor.name << " is still float";
  }
}

TEST(QdqGraph, AValueWithoutRangeIsRefused) { EXPECT_THROW((void)onnx_int8_qdq(small_model(), {{"x", {0.0F, 1.0F}}}), Error); }

TEST(QdqGraph, EveryProductOfResNet20IsInIntegers) {
  const Model model = fold_batch_normalization(remove_training_nodes(build_zoo_model("resnet20", 1)));
  ValueRanges ranges = {{model.graph.inputs.front().name, {-1.0F, 1.0F}}};
  for (const Node& node : model.graph.nodes) ranges[node.outputs.front()] = {-1.0F, 1.0F};
  const std::vector<std::byte> bytes = onnx_int8_qdq(model, ranges);
  const ModelProto file = onnx::parse_model(bytes, "resnet20.onnx");
  int products = 0;
  for (const NodeProto& node : file.graph.nodes) {
    if (node.op_type != "Conv" && node.op_type != "Gemm") continue;
    ++products;
    for (const std::string& input : node.inputs) EXPECT_TRUE(input.ends_with("/dq")) << node.name << ": " << input;
  }
  EXPECT_EQ(products, 20);
}

TEST(QdqGraph, AllValuesAreOutputs) {
  const std::vector<std::byte> bytes = onnx_with_all_values(small_model());
  const ModelProto file = onnx::parse_model(bytes, "small.onnx");
  std::set<std::string> outputs;
  for (const onnx::ValueInfo& output : file.graph.outputs) outputs.insert(output.name);
  EXPECT_EQ(outputs, (std::set<std::string>{"h", "r", "y"}));
}

}  // namespace
}  // namespace bitwright
