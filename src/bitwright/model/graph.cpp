// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/graph.h"

#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/ops/shape_rule.h"

#include <algorithm>
#include <array>
#include <set>

namespace bitwright {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<Attribute>> kAttributeTypes = {"int", "float", "string", "ints", "floats"};

template <typename Value>
const Value* find_attribute(const Node& node, std::string_view key) {
  const auto found = node.attributes.find(std::string(key));
  if (found == node.attributes.end()) return nullptr;
  if (const Value* value = std::get_if<Value>(&found->second)) return value;
  fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" has the wrong type (found {}, need {}); check the graph.", node.name, key,
       kAttributeTypes[found->second.index()], kAttributeTypes[Attribute(Value{}).index()]);
}

void require_new_value(const ShapeMap& shapes, const std::string& name, std::string_view maker) {
  if (name.empty()) fail(ErrorCode::invalid_input, "{} makes a value without a name; give every value a name.", maker);
  if (shapes.contains(name)) {
    fail(ErrorCode::invalid_input, "{} makes value \"{}\", which exists already; give every value its own name.", maker, name);
  }
}

void require_extents(const std::string& name, const Shape& shape) {
  if (shape.rank() > limits::kMaxTensorRank) {
    fail(ErrorCode::invalid_input, "\"{}\" has too many axes (found {}, need at most {}); check the graph.", name, shape.rank(),
         limits::kMaxTensorRank);
  }
  for (const std::int64_t dim : shape.dims()) {
    if (dim < 1 || dim > limits::kMaxExtent) {
      fail(ErrorCode::invalid_input, "\"{}\" has an extent out of range (found {}, need 1 to {}); check the shapes.", name,
           shape.to_string(), limits::kMaxExtent);
    }
  }
  (void)shape.element_count();  // refuses what overflows
}

void add_inputs(ShapeMap& shapes, const Graph& graph, std::int64_t batch) {
  for (const GraphInput& input : graph.inputs) {
    require_new_value(shapes, input.name, "the graph's input list");
    if (input.shape.rank() == 0) fail(ErrorCode::invalid_input, "input \"{}\" has no batch axis; give it one.", input.name);
    if (input.shape[0] != Shape::kDynamic && input.shape[0] != batch) {
      fail(ErrorCode::invalid_input, "input \"{}\" has a fixed batch (found {}, need {}); make axis 0 dynamic or run that batch.",
           input.name, input.shape[0], batch);
    }
    const Shape shape = input.shape.with_dim(0, batch);
    require_extents(input.name, shape);
    shapes.emplace(input.name, shape);
  }
}

bool may_be_stored(Stored stored, std::size_t input) noexcept { return stored == Stored::any || (stored != Stored::none && input > 0); }

bool must_be_stored(Stored stored, std::size_t input) noexcept {
  return (stored == Stored::parameters || stored == Stored::weight) && input > 0;
}

bool is_computed(const Graph& graph, std::string_view name) noexcept {
  return std::ranges::any_of(graph.inputs, [name](const GraphInput& input) { return input.name == name; }) ||
         std::ranges::any_of(graph.nodes, [name](const Node& node) { return std::ranges::find(node.outputs, name) != node.outputs.end(); });
}

void add_outputs(ShapeMap& shapes, const Node& node, const std::set<std::string, std::less<>>& weight_names) {
  const OpEntry& entry = op_entry(node.op);
  const auto count = static_cast<int>(node.inputs.size());
  if (count < entry.min_inputs || count > entry.max_inputs) {
    fail(ErrorCode::invalid_input, "node \"{}\": {} has the wrong number of inputs (found {}, need {} to {}); check the graph.", node.name,
         entry.name, count, entry.min_inputs, entry.max_inputs);
  }
  std::vector<Shape> inputs;
  bool has_value = false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const std::string& name = node.inputs[i];
    if (name.empty()) {
      if (static_cast<int>(i) < entry.min_inputs) {
        fail(ErrorCode::invalid_input, "node \"{}\": input {} of {} is missing; connect it.", node.name, i, entry.name);
      }
      inputs.emplace_back();
      continue;
    }
    const auto found = shapes.find(name);
    if (found == shapes.end()) {
      fail(ErrorCode::invalid_input, "node \"{}\" reads \"{}\", which no earlier node, input or weight makes; check names and order.",
           node.name, name);
    }
    const bool is_stored = weight_names.contains(name);
    has_value = has_value || !is_stored;
    if (is_stored && !may_be_stored(entry.stored, i)) {
      fail(ErrorCode::unsupported,
           "node \"{}\": {} of a constant is not supported (found weight \"{}\" as input {}); compute it beforehand.", node.name,
           entry.name, name, i);
    }
    if (!is_stored && must_be_stored(entry.stored, i)) {
      fail(ErrorCode::unsupported, "node \"{}\": input \"{}\" of {} is computed (need a weight); store it as a weight.", node.name, name,
           entry.name);
    }
    if (is_stored && entry.stored == Stored::optional_weight && found->second.rank() != 2) {
      fail(ErrorCode::unsupported, "node \"{}\": weight \"{}\" of {} is not a matrix (found {}, need rank 2); rewrite the node.", node.name,
           name, entry.name, found->second.to_string());
    }
    inputs.push_back(found->second);
  }
  if (!has_value) {
    fail(ErrorCode::unsupported, "node \"{}\": {} of constants only is not supported (found weight \"{}\"); compute it beforehand.",
         node.name, entry.name, node.inputs.front());
  }
  const std::vector<Shape> outputs = shape_rule(node.op)(node, inputs);
  if (node.outputs.size() != outputs.size()) {
    fail(ErrorCode::invalid_input, "node \"{}\": {} has the wrong number of outputs (found {}, need {}); check the graph.", node.name,
         entry.name, node.outputs.size(), outputs.size());
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    require_new_value(shapes, node.outputs[i], "node \"" + node.name + "\"");
    require_extents(node.outputs[i], outputs[i]);
    shapes.emplace(node.outputs[i], outputs[i]);
  }
}

ShapeMap infer_unprefixed(const Graph& graph, const ShapeMap& weight_shapes, std::int64_t batch) {
  if (batch < 1 || batch > limits::kMaxExtent) {
    fail(ErrorCode::invalid_input, "the batch is out of range (found {}, need 1 to {}); give another batch.", batch, limits::kMaxExtent);
  }
  ShapeMap shapes;
  std::set<std::string, std::less<>> weight_names;
  for (const auto& [name, shape] : weight_shapes) {
    require_new_value(shapes, name, "the weight list");
    require_extents(name, shape);
    shapes.emplace(name, shape);
    weight_names.insert(name);
  }
  add_inputs(shapes, graph, batch);
  std::set<std::string_view> node_names;
  for (const Node& node : graph.nodes) {
    if (node.name.empty()) fail(ErrorCode::invalid_input, "a {} node has no name; give every node a name.", op_entry(node.op).name);
    if (!node_names.insert(node.name).second) {
      fail(ErrorCode::invalid_input, "two nodes are named \"{}\"; give every node its own name.", node.name);
    }
    add_outputs(shapes, node, weight_names);
  }
  for (const std::string& output : graph.outputs) {
    if (!shapes.contains(output) || weight_names.contains(output)) {
      fail(ErrorCode::invalid_input, "output \"{}\" is made by no node; check the graph's outputs.", output);
    }
  }
  return shapes;
}

}  // namespace

std::int64_t Node::int_attribute(std::string_view key, std::int64_t fallback) const {
  const auto* value = find_attribute<std::int64_t>(*this, key);
  return value != nullptr ? *value : fallback;
}

float Node::float_attribute(std::string_view key, float fallback) const {
  const auto* value = find_attribute<float>(*this, key);
  return value != nullptr ? *value : fallback;
}

std::vector<std::int64_t> Node::ints_attribute(std::string_view key, std::vector<std::int64_t> fallback) const {
  const auto* value = find_attribute<std::vector<std::int64_t>>(*this, key);
  return value != nullptr ? *value : fallback;
}

std::string Node::string_attribute(std::string_view key, std::string_view fallback) const {
  const auto* value = find_attribute<std::string>(*this, key);
  return value != nullptr ? *value : std::string(fallback);
}

ShapeMap infer_shapes(const Graph& graph, const ShapeMap& weight_shapes, std::int64_t batch) {
  try {
    return infer_unprefixed(graph, weight_shapes, batch);
  } catch (const Error& error) {
    throw Error(error.code(), (graph.name.empty() ? std::string("graph") : graph.name) + ": " + error.message());
  }
}

std::optional<std::string> weight_input(const Graph& graph, const Node& node) {
  if (node.inputs.size() < 2 || node.inputs[1].empty()) return std::nullopt;
  const Stored stored = op_entry(node.op).stored;
  const bool is_weight = stored == Stored::weight || (stored == Stored::optional_weight && !is_computed(graph, node.inputs[1]));
  return is_weight ? std::optional(node.inputs[1]) : std::nullopt;
}

}  // namespace bitwright
