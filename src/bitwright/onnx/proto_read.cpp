// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/onnx/wire.h"

#include <algorithm>

namespace bitwright::onnx {
namespace {

constexpr std::uint64_t kMaxFileBytes = (std::uint64_t{1} << 31) - 1;  // protobuf's own limit
constexpr std::uint64_t kMaxLists = 1 << 16;                           // entries of lists that have no limit in model/limits.h

void require_count(const WireReader& reader, std::string_view what, std::size_t count, std::uint64_t limit) {
  if (count > limit) reader.fail_here(fmt::format("more than {} {}", limit, what));
}

std::pair<std::string, std::string> read_string_pair(WireReader reader) {
  std::pair<std::string, std::string> entry;
  for (WireField field; reader.next(field);) {
    if (field.number == 1) entry.first = reader.text(field);
    if (field.number == 2) entry.second = reader.text(field);
  }
  return entry;
}

TensorProto read_tensor(WireReader reader) {
  TensorProto tensor;
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1:
        reader.append_integers(field, tensor.dims);
        require_count(reader, "axes of a tensor", tensor.dims.size(), kMaxLists);
        break;
      case 2: tensor.data_type = static_cast<DataType>(reader.integer(field)); break;
      case 4: reader.append_floats(field, tensor.floats); break;
      case 5:
      case 7:
      case 11: reader.append_integers(field, tensor.ints); break;
      case 8: tensor.name = reader.text(field); break;
      case 9:
        tensor.raw = reader.bytes(field);
        tensor.has_raw = true;
        break;
      case 10: reader.append_doubles(field, tensor.doubles); break;
      case 13: tensor.external.insert(read_string_pair(reader.nested(field))); break;
      case 14: tensor.is_external = reader.integer(field) == 1; break;
      default: break;
    }
  }
  return tensor;
}

AttributeProto read_attribute(WireReader reader) {
  AttributeProto attribute;
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1: attribute.name = reader.text(field); break;
      case 2: attribute.f = reader.real(field); break;
      case 3: attribute.i = reader.integer(field); break;
      case 4: attribute.s = reader.text(field); break;
      case 5: attribute.t = read_tensor(reader.nested(field)); break;
      case 7: reader.append_floats(field, attribute.floats); break;
      case 8: reader.append_integers(field, attribute.ints); break;
      case 9:
        attribute.strings.push_back(reader.text(field));
        require_count(reader, "texts of an attribute", attribute.strings.size(), kMaxLists);
        break;
      case 20: attribute.type = static_cast<std::int32_t>(reader.integer(field)); break;
      default: break;
    }
  }
  return attribute;
}

NodeProto read_node(WireReader reader) {
  NodeProto node;
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1: node.inputs.push_back(reader.text(field)); break;
      case 2: node.outputs.push_back(reader.text(field)); break;
      case 3: node.name = reader.text(field); break;
      case 4: node.op_type = reader.text(field); break;
      case 5: node.attributes.push_back(read_attribute(reader.nested(field))); break;
      case 7: node.domain = reader.text(field); break;
      default: break;
    }
  }
  require_count(reader, "inputs of a node", node.inputs.size(), kMaxLists);
  require_count(reader, "outputs of a node", node.outputs.size(), limits::kMaxNodeOutputs);
  require_count(reader, "attributes of a node", node.attributes.size(), limits::kMaxNodeAttributes);
  return node;
}

Dimension read_dimension(WireReader reader) {
  Dimension dimension;
  for (WireField field; reader.next(field);) {
    if (field.number == 1) dimension.value = reader.integer(field);
    if (field.number == 2) dimension.symbol = reader.text(field);
  }
  return dimension;
}

void read_tensor_type(WireReader reader, ValueInfo& value) {
  for (WireField field; reader.next(field);) {
    if (field.number == 1) value.type = static_cast<DataType>(reader.integer(field));
    if (field.number != 2) continue;
    value.has_shape = true;
    WireReader shape = reader.nested(field);
    for (WireField dim; shape.next(dim);) {
      if (dim.number == 1) value.dims.push_back(read_dimension(shape.nested(dim)));
      require_count(shape, "axes of a value", value.dims.size(), kMaxLists);
    }
  }
}

ValueInfo read_value(WireReader reader) {
  ValueInfo value;
  for (WireField field; reader.next(field);) {
    if (field.number == 1) value.name = reader.text(field);
    if (field.number != 2) continue;
    WireReader type = reader.nested(field);
    for (WireField choice; type.next(choice);) {
      if (choice.number == 1) read_tensor_type(type.nested(choice), value);
    }
  }
  return value;
}

GraphProto read_graph(WireReader reader, const std::string& source) {
  GraphProto graph;
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1:
        graph.nodes.push_back(read_node(reader.nested(field)));
        require_count(reader, "nodes", graph.nodes.size(), limits::kMaxNodes);
        break;
      case 2: graph.name = reader.text(field); break;
      case 5:
        graph.initializers.push_back(read_tensor(reader.nested(field)));
        require_count(reader, "initializers", graph.initializers.size(), 4 * limits::kMaxWeights);
        break;
      case 11:
        graph.inputs.push_back(read_value(reader.nested(field)));
        require_count(reader, "inputs of the graph", graph.inputs.size(), 4 * limits::kMaxWeights);
        break;
      case 12:
        graph.outputs.push_back(read_value(reader.nested(field)));
        require_count(reader, "outputs of the graph", graph.outputs.size(), limits::kMaxGraphOutputs);
        break;
      case 15:
        fail(ErrorCode::unsupported, "{}: sparse initializers are not supported (found one, need dense tensors); store them densely.",
             source);
      default: break;
    }
  }
  return graph;
}

std::pair<std::string, std::int64_t> read_opset(WireReader reader) {
  std::pair<std::string, std::int64_t> opset;
  for (WireField field; reader.next(field);) {
    if (field.number == 1) opset.first = reader.text(field);
    if (field.number == 2) opset.second = reader.integer(field);
  }
  return opset;
}

}  // namespace

const AttributeProto* NodeProto::attribute(std::string_view key) const noexcept {
  const auto found = std::ranges::find(attributes, key, &AttributeProto::name);
  return found == attributes.end() ? nullptr : &*found;
}

std::string data_type_name(DataType type) {
  switch (type) {
    case DataType::undefined: return "UNDEFINED";
    case DataType::float32: return "FLOAT";
    case DataType::uint8: return "UINT8";
    case DataType::int8: return "INT8";
    case DataType::uint16: return "UINT16";
    case DataType::int16: return "INT16";
    case DataType::int32: return "INT32";
    case DataType::int64: return "INT64";
    case DataType::text: return "STRING";
    case DataType::boolean: return "BOOL";
    case DataType::float16: return "FLOAT16";
    case DataType::float64: return "DOUBLE";
    case DataType::uint32: return "UINT32";
    case DataType::uint64: return "UINT64";
    case DataType::bfloat16: return "BFLOAT16";
    case DataType::uint4: return "UINT4";
    case DataType::int4: return "INT4";
  }
  return fmt::format("type {}", static_cast<std::int32_t>(type));
}

int data_type_bits(DataType type) noexcept {
  switch (type) {
    case DataType::uint4:
    case DataType::int4: return 4;
    case DataType::uint8:
    case DataType::int8:
    case DataType::boolean: return 8;
    case DataType::uint16:
    case DataType::int16:
    case DataType::float16:
    case DataType::bfloat16: return 16;
    case DataType::float32:
    case DataType::int32:
    case DataType::uint32: return 32;
    case DataType::float64:
    case DataType::int64:
    case DataType::uint64: return 64;
    default: return 0;
  }
}

std::int64_t raw_bytes(DataType type, std::int64_t element_count) noexcept {
  const int bits = data_type_bits(type);
  return bits == 4 ? element_count / 2 + element_count % 2 : element_count * (bits / 8);
}

TensorProto parse_tensor(std::span<const std::byte> file, const std::string& source) { return read_tensor(WireReader(file, source)); }

ModelProto parse_model(std::span<const std::byte> file, const std::string& source) {
  if (file.size() > kMaxFileBytes) {
    fail(ErrorCode::unsupported,
         "{}: the file is larger than protobuf allows (found {} bytes, need at most {}); store weights as external {}", source, file.size(),
         kMaxFileBytes, "data.");
  }
  ModelProto model;
  bool has_graph = false;
  WireReader reader(file, source);
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1: model.ir_version = reader.integer(field); break;
      case 2: model.producer_name = reader.text(field); break;
      case 3: model.producer_version = reader.text(field); break;
      case 7:
        if (has_graph) reader.fail_here("a second graph");
        has_graph = true;
        model.graph = read_graph(reader.nested(field), source);
        break;
      case 8:
        model.opset_imports.push_back(read_opset(reader.nested(field)));
        require_count(reader, "operator sets", model.opset_imports.size(), kMaxLists);
        break;
      case 14:
        model.metadata.push_back(read_string_pair(reader.nested(field)));
        require_count(reader, "metadata entries", model.metadata.size(), 4 * limits::kMaxWeights);
        break;
      default: break;
    }
  }
  if (!has_graph || model.ir_version < 1) {
    fail(ErrorCode::corrupt_file, "{}: this is no ONNX model (found {}, need a version and a graph); give an .onnx file.", source,
         file.empty() ? "an empty file"
         : !has_graph ? "no graph"
                      : "no version");
  }
  return model;
}

}  // namespace bitwright::onnx
