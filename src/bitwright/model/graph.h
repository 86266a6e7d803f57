// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"
#include "bitwright/model/op.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitwright {

/// Value of an operator's attribute, with ONNX's types.
using Attribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>>;

/// One operator applied to named values. Names and meaning of attributes are ONNX's (opset 13 unless the op's page says otherwise).
struct Node {
  std::string name;  ///< unique in the graph, not empty
  Op op = Op::Relu;
  std::vector<std::string> inputs;  ///< names of values or weights; an omitted optional input is empty
  std::vector<std::string> outputs;
  std::map<std::string, Attribute> attributes;

  /// Attribute with a default. Throws: `Error(invalid_input)` when present with another type (names node, attribute).
  [[nodiscard]] std::int64_t int_attribute(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] float float_attribute(std::string_view key, float fallback) const;
  [[nodiscard]] std::vector<std::int64_t> ints_attribute(std::string_view key, std::vector<std::int64_t> fallback) const;
  [[nodiscard]] std::string string_attribute(std::string_view key, std::string_view fallback) const;

  friend bool operator==(const Node&, const Node&) = default;
};

/// A value fed from outside. The batch extent (axis 0) is `Shape::kDynamic`.
struct GraphInput {
  std::string name;
  Shape shape;
  friend bool operator==(const GraphInput&, const GraphInput&) = default;
};

/// Operators in topological order over named values.
struct Graph {
  std::string name;
  std::vector<GraphInput> inputs;
  std::vector<Node> nodes;
  std::vector<std::string> outputs;
  friend bool operator==(const Graph&, const Graph&) = default;
};

/// Shape of every value (weights included) by name.
using ShapeMap = std::map<std::string, Shape, std::less<>>;

/// Shapes of all values for a batch size.
/// Requires: `weight_shapes` has every weight that a node reads.
/// Throws: `Error(invalid_input)`: a value used before it is made or never made, a duplicate name, arity or attribute wrong, shapes that
/// don't fit (the message names the node or tensor and both shapes).
[[nodiscard]] ShapeMap infer_shapes(const Graph& graph, const ShapeMap& weight_shapes, std::int64_t batch);

/// For a node of the graph that multiplies by weights (Conv, Gemm, and MatMul when its input 1 is stored): the name of its weight tensor,
/// input 1; nothing for other nodes. Stored is what neither an input of the graph nor a node makes.
[[nodiscard]] std::optional<std::string> weight_input(const Graph& graph, const Node& node);

}  // namespace bitwright
