// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/activation_scales.h"

#include "bitwright/core/error.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

// The graph's input that a node reads; nothing when it reads none.
const std::string* graph_input_of(const Graph& graph, const Node& node) {
  for (const std::string& name : node.inputs) {
    const auto found = std::ranges::find(graph.inputs, name, &GraphInput::name);
    if (found != graph.inputs.end()) return &found->name;
  }
  return nullptr;
}

std::optional<float> stated_scale(const Node& node, std::string_view key) {
  if (!node.attributes.contains(std::string(key))) return std::nullopt;
  const float scale = node.float_attribute(key, 0.0F);
  if (!std::isfinite(scale) || !(scale > 0.0F)) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" is no scale (found {}, need a finite number above 0); calibrate again.",
         node.name, key, scale);
  }
  return scale;
}

}  // namespace

bool is_activation_scale(std::string_view key) noexcept { return key == kInputScaleAttribute || key == kOutputScaleAttribute; }

ActivationScales activation_scales(const Graph& graph) {
  ActivationScales scales;
  for (const Node& node : graph.nodes) {
    if (const std::optional<float> scale = stated_scale(node, kOutputScaleAttribute)) scales.insert_or_assign(node.outputs.front(), *scale);
    const std::optional<float> scale = stated_scale(node, kInputScaleAttribute);
    if (!scale) continue;
    const std::string* input = graph_input_of(graph, node);
    if (input == nullptr) {
      fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" is about no input (found it, need a node that reads an input of {}",
           node.name, kInputScaleAttribute, "the graph); remove it.");
    }
    const auto [known, is_new] = scales.emplace(*input, *scale);
    if (!is_new && known->second != *scale) {
      fail(ErrorCode::invalid_input, "node \"{}\": \"{}\" has two scales (found {}, need {} as another node says); calibrate again.",
           node.name, *input, *scale, known->second);
    }
  }
  return scales;
}

Graph with_activation_scales(Graph graph, const ActivationScales& scales) {
  graph = without_activation_scales(std::move(graph));
  for (Node& node : graph.nodes) {
    if (const auto found = scales.find(node.outputs.front()); found != scales.end())
      node.attributes.insert_or_assign(std::string(kOutputScaleAttribute), found->second);
    const std::string* input = graph_input_of(graph, node);
    if (input == nullptr) continue;
    if (const auto found = scales.find(*input); found != scales.end())
      node.attributes.insert_or_assign(std::string(kInputScaleAttribute), found->second);
  }
  return graph;
}

Graph without_activation_scales(Graph graph) {
  for (Node& node : graph.nodes) std::erase_if(node.attributes, [](const auto& entry) { return is_activation_scale(entry.first); });
  return graph;
}

}  // namespace bitwright
