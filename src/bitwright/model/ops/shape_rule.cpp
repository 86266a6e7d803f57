// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/ops/shape_rule.h"

#include "bitwright/core/error.h"
#include "bitwright/model/activation_scales.h"

#include <algorithm>
#include <array>
#include <string>

namespace bitwright {

ShapeRule shape_rule(Op op) noexcept {
  static constexpr std::array kRules = {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) &infer_##function,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
  };
  return kRules[static_cast<std::size_t>(op)];
}

namespace shape_checks {

void allow_attributes(const Node& node, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : node.attributes) {
    if (is_activation_scale(key)) continue;  // any node may state one
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string names;
    for (const std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
    fail(ErrorCode::unsupported, "node \"{}\": {} has an attribute that is not supported (found \"{}\", need one of: {}); remove it.",
         node.name, op_entry(node.op).name, key, names.empty() ? "none" : names);
  }
}

void require_int_attribute(const Node& node, std::string_view key, std::int64_t fallback, std::int64_t need) {
  const std::int64_t found = node.int_attribute(key, fallback);
  if (found != need) {
    fail(ErrorCode::unsupported, "node \"{}\": {} with this \"{}\" is not supported (found {}, need {}); rewrite the node.", node.name,
         op_entry(node.op).name, key, found, need);
  }
}

void require_rank(const Node& node, std::size_t input, const Shape& found, std::size_t rank) {
  if (found.rank() != rank) {
    fail(ErrorCode::invalid_input, "node \"{}\": input \"{}\" has the wrong rank for {} (found {}, need rank {}); check the graph.",
         node.name, node.inputs[input], op_entry(node.op).name, found.to_string(), rank);
  }
}

void require_rank_at_least(const Node& node, std::size_t input, const Shape& found, std::size_t rank) {
  if (found.rank() < rank) {
    fail(ErrorCode::invalid_input, "node \"{}\": input \"{}\" has the wrong rank for {} (found {}, need rank {} or more); check the graph.",
         node.name, node.inputs[input], op_entry(node.op).name, found.to_string(), rank);
  }
}

void require_weight_shape(const Node& node, std::size_t input, const Shape& found, const Shape& need) {
  bool fits = found.rank() == need.rank();
  for (std::size_t axis = 0; fits && axis < need.rank(); ++axis) fits = need[axis] == Shape::kDynamic || need[axis] == found[axis];
  if (!fits) {
    fail(ErrorCode::invalid_input, "weight \"{}\" does not fit node \"{}\" (found {}, need {}); give weights trained for this graph.",
         node.inputs[input], node.name, found.to_string(), need.to_string());
  }
}

std::size_t normalized_axis(const Node& node, std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    fail(ErrorCode::invalid_input, "node \"{}\": axis is outside the tensor (found {}, need {} to {}); check the graph.", node.name, axis,
         -signed_rank, signed_rank - 1);
  }
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

}  // namespace shape_checks
}  // namespace bitwright
