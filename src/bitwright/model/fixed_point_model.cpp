// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/fixed_point_model.h"

#include "bitwright/core/error.h"

#include <algorithm>
#include <optional>

namespace bitwright {
namespace {

bool states_format(const Node& node) noexcept {
  return std::ranges::any_of(node.attributes, [](const auto& attribute) {
    return attribute.first == kInputFormatAttribute || attribute.first == kOutputFormatAttribute;
  });
}

bool is_product(const Node& node) noexcept { return node.op == Op::Conv || node.op == Op::Gemm; }

// Format in an attribute. Throws with the node's name.
FixedPoint stated_format(const Node& node, std::string_view key) {
  if (!node.attributes.contains(std::string(key))) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" is missing (found none, need it on every Conv and Gemm or on none); {}",
         node.name, key, "state input_format and output_format everywhere.");
  }
  const std::string text = node.string_attribute(key, "");
  std::optional<FixedPoint> format;
  try {
    const NumberFormat parsed = NumberFormat::parse(text);
    if (const auto* fixed = parsed.get_if<FixedPoint>()) format = *fixed;
  } catch (const Error&) {
    // What is wrong with the text is said below, with the node's name.
  }
  if (!format) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" is no fixed-point format (found \"{}\", need e.g. fixed<6,10>); {}",
         node.name, key, text, "correct it.");
  }
  if (format->word_bits() > kMaxActivationBits) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"{}\" has too many bits (found {} of {}, need at most {}); use fewer.",
         node.name, key, format->word_bits(), format->spec(), kMaxActivationBits);
  }
  return *format;
}

const Weight& weight_of(const Model& model, const Node& node, std::size_t input) {
  const auto found = model.weights.find(node.inputs[input]);
  if (found == model.weights.end()) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": a fixed-point product needs stored weights (found the computed value \"{}\", need a weight); {}", node.name,
         node.inputs[input], "check the graph.");
  }
  return found->second;
}

const QuantizedTensor& fixed_tensor(const Model& model, const Node& node, std::size_t input) {
  const auto* tensor = std::get_if<QuantizedTensor>(&weight_of(model, node, input));
  if (tensor == nullptr || tensor->format().get_if<FixedPoint>() == nullptr) {
    fail(ErrorCode::invalid_input, "node \"{}\": weight \"{}\" is not fixed-point (found {}, need e.g. fixed<2,14>); {}", node.name,
         node.inputs[input], tensor == nullptr ? "float32" : tensor->format().spec(), "quantize it or remove the format attributes.");
  }
  return *tensor;
}

bool has_bias(const Node& node) noexcept { return node.inputs.size() > 2 && !node.inputs[2].empty(); }

std::int64_t depth_of(const Shape& weight) {
  std::int64_t depth = 1;
  for (std::size_t axis = 1; axis < weight.rank(); ++axis) depth *= weight[axis];
  return depth;
}

void check_product(const Model& model, const Node& node, const FixedPoint& input) {
  const QuantizedTensor& weight = fixed_tensor(model, node, 1);
  const FixedPoint format = *weight.format().get_if<FixedPoint>();
  if (format.word_bits() > kMaxWeightBits) {
    fail(ErrorCode::invalid_input, "node \"{}\": weight \"{}\" has too many bits (found {} of {}, need at most {}); use fewer.", node.name,
         node.inputs[1], format.word_bits(), format.spec(), kMaxWeightBits);
  }
  constexpr int kAccumulatorBits = 61;  // the bias doubles what the products need, and int64 has one to spare
  const int bits = accumulator_bits(1, depth_of(weight.shape())) - 2 + input.word_bits() + format.word_bits();  // (G10), two word lengths
  if (bits > kAccumulatorBits) {
    fail(ErrorCode::invalid_input, "node \"{}\": the sum does not fit the accumulator (found {} bits, need at most {}); use fewer bits.",
         node.name, bits, kAccumulatorBits);
  }
  if (!has_bias(node)) return;
  const FixedPoint bias = *fixed_tensor(model, node, 2).format().get_if<FixedPoint>();
  const int acc_frac_bits = input.frac_bits + format.frac_bits;
  if (bias.frac_bits > acc_frac_bits) {
    fail(ErrorCode::invalid_input, "node \"{}\": bias \"{}\" is finer than the accumulator (found {} fraction bits, need at most {}); {}",
         node.name, node.inputs[2], bias.frac_bits, acc_frac_bits, "use a coarser format.");
  }
  if (bias.int_bits + acc_frac_bits > kAccumulatorBits) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": bias \"{}\" does not fit the accumulator (found {} bits when aligned, need at most {}); {}", node.name,
         node.inputs[2], bias.int_bits + acc_frac_bits, kAccumulatorBits, "use fewer integer bits.");
  }
}

void require_operator(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::Conv:
    case Op::Gemm:
    case Op::Relu:
    case Op::MaxPool:
    case Op::Flatten:
    case Op::Dropout: return;
    case Op::Softmax: {
      const bool is_read = std::ranges::any_of(
          graph.nodes, [&node](const Node& other) { return std::ranges::find(other.inputs, node.outputs.front()) != other.inputs.end(); });
      if (!is_read) return;
      fail(ErrorCode::invalid_input, "node \"{}\": Softmax gives float32 (found it read by other nodes, need it last); move it to the end.",
           node.name);
    }
    default:
      fail(ErrorCode::invalid_input,
           "node \"{}\": a fixed-point model can't hold {} (found it, need Conv, Gemm, Relu, MaxPool, Flatten, {}", node.name,
           op_entry(node.op).name, "Dropout or a last Softmax); remove it or the format attributes.");
  }
}

}  // namespace

bool is_fixed_point(const Graph& graph) noexcept {
  return std::ranges::any_of(graph.nodes, [](const Node& node) { return is_product(node) && states_format(node); });
}

ValueFormats fixed_point_formats(const Model& model) {
  const Graph& graph = model.graph;
  ValueFormats formats;
  const auto first = std::ranges::find_if(graph.nodes, is_product);
  if (first == graph.nodes.end()) return formats;
  for (const GraphInput& input : graph.inputs) formats.emplace(input.name, stated_format(*first, kInputFormatAttribute));
  for (const Node& node : graph.nodes) {
    require_operator(graph, node);
    const auto source = formats.find(node.inputs.front());
    if (source == formats.end()) {
      fail(ErrorCode::invalid_input,
           "node \"{}\": its input is no code (found \"{}\", need a computed fixed-point value); check the graph.", node.name,
           node.inputs.front());
    }
    if (node.op == Op::Softmax) continue;
    FixedPoint format = source->second;
    if (is_product(node)) {
      const FixedPoint input = stated_format(node, kInputFormatAttribute);
      if (input != format) {
        fail(ErrorCode::invalid_input, "node \"{}\": \"{}\" comes in another format (found {}, need {} as input_format says); {}",
             node.name, node.inputs.front(), format.spec(), input.spec(), "let both sides state the same format.");
      }
      check_product(model, node, input);
      format = stated_format(node, kOutputFormatAttribute);
    }
    for (const std::string& output : node.outputs) formats.insert_or_assign(output, format);
  }
  return formats;
}

FixedPointProduct fixed_point_product(const Model& model, const Node& node) {
  const QuantizedTensor& weight = fixed_tensor(model, node, 1);
  FixedPointProduct product{.input = stated_format(node, kInputFormatAttribute),
                            .weight = *weight.format().get_if<FixedPoint>(),
                            .output = stated_format(node, kOutputFormatAttribute),
                            .codes = weight.codes(),
                            .bias = std::vector<std::int64_t>(static_cast<std::size_t>(weight.shape()[0]))};
  if (has_bias(node)) {
    const QuantizedTensor& bias = fixed_tensor(model, node, 2);
    const int shift = product.acc_frac_bits() - bias.format().get_if<FixedPoint>()->frac_bits;
    std::ranges::transform(bias.codes(), product.bias.begin(),
                           [shift](std::int32_t code) { return std::int64_t{code} * (std::int64_t{1} << shift); });
  }
  return product;
}

}  // namespace bitwright
