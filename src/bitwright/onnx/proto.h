// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitwright::onnx {

// The messages of onnx.proto as far as bitwright reads and writes them; names and numbers are the schema's. Unknown fields are skipped.

/// TensorProto.DataType.
enum class DataType : std::int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  text = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  bfloat16 = 16,
  uint4 = 21,
  int4 = 22,
};

/// The schema's name, e.g. `FLOAT`; `type 42` for one that is not known here.
[[nodiscard]] std::string data_type_name(DataType type);
/// Width of one element in bits; 0 for text and unknown types.
[[nodiscard]] int data_type_bits(DataType type) noexcept;
/// Bytes of the raw form: two 4-bit elements a byte, the first in the low half, the last byte filled up.
[[nodiscard]] std::int64_t raw_bytes(DataType type, std::int64_t element_count) noexcept;

struct TensorProto {
  std::string name;
  DataType data_type = DataType::undefined;
  std::vector<std::int64_t> dims;
  bool has_raw = false;
  std::span<const std::byte> raw;  ///< view into the file that was read, or into what is to be written
  std::vector<std::byte> storage;  ///< owner of raw data made for writing; when not empty it is the raw data
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<std::int64_t> ints;               ///< int32_data, int64_data and uint64_data
  std::map<std::string, std::string> external;  ///< keys `location`, `offset`, `length` of data in another file
  bool is_external = false;

  [[nodiscard]] std::span<const std::byte> raw_view() const noexcept { return storage.empty() ? raw : std::span<const std::byte>(storage); }
};

/// AttributeProto.AttributeType as far as known here.
enum class AttributeType : std::int32_t { undefined = 0, real = 1, integer = 2, text = 3, tensor = 4, reals = 6, integers = 7, texts = 8 };

struct AttributeProto {
  std::string name;
  std::int32_t type = 0;
  float f = 0.0F;
  std::int64_t i = 0;
  std::string s;
  std::optional<TensorProto> t;
  std::vector<float> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
};

struct NodeProto {
  std::string name;
  std::string op_type;
  std::string domain;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<AttributeProto> attributes;

  [[nodiscard]] const AttributeProto* attribute(std::string_view key) const noexcept;
};

/// One extent of a ValueInfo: a number, a symbol, or neither.
struct Dimension {
  std::optional<std::int64_t> value;
  std::string symbol;
};

struct ValueInfo {
  std::string name;
  DataType type = DataType::undefined;
  bool has_shape = false;
  std::vector<Dimension> dims;
};

struct GraphProto {
  std::string name;
  std::vector<NodeProto> nodes;
  std::vector<TensorProto> initializers;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
};

struct ModelProto {
  std::int64_t ir_version = 0;
  std::string producer_name;
  std::string producer_version;
  std::vector<std::pair<std::string, std::int64_t>> opset_imports;  ///< domain, version
  GraphProto graph;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Reads a file; tensors view into it. Throws: `Error(corrupt_file)` naming `source`; `Error(unsupported)`: sparse initializers, more
/// nodes, names or tensors than `model/limits.h` allows, a file above protobuf's own limit of 2 GiB.
[[nodiscard]] ModelProto parse_model(std::span<const std::byte> file, const std::string& source);

/// Reads one TensorProto, e.g. a `.pb` file of test data.
[[nodiscard]] TensorProto parse_tensor(std::span<const std::byte> file, const std::string& source);

/// Writes a file: fields by ascending number, as protobuf's own writers do, so the same model gives the same bytes.
/// Throws: `Error(unsupported)` above 2 GiB.
[[nodiscard]] std::vector<std::byte> write_model(const ModelProto& model);

}  // namespace bitwright::onnx
