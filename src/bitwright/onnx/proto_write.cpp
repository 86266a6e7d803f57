// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/onnx/wire.h"

namespace bitwright::onnx {
namespace {

constexpr std::uint32_t kRawData = 9;

/// Everything of a tensor but its raw data, which is the last field.
WireWriter tensor_head(const TensorProto& tensor) {
  WireWriter writer;
  for (const std::int64_t dim : tensor.dims) writer.integer(1, dim);
  writer.integer(2, static_cast<std::int64_t>(tensor.data_type));
  if (!tensor.name.empty()) writer.text(8, tensor.name);
  return writer;
}

WireWriter attribute_message(const AttributeProto& attribute) {
  WireWriter writer;
  writer.text(1, attribute.name);
  switch (static_cast<AttributeType>(attribute.type)) {
    case AttributeType::real: writer.real(2, attribute.f); break;
    case AttributeType::integer: writer.integer(3, attribute.i); break;
    case AttributeType::text: writer.text(4, attribute.s); break;
    case AttributeType::tensor: writer.message_with_tail(5, tensor_head(*attribute.t), kRawData, attribute.t->raw_view()); break;
    case AttributeType::reals:
      for (const float value : attribute.floats) writer.real(7, value);
      break;
    case AttributeType::integers:
      for (const std::int64_t value : attribute.ints) writer.integer(8, value);
      break;
    case AttributeType::texts:
      for (const std::string& value : attribute.strings) writer.text(9, value);
      break;
    case AttributeType::undefined: break;
  }
  writer.integer(20, attribute.type);
  return writer;
}

WireWriter node_message(const NodeProto& node) {
  WireWriter writer;
  for (const std::string& input : node.inputs) writer.text(1, input);
  for (const std::string& output : node.outputs) writer.text(2, output);
  if (!node.name.empty()) writer.text(3, node.name);
  writer.text(4, node.op_type);
  for (const AttributeProto& attribute : node.attributes) writer.message(5, attribute_message(attribute));
  if (!node.domain.empty()) writer.text(7, node.domain);
  return writer;
}

WireWriter value_message(const ValueInfo& value) {
  WireWriter shape;
  for (const Dimension& dim : value.dims) {
    WireWriter extent;
    if (dim.value) extent.integer(1, *dim.value);
    if (!dim.value && !dim.symbol.empty()) extent.text(2, dim.symbol);
    shape.message(1, extent);
  }
  WireWriter tensor;
  tensor.integer(1, static_cast<std::int64_t>(value.type));
  if (value.has_shape) tensor.message(2, shape);
  WireWriter type;
  type.message(1, tensor);
  WireWriter writer;
  writer.text(1, value.name);
  writer.message(2, type);
  return writer;
}

WireWriter graph_message(const GraphProto& graph) {
  WireWriter writer;
  std::size_t size = 1 << 16;
  for (const TensorProto& tensor : graph.initializers) size += tensor.raw_view().size() + tensor.name.size() + 64;
  writer.reserve(size);
  for (const NodeProto& node : graph.nodes) writer.message(1, node_message(node));
  writer.text(2, graph.name);
  for (const TensorProto& tensor : graph.initializers) writer.message_with_tail(5, tensor_head(tensor), kRawData, tensor.raw_view());
  for (const ValueInfo& input : graph.inputs) writer.message(11, value_message(input));
  for (const ValueInfo& output : graph.outputs) writer.message(12, value_message(output));
  return writer;
}

}  // namespace

std::vector<std::byte> write_model(const ModelProto& model) {
  const WireWriter graph = graph_message(model.graph);
  constexpr std::uint64_t kMaxGraphBytes = (std::uint64_t{1} << 31) - (1 << 20);  // protobuf's 2 GiB, less room for the fields around it
  if (graph.view().size() > kMaxGraphBytes) {
    fail(ErrorCode::unsupported, "{}: the ONNX file would be larger than protobuf allows (found {} bytes, need at most {}); {}",
         model.graph.name, graph.view().size(), kMaxGraphBytes, "choose a smaller form.");
  }
  WireWriter writer;
  writer.reserve(graph.view().size() + (1 << 16));
  writer.integer(1, model.ir_version);
  writer.text(2, model.producer_name);
  writer.text(3, model.producer_version);
  writer.message(7, graph);
  for (const auto& [domain, version] : model.opset_imports) {
    WireWriter opset;
    opset.text(1, domain);
    opset.integer(2, version);
    writer.message(8, opset);
  }
  for (const auto& [key, value] : model.metadata) {
    WireWriter entry;
    entry.text(1, key);
    entry.text(2, value);
    writer.message(14, entry);
  }
  return std::move(writer).take();
}

}  // namespace bitwright::onnx
