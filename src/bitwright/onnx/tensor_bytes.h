// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/file.h"
#include "bitwright/core/shape.h"
#include "bitwright/onnx/proto.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bitwright::onnx {

/// Reads the values of tensors, whichever of the schema's places they lie in: raw bytes, typed lists, or another file beside the model.
class TensorBytes {
 public:
  /// `source` names the file in messages. `folder`: where external data may lie; nothing refuses external data.
  /// `release`: told about bytes of the model file that are not needed again; may be empty.
  TensorBytes(std::string source, std::optional<std::filesystem::path> folder, std::function<void(std::span<const std::byte>)> release);

  /// Extents of a tensor whose bytes are really there. Throws: `Error(invalid_input)`: extents that are negative, enormous or do not fit
  /// the bytes; `Error(unsupported)`: a type that is neither float nor integer.
  [[nodiscard]] Shape shape(const TensorProto& tensor);
  /// Values as float32, rounded to nearest from float64 and widened exactly from float16 and bfloat16.
  /// Throws: as `shape`; `Error(unsupported)` for an integer tensor.
  [[nodiscard]] std::vector<float> floats(const TensorProto& tensor);
  /// Values of an integer or Boolean tensor. Throws: as `shape`; `Error(unsupported)` for another type.
  [[nodiscard]] std::vector<std::int64_t> integers(const TensorProto& tensor);

  [[nodiscard]] static bool is_float(DataType type) noexcept;

 private:
  [[nodiscard]] std::span<const std::byte> raw(const TensorProto& tensor, std::int64_t element_count);
  [[nodiscard]] std::span<const std::byte> external(const TensorProto& tensor);
  void release(std::span<const std::byte> bytes) const;
  [[nodiscard]] std::string where(const TensorProto& tensor) const;

  std::string source_;
  std::optional<std::filesystem::path> folder_;
  std::function<void(std::span<const std::byte>)> release_;
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
};

/// float32 value of a half-precision number's bits. Exactness: exact.
[[nodiscard]] float half_to_float(std::uint16_t bits) noexcept;

}  // namespace bitwright::onnx
