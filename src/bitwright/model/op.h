// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

/// The operators bitwright knows; the enumerators are ONNX's names.
enum class Op : std::uint16_t {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, has_weight) Name,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
};

/// What the registry says of one operator.
struct OpEntry {
  Op op;
  std::string_view name;
  int min_inputs;
  int max_inputs;
  bool has_weight;  ///< input 1 is a weight tensor that methods may quantize
};

[[nodiscard]] std::span<const OpEntry> op_registry() noexcept;
[[nodiscard]] const OpEntry& op_entry(Op op) noexcept;
/// Throws: `Error(unsupported)` on an unknown name (names the nearest known one).
[[nodiscard]] Op parse_op(std::string_view name);

}  // namespace bitwright
