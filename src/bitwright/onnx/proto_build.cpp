// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/assert.h"
#include "bitwright/onnx/weight_graph.h"

#include <cstring>

namespace bitwright::onnx {

TensorProto float_tensor(std::string name, std::vector<std::int64_t> dims, std::span<const float> values) {
  TensorProto tensor;
  tensor.name = std::move(name);
  tensor.data_type = DataType::float32;
  tensor.dims = std::move(dims);
  tensor.has_raw = true;
  const std::span<const std::byte> bytes = std::as_bytes(values);
  tensor.storage.assign(bytes.begin(), bytes.end());
  return tensor;
}

TensorProto int64_tensor(std::string name, std::vector<std::int64_t> dims, std::span<const std::int64_t> values) {
  return integer_tensor(std::move(name), DataType::int64, std::move(dims), values);
}

TensorProto integer_tensor(std::string name, DataType type, std::vector<std::int64_t> dims, std::span<const std::int64_t> values) {
  TensorProto tensor;
  tensor.name = std::move(name);
  tensor.data_type = type;
  tensor.dims = std::move(dims);
  tensor.has_raw = true;
  tensor.storage.resize(static_cast<std::size_t>(raw_bytes(type, std::ssize(values))));
  const int bits = data_type_bits(type);
  BITWRIGHT_ASSERT(bits >= 4);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<std::uint64_t>(values[i]);
    if (bits == 4) {
      tensor.storage[i / 2] |= static_cast<std::byte>((value & 0xF) << (i % 2 * 4));
    } else {
      const auto width = static_cast<std::size_t>(bits / 8);
      std::memcpy(tensor.storage.data() + i * width, &value, width);  // little-endian, as the schema's raw form is
    }
  }
  return tensor;
}

AttributeProto int_attribute(std::string name, std::int64_t value) {
  AttributeProto attribute;
  attribute.name = std::move(name);
  attribute.type = static_cast<std::int32_t>(AttributeType::integer);
  attribute.i = value;
  return attribute;
}

AttributeProto ints_attribute(std::string name, std::vector<std::int64_t> values) {
  AttributeProto attribute;
  attribute.name = std::move(name);
  attribute.type = static_cast<std::int32_t>(AttributeType::integers);
  attribute.ints = std::move(values);
  return attribute;
}

AttributeProto float_attribute(std::string name, float value) {
  AttributeProto attribute;
  attribute.name = std::move(name);
  attribute.type = static_cast<std::int32_t>(AttributeType::real);
  attribute.f = value;
  return attribute;
}

AttributeProto text_attribute(std::string name, std::string value) {
  AttributeProto attribute;
  attribute.name = std::move(name);
  attribute.type = static_cast<std::int32_t>(AttributeType::text);
  attribute.s = std::move(value);
  return attribute;
}

}  // namespace bitwright::onnx
