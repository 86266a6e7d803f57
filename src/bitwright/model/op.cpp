// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/op.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <array>
#include <string>
#include <vector>

namespace bitwright {
namespace {

constexpr std::array kRegistry = {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) OpEntry{Op::Name, #Name, min_inputs, max_inputs, Stored::stored},
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
};

}  // namespace

std::span<const OpEntry> op_registry() noexcept { return kRegistry; }

// The registry and the enumeration are expanded from the same lines, so an enumerator is its own index.
const OpEntry& op_entry(Op op) noexcept { return kRegistry[static_cast<std::size_t>(op)]; }

Op parse_op(std::string_view name) {
  std::vector<std::string> known;
  for (const OpEntry& entry : kRegistry) {
    if (entry.name == name) return entry.op;
    known.emplace_back(entry.name);
  }
  fail(ErrorCode::unsupported, "operator \"{}\" is not known (nearest: {}); known operators are {}.", name, nearest_name(name, known),
       join_names(known));
}

}  // namespace bitwright
