// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"
#include "bitwright/model/graph.h"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace bitwright {

/// Shapes of a node's outputs from the shapes of its inputs. An omitted optional input arrives with rank 0.
/// Requires: the number of inputs is within the registry's bounds. Throws: `Error(invalid_input)` for shapes or attributes that do not fit,
/// `Error(unsupported)` for what ONNX allows and bitwright does not run.
using ShapeRule = std::vector<Shape> (*)(const Node& node, std::span<const Shape> inputs);

#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) \
  [[nodiscard]] std::vector<Shape> infer_##function(const Node& node, std::span<const Shape> inputs);
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP

/// The rule of an operator.
[[nodiscard]] ShapeRule shape_rule(Op op) noexcept;

/// What several rules check.
namespace shape_checks {

/// Refuses attributes whose meaning nobody here would honour.
void allow_attributes(const Node& node, std::initializer_list<std::string_view> known);

/// Refuses any value but the one that bitwright runs.
void require_int_attribute(const Node& node, std::string_view key, std::int64_t fallback, std::int64_t need);

void require_rank(const Node& node, std::size_t input, const Shape& found, std::size_t rank);
void require_rank_at_least(const Node& node, std::size_t input, const Shape& found, std::size_t rank);

/// A weight's shape must equal `need`; a dynamic extent in `need` accepts any.
void require_weight_shape(const Node& node, std::size_t input, const Shape& found, const Shape& need);

/// `axis` in [-rank, rank) brought to [0, rank).
[[nodiscard]] std::size_t normalized_axis(const Node& node, std::int64_t axis, std::size_t rank);

}  // namespace shape_checks
}  // namespace bitwright
