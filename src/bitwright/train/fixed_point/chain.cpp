// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/fixed_point/chain.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/model/fixed_point_model.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>

namespace bitwright::fixed_point {
namespace {

bool is_product(const Node& node) { return node.op == Op::Conv || node.op == Op::Gemm; }

bool is_supported(const Node& node, const Graph& graph) {
  switch (node.op) {
    case Op::Conv:
    case Op::Gemm:
    case Op::Relu:
    case Op::MaxPool:
    case Op::Flatten:
    case Op::Dropout: return true;
    case Op::Softmax: return node.outputs[0] == graph.outputs[0];
    default: return false;
  }
}

/// The nodes that a chain runs, in order.
std::vector<const Node*> chain_nodes(const Graph& graph) {
  std::vector<std::string> refused;
  std::map<std::string_view, int> readers;
  std::vector<const Node*> nodes;
  bool has_product = false;
  for (const Node& node : graph.nodes) {
    if (!is_supported(node, graph)) refused.push_back(fmt::format("{} ({})", node.name, op_entry(node.op).name));
    if (node.op != Op::Softmax) nodes.push_back(&node);
    has_product = has_product || is_product(node);
    ++readers[node.inputs[0]];
  }
  if (!refused.empty()) {
    fail(ErrorCode::unsupported,
         "fixed point: {} has nodes without an integer form (found {}; need Conv, Gemm, Relu, MaxPool, Flatten, Dropout); use another "
         "model.",
         graph.name, fmt::join(refused, ", "));
  }
  for (const auto& [value, count] : readers) {
    if (count == 1) continue;
    fail(ErrorCode::unsupported, "fixed point: value \"{}\" of {} has {} readers (need 1); use a model whose nodes stand in a row.", value,
         graph.name, count);
  }
  if (!has_product) fail(ErrorCode::unsupported, "fixed point: {} has no Conv and no Gemm; there is nothing to compute.", graph.name);
  return nodes;
}

}  // namespace

Chain::Chain(const Graph& graph, const ShapeMap& weights, const ChainFormats& formats,
             const std::function<FixedPoint(const Node&)>& output_of)
    : formats_(formats) {
  const std::vector<const Node*> nodes = chain_nodes(graph);
  FixedPoint now = formats.input;
  ProductStage::Position position = ProductStage::Position::first;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = *nodes[i];
    Link link;
    link.node = &node;
    if (is_product(node)) {
      const bool joined = i + 1 < nodes.size() && nodes[i + 1]->op == Op::Relu;
      auto stage = std::make_unique<ProductStage>(node, weights.at(node.inputs[1]),
                                                  joined ? Product::Activation::relu : Product::Activation::none, position);
      link.product = stage.get();
      link.stage = std::move(stage);
      position = ProductStage::Position::inner;
      now = output_of(node);
    } else if (node.op == Op::Relu) {
      const bool joined = i > 0 && is_product(*nodes[i - 1]);
      if (joined) {
        link.stage = std::make_unique<PassStage>();
      } else {
        link.stage = std::make_unique<ReluStage>();
      }
    } else if (node.op == Op::MaxPool) {
      link.stage = std::make_unique<MaxPoolStage>(node, formats.errors);
    } else if (node.op == Op::Flatten) {
      link.stage = std::make_unique<FlattenStage>(node);
    } else {
      link.stage = std::make_unique<DropoutStage>(node, now, formats.errors);
    }
    link.output = now;
    links_.push_back(std::move(link));
  }
}

at::Tensor Chain::input_codes(const at::Tensor& images, const PassRule& rule) {
  const Converted converted = convert_values(images, formats_.input, rule.conversion("fixed.forward", "input"));
  if (rule.mode == Mode::train) inputs.add(converted);
  return converted.codes;
}

void Chain::install(const std::shared_ptr<Chain>& chain, Network& network, RuleOf rule_of, Finish finish) {
  for (std::size_t i = 0; i < chain->links_.size(); ++i) {
    const bool is_last = i + 1 == chain->links_.size();
    network.set_node_forward(chain->links_[i].node->name, [chain, i, is_last, rule_of, finish](
                                                              const Node&, std::span<const at::Tensor> inputs, const PassContext& pass) {
      const at::NoGradGuard no_grad;
      const PassRule rule = rule_of(pass);
      const at::Tensor src = i == 0 ? chain->input_codes(inputs[0], rule) : inputs[0];
      at::Tensor dst = chain->links_[i].stage->forward(src, rule);
      if (!is_last) return dst;
      at::Tensor logits = values_of(dst, chain->logits_format());
      return finish ? finish(logits, pass) : logits;
    });
  }
}

void Chain::backward(at::Tensor errors, const PassRule& rule) {
  const at::NoGradGuard no_grad;
  for (auto link = links_.rbegin(); link != links_.rend(); ++link) {
    errors = link->stage->backward(errors, rule);
    if (!errors.defined()) return;  // below the first product nothing learns
  }
}

void install_evaluation(const Model& model, Network& network) {
  const Graph& graph = network.graph();
  const ValueFormats formats = fixed_point_formats(model);
  const FixedPoint& input = formats.at(graph.inputs[0].name);
  const auto chain = std::make_shared<Chain>(graph, weight_shapes(model), ChainFormats{.input = input, .errors = input},
                                             [&formats](const Node& node) { return formats.at(node.outputs[0]); });
  // The products read codes where these lie, so they live as long as the chain.
  const auto parameters = std::make_shared<std::vector<QuantizedTensor>>();
  parameters->reserve(2 * chain->links().size());
  for (Chain::Link& link : chain->links()) {
    if (link.product == nullptr) continue;
    const Node& node = *link.node;
    const auto keep = [&](std::size_t index) -> const QuantizedTensor& {
      return parameters->emplace_back(std::get<QuantizedTensor>(model.weights.at(node.inputs[index])));
    };
    const QuantizedTensor& weights = keep(1);
    ProductFormats product{.src = formats.at(node.inputs[0]),
                           .weights = *weights.format().get_if<FixedPoint>(),
                           .bias = *weights.format().get_if<FixedPoint>(),
                           .dst = link.output,
                           .errors = link.output};
    std::span<const std::int32_t> bias;
    if (node.inputs.size() > 2 && !node.inputs[2].empty()) {
      const QuantizedTensor& codes = keep(2);
      product.bias = *codes.format().get_if<FixedPoint>();
      bias = codes.codes();
    }
    link.product->product().set_parameters(product, weights.codes(), bias);
  }
  Chain::install(chain, network, [parameters](const PassContext& pass) {
    if (pass.mode == Mode::train) {
      fail(ErrorCode::unsupported, "fixed point: the model computes in fixed point, so only method \"fixed\" trains it; {}",
           "add [[method]] name = \"fixed\", or start from a float model.");
    }
    return PassRule{};
  });
}

}  // namespace bitwright::fixed_point
