// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/passes.h"

#include "bitwright/core/error.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// How often a value or weight is read, the graph's outputs included.
std::int64_t reader_count(const Graph& graph, const std::string& value) {
  std::int64_t count = std::ranges::count(graph.outputs, value);
  for (const Node& node : graph.nodes) count += std::ranges::count(node.inputs, value);
  return count;
}

Node* maker_of(Graph& graph, const std::string& value) {
  for (Node& node : graph.nodes) {
    if (std::ranges::find(node.outputs, value) != node.outputs.end()) return &node;
  }
  return nullptr;
}

/// y = factor * x + shift per channel, in double.
struct ChannelAffine {
  std::vector<double> factor;
  std::vector<double> shift;
};

ChannelAffine affine_of(const Model& model, const Node& norm) {
  const auto values = [&](std::size_t input) { return weight_values(model.weights.find(norm.inputs[input])->second); };
  const std::vector<float> scale = values(1);
  const std::vector<float> bias = values(2);
  const std::vector<float> mean = values(3);
  const std::vector<float> variance = values(4);
  const double epsilon = norm.float_attribute("epsilon", 1e-5F);
  ChannelAffine affine;
  for (std::size_t c = 0; c < scale.size(); ++c) {
    const double spread = static_cast<double>(variance[c]) + epsilon;
    if (!(spread > 0.0)) {
      fail(ErrorCode::invalid_input,
           "{}: node \"{}\": variance plus epsilon of channel {} is not positive (found {}, need above 0); check the weights.",
           model.graph.name, norm.name, c, spread);
    }
    const double factor = scale[c] / std::sqrt(spread);
    affine.factor.push_back(factor);
    affine.shift.push_back(bias[c] - factor * mean[c]);
  }
  return affine;
}

FloatTensor per_channel(const std::vector<double>& values) {
  FloatTensor tensor{.shape = Shape{static_cast<std::int64_t>(values.size())}, .values = {}};
  for (const double value : values) tensor.values.push_back(static_cast<float>(value));
  return tensor;
}

/// A name that no weight or value has yet, `wanted` when free.
std::string free_name(const Model& model, const std::string& wanted) {
  const auto is_taken = [&model](const std::string& name) {
    if (model.weights.contains(name)) return true;
    for (const GraphInput& input : model.graph.inputs) {
      if (input.name == name) return true;
    }
    for (const Node& node : model.graph.nodes) {
      if (std::ranges::find(node.outputs, name) != node.outputs.end()) return true;
    }
    return false;
  };
  std::string name = wanted;
  for (int suffix = 2; is_taken(name); ++suffix) name = wanted + "." + std::to_string(suffix);
  return name;
}

/// Points input `input` of the node at a tensor: in place when nobody else reads the old one, under a new name otherwise.
void replace_weight(Model& model, Node& node, std::size_t input, const std::string& wanted, FloatTensor tensor) {
  while (node.inputs.size() <= input) node.inputs.emplace_back();
  std::string& name = node.inputs[input];
  if (name.empty() || reader_count(model.graph, name) > 1) name = free_name(model, wanted);
  model.weights.insert_or_assign(name, std::move(tensor));
}

void drop_unread_weights(Model& model) {
  std::erase_if(model.weights, [&model](const auto& entry) { return reader_count(model.graph, entry.first) == 0; });
}

std::vector<double> bias_values(const Model& model, const Node& node, std::size_t channels) {
  if (node.inputs.size() < 3 || node.inputs[2].empty()) return std::vector<double>(channels, 0.0);
  const std::vector<float> values = weight_values(model.weights.find(node.inputs[2])->second);
  return {values.begin(), values.end()};
}

void fold_into_weights(Model& model, Node& product, Node& norm, const ChannelAffine& affine) {
  const std::size_t channels = affine.factor.size();
  FloatTensor weight = std::get<FloatTensor>(model.weights.find(product.inputs[1])->second);
  const std::size_t per_output = weight.values.size() / channels;
  for (std::size_t i = 0; i < weight.values.size(); ++i) {
    weight.values[i] = static_cast<float>(affine.factor[i / per_output] * weight.values[i]);
  }
  std::vector<double> bias = bias_values(model, product, channels);
  for (std::size_t c = 0; c < channels; ++c) bias[c] = affine.factor[c] * bias[c] + affine.shift[c];
  replace_weight(model, product, 1, product.name + ".weight", std::move(weight));
  replace_weight(model, product, 2, product.name + ".bias", per_channel(bias));
  product.outputs = norm.outputs;
  norm.inputs.clear();  // it reads nothing any more, and no outputs mark it for removal
  norm.outputs.clear();
}

// The factor can't enter the codes: what is left is scale and shift behind the product, and the product's own bias moves into the shift.
void reduce_to_scale_and_shift(Model& model, Node& product, Node& norm, const ChannelAffine& affine) {
  const std::size_t channels = affine.factor.size();
  std::vector<double> shift = bias_values(model, product, channels);
  for (std::size_t c = 0; c < channels; ++c) shift[c] = affine.factor[c] * shift[c] + affine.shift[c];
  product.inputs.resize(2);
  replace_weight(model, norm, 1, norm.name + ".weight", per_channel(affine.factor));
  replace_weight(model, norm, 2, norm.name + ".bias", per_channel(shift));
  replace_weight(model, norm, 3, norm.name + ".running_mean", per_channel(std::vector<double>(channels, 0.0)));
  replace_weight(model, norm, 4, norm.name + ".running_var", per_channel(std::vector<double>(channels, 1.0)));
  norm.attributes["epsilon"] = 0.0F;
}

}  // namespace

Model fold_batch_normalization(Model model) {
  for (Node& norm : model.graph.nodes) {
    if (norm.op != Op::BatchNormalization) continue;
    Node* product = maker_of(model.graph, norm.inputs[0]);
    if (product == nullptr || (product->op != Op::Conv && product->op != Op::Gemm) || reader_count(model.graph, norm.inputs[0]) != 1)
      continue;
    const ChannelAffine affine = affine_of(model, norm);
    if (std::holds_alternative<FloatTensor>(model.weights.find(product->inputs[1])->second)) {
      fold_into_weights(model, *product, norm, affine);
    } else {
      reduce_to_scale_and_shift(model, *product, norm, affine);
    }
  }
  std::erase_if(model.graph.nodes, [](const Node& node) { return node.outputs.empty(); });
  drop_unread_weights(model);
  return model;
}

Model remove_training_nodes(Model model) {
  Graph& graph = model.graph;
  for (std::size_t i = 0; i < graph.nodes.size();) {
    if (graph.nodes[i].op != Op::Dropout) {
      ++i;
      continue;
    }
    const std::string from = graph.nodes[i].outputs[0];
    const std::string to = graph.nodes[i].inputs[0];
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(i));
    // An output of the graph keeps its name where its maker can take it over; everything else reads the Dropout's input.
    Node* maker = maker_of(graph, to);
    const bool keeps_output_name =
        std::ranges::count(graph.outputs, from) != 0 && std::ranges::count(graph.outputs, to) == 0 && maker != nullptr;
    const std::string& old_name = keeps_output_name ? to : from;
    const std::string& new_name = keeps_output_name ? from : to;
    for (Node& node : graph.nodes) {
      std::ranges::replace(node.inputs, old_name, new_name);
      std::ranges::replace(node.outputs, old_name, new_name);
    }
    std::ranges::replace(graph.outputs, old_name, new_name);
  }
  return model;
}

}  // namespace bitwright
