// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/value_forms.h"

#include "bitwright/model/unary_parameters.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace bitwright {
namespace {

bool is_product(Op op) noexcept { return op == Op::Conv || op == Op::Gemm || op == Op::MatMul; }

bool is_result(const Graph& graph, std::string_view value) { return std::ranges::find(graph.outputs, value) != graph.outputs.end(); }

}  // namespace

bool keeps_scale(const Node& node) {
  switch (node.op) {
    case Op::MaxPool:
    case Op::GlobalMaxPool:
    case Op::AveragePool:
    case Op::Flatten:
    case Op::Reshape:
    case Op::Relu:
    case Op::Dropout:
    case Op::Slice: return true;
    case Op::Pad: return node.string_attribute("mode", "constant") == "constant" && node.float_attribute("value", 0.0F) == 0.0F;
    default: return false;
  }
}

ValueForms::ValueForms(const Graph& graph, Activations activations, ActivationScales scales,
                       std::function<bool(const Node&)> multiplies_narrow)
    : graph_(graph), activations_(activations), scales_(std::move(scales)) {
  for (const Node& node : graph_.nodes) {
    for (const std::string& input : node.inputs) readers_[input].push_back(&node);
    if (is_product(node.op)) multiplies_narrow_.emplace(&node, multiplies_narrow(node));
  }
  // Nodes are in topological order: readers are asked before makers, makers before readers. No recursion, however deep the graph.
  for (const Node& node : graph_.nodes) {
    if (makes_non_negative(node)) non_negative_.insert(node.outputs.begin(), node.outputs.end());
  }
  const auto ask = [this](std::string_view value) {
    const auto readers = readers_.find(value);
    if (readers != readers_.end() && std::ranges::any_of(readers->second, [this](const Node* node) { return reads_narrow(*node); }))
      wanted_.insert(value);
  };
  for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
    for (const std::string& output : node->outputs) ask(output);
  }
  for (const GraphInput& input : graph_.inputs) ask(input.name);
}

const Node* ValueForms::only_reader(std::string_view value) const {
  if (is_result(graph_, value)) return nullptr;
  const auto found = readers_.find(value);
  return found == readers_.end() || found->second.size() != 1 ? nullptr : found->second.front();
}

bool ValueForms::reads_narrow(const Node& node) const {
  if (is_product(node.op)) return multiplies_narrow_.at(&node);
  if (node.op == Op::GlobalAveragePool) return true;
  if (node.op == Op::Add || node.op == Op::Concat) {
    // A Relu behind is computed with it, and only what it leaves is held.
    std::string_view result = node.outputs.front();
    if (const Node* next = only_reader(result); next != nullptr && next->op == Op::Relu) result = next->outputs.front();
    return !is_result(graph_, result) && wants_narrow(result);
  }
  return keeps_scale(node) && !is_result(graph_, node.outputs.front()) && wants_narrow(node.outputs.front());
}

bool ValueForms::wants_narrow(std::string_view value) const { return wanted_.contains(value); }

bool ValueForms::is_non_negative(std::string_view value) const { return non_negative_.contains(value); }

std::optional<ValueForm> ValueForms::narrow(std::string_view value) const {
  if (activations_ == Activations::float32) return std::nullopt;
  if (activations_ == Activations::bfloat16) return ValueForm{.type = ValueType::bfloat16, .scale = 1.0F};
  const auto scale = scales_.find(value);
  if (scale == scales_.end()) return std::nullopt;
  return ValueForm{.type = is_non_negative(value) ? ValueType::uint8 : ValueType::int8, .scale = scale->second};
}

ValueForm ValueForms::stored(std::string_view value) const {
  if (activations_ == Activations::float32 || is_result(graph_, value) || !wants_narrow(value)) return {};
  return narrow(value).value_or(ValueForm{});
}

bool ValueForms::makes_non_negative(const Node& node) const {
  const auto source = [&](std::size_t i) { return is_non_negative(node.inputs[i]); };
  switch (node.op) {
    case Op::Relu:
    case Op::Sigmoid:
    case Op::HardSigmoid:
    case Op::Softmax:
    case Op::Exp:
    case Op::Sqrt:
    case Op::Abs: return true;
    case Op::Clip: return unary_parameters(node).alpha >= 0.0F;
    case Op::MaxPool:
    case Op::GlobalMaxPool:
    case Op::AveragePool:
    case Op::GlobalAveragePool:
    case Op::Flatten:
    case Op::Reshape:
    case Op::Transpose:
    case Op::Dropout:
    case Op::Slice:
    case Op::Gather:
    case Op::ReduceMean: return source(0);
    case Op::Pad: return source(0) && node.float_attribute("value", 0.0F) >= 0.0F;
    case Op::Add:
    case Op::Mul:
    case Op::Concat: {
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (!source(i)) return false;
      }
      return true;
    }
    default: return false;
  }
}

}  // namespace bitwright
