// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/packed/sections.h"

namespace bitwright {
namespace {

// The wire numbers of attribute types are the variant's alternatives, in their order in graph.h.
void put_attribute(ByteWriter& writer, const Attribute& attribute) {
  writer.u8(static_cast<std::uint8_t>(attribute.index()));
  if (const auto* integer = std::get_if<std::int64_t>(&attribute)) put_signed_varint(writer, *integer);
  if (const auto* number = std::get_if<float>(&attribute)) writer.f32(*number);
  if (const auto* text = std::get_if<std::string>(&attribute)) put_text(writer, *text, limits::kMaxTextBytes, "bytes of a text attribute");
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&attribute)) {
    put_count(writer, integers->size(), limits::kMaxAttributeValues, "numbers in an attribute");
    for (const std::int64_t value : *integers) put_signed_varint(writer, value);
  }
  if (const auto* numbers = std::get_if<std::vector<float>>(&attribute)) {
    put_count(writer, numbers->size(), limits::kMaxAttributeValues, "numbers in an attribute");
    for (const float value : *numbers) writer.f32(value);
  }
}

Attribute get_attribute(ByteReader& reader) {
  const std::uint64_t start = reader.position();
  const std::uint8_t type = reader.u8();
  switch (type) {
    case 0: return get_signed_varint(reader);
    case 1: return reader.f32();
    case 2: return get_text(reader, limits::kMaxTextBytes, "bytes of a text attribute");
    case 3: {
      const std::uint64_t count = get_count(reader, limits::kMaxAttributeValues, "numbers in an attribute");
      std::vector<std::int64_t> values;
      for (std::uint64_t i = 0; i < count; ++i) values.push_back(get_signed_varint(reader));
      return values;
    }
    case 4: {
      const std::uint64_t count = get_count(reader, limits::kMaxAttributeValues, "numbers in an attribute");
      std::vector<float> values;
      for (std::uint64_t i = 0; i < count; ++i) values.push_back(reader.f32());
      return values;
    }
    default:
      fail(ErrorCode::corrupt_file,
           "{}: an attribute at byte {} has an unknown type (found {}, need 0 to 4); the file is damaged, get it again.", reader.source(),
           start, type);
  }
}

void put_references(ByteWriter& writer, const std::vector<std::string>& names, std::uint64_t limit, std::string_view what,
                    const StringTable& strings) {
  put_count(writer, names.size(), limit, what);
  for (const std::string& name : names) strings.put_reference(writer, name);
}

std::vector<std::string> get_references(ByteReader& reader, std::uint64_t limit, std::string_view what, const StringTable& strings) {
  const std::uint64_t count = get_count(reader, limit, what);
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < count; ++i) names.push_back(strings.get_reference(reader));
  return names;
}

Op get_op(ByteReader& reader, const StringTable& strings) {
  const std::string name = strings.get_reference(reader);
  try {
    return parse_op(name);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", reader.source(), error.message());
  }
}

Node get_node(ByteReader& reader, const StringTable& strings) {
  Node node;
  node.name = strings.get_reference(reader);
  node.op = get_op(reader, strings);
  node.inputs = get_references(reader, limits::kMaxNodeInputs, "inputs of a node", strings);
  node.outputs = get_references(reader, limits::kMaxNodeOutputs, "outputs of a node", strings);
  const std::uint64_t attributes = get_count(reader, limits::kMaxNodeAttributes, "attributes of a node");
  for (std::uint64_t i = 0; i < attributes; ++i) {
    std::string key = strings.get_reference(reader);
    node.attributes.insert_or_assign(std::move(key), get_attribute(reader));
  }
  return node;
}

}  // namespace

StringTable collect_strings(const Model& model) {
  std::vector<std::string> texts = {model.graph.name};
  const auto add = [&texts](const std::vector<std::string>& names) { texts.insert(texts.end(), names.begin(), names.end()); };
  for (const GraphInput& input : model.graph.inputs) texts.push_back(input.name);
  add(model.graph.outputs);
  for (const Node& node : model.graph.nodes) {
    texts.push_back(node.name);
    texts.emplace_back(op_entry(node.op).name);
    add(node.inputs);
    add(node.outputs);
    for (const auto& [key, value] : node.attributes) texts.push_back(key);
  }
  for (const auto& [name, weight] : model.weights) texts.push_back(name);
  return StringTable(std::move(texts));
}

void put_graph(ByteWriter& writer, const Graph& graph, const StringTable& strings) {
  strings.put_reference(writer, graph.name);
  put_count(writer, graph.inputs.size(), limits::kMaxGraphInputs, "inputs of the graph");
  for (const GraphInput& input : graph.inputs) {
    strings.put_reference(writer, input.name);
    put_count(writer, input.shape.rank(), limits::kMaxTensorRank, "axes of an input");
    // One more than the extent: 0 is a dynamic one.
    for (const std::int64_t dim : input.shape.dims()) put_varint(writer, static_cast<std::uint64_t>(dim + 1));
  }
  put_references(writer, graph.outputs, limits::kMaxGraphOutputs, "outputs of the graph", strings);
  put_count(writer, graph.nodes.size(), limits::kMaxNodes, "nodes of the graph");
  for (const Node& node : graph.nodes) {
    strings.put_reference(writer, node.name);
    strings.put_reference(writer, op_entry(node.op).name);
    put_references(writer, node.inputs, limits::kMaxNodeInputs, "inputs of a node", strings);
    put_references(writer, node.outputs, limits::kMaxNodeOutputs, "outputs of a node", strings);
    put_count(writer, node.attributes.size(), limits::kMaxNodeAttributes, "attributes of a node");
    for (const auto& [key, value] : node.attributes) {
      strings.put_reference(writer, key);
      put_attribute(writer, value);
    }
  }
}

Graph get_graph(ByteReader& reader, const StringTable& strings) {
  Graph graph;
  graph.name = strings.get_reference(reader);
  const std::uint64_t inputs = get_count(reader, limits::kMaxGraphInputs, "inputs of the graph");
  for (std::uint64_t i = 0; i < inputs; ++i) {
    std::string name = strings.get_reference(reader);
    const std::uint64_t rank = get_count(reader, limits::kMaxTensorRank, "axes of an input");
    std::vector<std::int64_t> dims;
    for (std::uint64_t axis = 0; axis < rank; ++axis) {
      dims.push_back(static_cast<std::int64_t>(get_count(reader, limits::kMaxExtent + 1, "extent of an input")) - 1);
    }
    graph.inputs.push_back({.name = std::move(name), .shape = Shape(std::move(dims))});
  }
  graph.outputs = get_references(reader, limits::kMaxGraphOutputs, "outputs of the graph", strings);
  const std::uint64_t nodes = get_count(reader, limits::kMaxNodes, "nodes of the graph");
  for (std::uint64_t i = 0; i < nodes; ++i) graph.nodes.push_back(get_node(reader, strings));
  return graph;
}

}  // namespace bitwright
