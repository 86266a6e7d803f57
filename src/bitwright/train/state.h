// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Writes named facts of a training state, one after the other. Exactness: every value reads back bit for bit.
class StateWriter {
 public:
  void integer(std::string_view name, std::int64_t value);
  void real(std::string_view name, double value);
  void text(std::string_view name, std::string_view value);
  void bytes(std::string_view name, std::span<const std::uint8_t> value);
  /// Requires: float32 or int64.
  void tensor(std::string_view name, const at::Tensor& value);

  [[nodiscard]] std::vector<std::byte> take() && { return std::move(writer_).take(); }

 private:
  void begin(std::string_view name, std::uint8_t kind);
  ByteWriter writer_;
};

/// Reads what a `StateWriter` wrote, in the same order.
/// Throws: `Error(corrupt_file)` when the next fact has another name or kind, or the bytes end.
class StateReader {
 public:
  StateReader(std::span<const std::byte> state, std::string source) : reader_(state, std::move(source)) {}

  [[nodiscard]] std::int64_t integer(std::string_view name);
  [[nodiscard]] double real(std::string_view name);
  [[nodiscard]] std::string text(std::string_view name);
  [[nodiscard]] std::vector<std::uint8_t> bytes(std::string_view name);
  [[nodiscard]] at::Tensor tensor(std::string_view name);
  /// Copies into `dst` in place. Throws: `Error(corrupt_file)` also when shape or type differ.
  void tensor_into(std::string_view name, const at::Tensor& dst);

  /// Throws: `Error(corrupt_file)` when something is left.
  void finish() const;

 private:
  void begin(std::string_view name, std::uint8_t kind);
  ByteReader reader_;
};

}  // namespace bitwright
