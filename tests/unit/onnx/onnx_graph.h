// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/onnx/import.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/onnx/weight_graph.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright::test {

using onnx::DataType;
using onnx::ModelProto;
using onnx::NodeProto;
using onnx::TensorProto;

inline NodeProto onnx_node(std::string op, std::vector<std::string> inputs, std::vector<std::string> outputs,
                           std::vector<onnx::AttributeProto> attributes = {}) {
  NodeProto node;
  node.name = op + "_" + outputs.front();
  node.op_type = std::move(op);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  node.attributes = std::move(attributes);
  return node;
}

/// One float value of a graph; an extent of 0 is the open batch.
inline onnx::ValueInfo onnx_value(std::string name, std::vector<std::int64_t> dims) {
  onnx::ValueInfo value{.name = std::move(name), .type = DataType::float32, .has_shape = true, .dims = {}};
  for (const std::int64_t dim : dims) {
    value.dims.push_back(dim == 0 ? onnx::Dimension{.value = std::nullopt, .symbol = "N"} : onnx::Dimension{.value = dim, .symbol = ""});
  }
  return value;
}

/// A graph from "x" to "y".
inline ModelProto onnx_graph(std::int64_t opset, std::vector<std::int64_t> input, std::vector<NodeProto> nodes,
                             std::vector<TensorProto> initializers = {}) {
  ModelProto model;
  model.ir_version = 8;
  model.opset_imports = {{"", opset}};
  model.graph.name = "net";
  model.graph.nodes = std::move(nodes);
  model.graph.initializers = std::move(initializers);
  model.graph.inputs = {onnx_value("x", std::move(input))};
  model.graph.outputs = {onnx_value("y", {0})};
  return model;
}

inline std::vector<float> ramp(std::size_t count, float first = 0.0F, float step = 1.0F) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + step * static_cast<float>(i);
  return values;
}

inline TensorProto onnx_floats(std::string name, std::vector<std::int64_t> dims, const std::vector<float>& values) {
  return onnx::float_tensor(std::move(name), std::move(dims), values);
}

inline TensorProto onnx_ints(std::string name, std::vector<std::int64_t> values) {
  return onnx::int64_tensor(std::move(name), {std::ssize(values)}, values);
}

inline Imported import_proto(const ModelProto& proto) { return import_onnx(onnx::write_model(proto), "net.onnx"); }

}  // namespace bitwright::test
