// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

/// The operators bitwright knows; the enumerators are ONNX's names.
enum class Op : std::uint16_t {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) Name,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
};

/// Which inputs of an operator are tensors stored in the model rather than values that the graph computes.
enum class Stored : std::uint8_t {
  none,             ///< none
  any,              ///< any, but not all of them
  parameters,       ///< all from input 1 on
  weight,           ///< all from input 1 on; input 1 is a weight tensor that methods may quantize
  optional_weight,  ///< input 1 may be, and is then a weight tensor that methods may quantize
};

/// What the registry says of one operator.
struct OpEntry {
  Op op;
  std::string_view name;
  int min_inputs;
  int max_inputs;
  Stored stored;
};

[[nodiscard]] std::span<const OpEntry> op_registry() noexcept;
[[nodiscard]] const OpEntry& op_entry(Op op) noexcept;
/// Throws: `Error(unsupported)` on an unknown name (names the nearest known one).
[[nodiscard]] Op parse_op(std::string_view name);

}  // namespace bitwright
