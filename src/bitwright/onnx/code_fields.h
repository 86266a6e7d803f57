// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/onnx/proto.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bitwright::onnx {

/// Part of a code that is packed on its own, because ONNX unpacks fields of 1, 2, 4, 8 and 16 bits without crossing a byte.
struct CodeField {
  int width = 0;
  int shift = 0;  ///< position of the field's lowest bit in the code
  friend bool operator==(const CodeField&, const CodeField&) = default;
};

/// The fields of a code, widest first at the lowest bits: 5 bits are 4 + 1. Together they take exactly the code's bits.
[[nodiscard]] std::vector<CodeField> code_fields(int bits);

/// One field of every code: bytes [n, 1] of 8 / width fields each, the first in the lowest bits; or uint8 / uint16 [n].
[[nodiscard]] TensorProto pack_field(std::string name, std::span<const std::int64_t> codes, CodeField field);
/// Adds the field of every code to `codes`. False when the tensor does not have the form that `pack_field` gives.
[[nodiscard]] bool unpack_field(const TensorProto& tensor, CodeField field, std::span<std::int64_t> codes);

/// Five base-3 digits a byte, bytes [n, 1]. Equation: (T11).
[[nodiscard]] TensorProto pack_base3(std::string name, std::span<const std::int64_t> codes);
[[nodiscard]] bool unpack_base3_bytes(const TensorProto& tensor, std::span<std::int64_t> codes);

}  // namespace bitwright::onnx
