// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/qd/layers.h"

#include "bitwright/core/error.h"

#include <algorithm>

namespace bitwright::qd {

std::vector<std::string> parameters_in_graph_order(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) {
    const bool has_parameters = weight_input(graph, node).has_value() || op_entry(node.op).stored == Stored::parameters;
    if (!has_parameters) continue;
    for (const std::size_t input : {1U, 2U}) {  // weight and bias; scale and shift
      if (input >= node.inputs.size() || node.inputs[input].empty()) continue;
      const std::string& name = node.inputs[input];
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::vector<std::string> chosen_parameters(const Graph& graph, LayerChoice choice) {
  std::vector<std::string> names = eligible_parameters(graph, choice);
  if (choice == LayerChoice::inner || choice == LayerChoice::paper) {
    if (!names.empty()) names.erase(names.begin());
    if (!names.empty()) names.pop_back();
  }
  return names;
}

std::vector<std::string> eligible_parameters(const Graph& graph, LayerChoice choice) {
  const bool only_weights = choice == LayerChoice::all || choice == LayerChoice::inner;
  return only_weights ? quantizable_weights(graph) : parameters_in_graph_order(graph);
}

BitPlan plan_of(const Graph& graph, LayerChoice choice, const std::vector<BitRule>& rules, const NumberFormat& format,
                std::string_view where) {
  const std::vector<std::string> eligible = eligible_parameters(graph, choice);
  for (const BitRule& rule : rules) {
    // A rule may say "stays float"; a format in its place makes a match visible.
    const BitPlan alone({{rule.pattern, format}});
    if (std::ranges::any_of(eligible, [&alone](const std::string& name) { return alone.format_for(name).has_value(); })) continue;
    fail(ErrorCode::usage, "{}: plan has a rule that matches no weight of {} (found \"{}\"); correct its pattern.", where, graph.name,
         rule.pattern);
  }
  std::vector<BitRule> all = rules;
  for (const std::string& name : chosen_parameters(graph, choice)) all.push_back({name, format});
  if (all.empty()) {
    fail(ErrorCode::usage, "{}: layers = \"{}\" leaves nothing to quantize in {}; write layers = \"all\".", where,
         kLayerChoices[static_cast<std::size_t>(choice)], graph.name);
  }
  return BitPlan(std::move(all));
}

}  // namespace bitwright::qd
