// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/model.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright::test {

/// Turns a model of Conv, Gemm, Relu, MaxPool, Flatten, Dropout and Softmax into a fixed-point model: weights and biases become codes of
/// the given formats, and every product states that its inputs and outputs are `activation`.
inline Model fixed_point(Model model, const FixedPoint& weight, const FixedPoint& bias, const FixedPoint& activation) {
  for (Node& node : model.graph.nodes) {
    if (node.op != Op::Conv && node.op != Op::Gemm) continue;
    node.attributes[std::string(kInputFormatAttribute)] = activation.spec();
    node.attributes[std::string(kOutputFormatAttribute)] = activation.spec();
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i].empty()) continue;
      Weight& tensor = model.weights.at(node.inputs[i]);
      const NumberFormat format = i == 1 ? weight : bias;
      tensor = quantize(format, weight_shape(tensor), weight_values(tensor), {.mode = Rounding::nearest_down});
    }
  }
  return model;
}

/// A small network drawn from a seed: convolutions of any window and group, Relu or not, pools with and without ceil_mode, a Gemm or two,
/// Dropout, perhaps Softmax; formats drawn as well.
inline Model random_fixed_model(std::uint64_t seed) {
  using Ints = std::vector<std::int64_t>;
  const Rng rng(seed, "fixed_model");
  std::uint64_t draws = 0;
  const auto any = [&](std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(rng.below(draws++, static_cast<std::uint64_t>(most - least + 1)));
  };
  Model model;
  model.graph.name = "random";
  std::int64_t channels = any(1, 6);
  std::int64_t height = any(5, 12);
  std::int64_t width = any(5, 12);
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, channels, height, width}}};
  std::string value = "input";
  std::int64_t features = 0;
  const auto format = [&](int least, int most) {
    const auto bits = static_cast<int>(any(least, most));
    const auto frac_bits = static_cast<int>(any(0, bits - 1));
    return FixedPoint{.int_bits = bits - frac_bits, .frac_bits = frac_bits};
  };
  FixedPoint activation = format(2, 16);
  const auto codes = [&](const std::string& name, const Shape& shape, const FixedPoint& spec) {
    std::vector<std::int32_t> drawn(static_cast<std::size_t>(shape.element_count()));
    const Rng of_tensor = rng.split(name);
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const std::int64_t code =
          static_cast<std::int64_t>(of_tensor.below(i, static_cast<std::uint64_t>(spec.code_count()))) + spec.min_code();
      drawn[i] = static_cast<std::int32_t>(i % 7 == 0 ? spec.min_code() : code);
    }
    model.weights.emplace(name, QuantizedTensor(spec, shape, std::move(drawn), FixedPoint::Parameters{}));
    return name;
  };
  const auto add = [&](Op op, std::vector<std::string> inputs, std::map<std::string, Attribute> attributes) {
    const std::string name = std::string(op_entry(op).name) + std::to_string(model.graph.nodes.size());
    inputs.insert(inputs.begin(), value);
    model.graph.nodes.push_back(
        {.name = name, .op = op, .inputs = std::move(inputs), .outputs = {name}, .attributes = std::move(attributes)});
    value = name;
  };
  const auto product = [&](Op op, const Shape& shape, std::map<std::string, Attribute> attributes) {
    const FixedPoint weight = format(2, 24);
    const std::string prefix = "w" + std::to_string(model.weights.size());
    std::vector<std::string> inputs = {codes(prefix, shape, weight)};
    if (any(0, 3) > 0) {
      const int acc_frac_bits = activation.frac_bits + weight.frac_bits;
      const auto frac_bits = static_cast<int>(any(0, std::min(acc_frac_bits, 15)));
      const FixedPoint bias{.int_bits = static_cast<int>(any(1, 16)),
                            .frac_bits = frac_bits + 1 > acc_frac_bits ? acc_frac_bits : frac_bits};
      inputs.push_back(codes(prefix + ".bias", Shape{shape[0]}, bias.word_bits() < 2 ? FixedPoint{.int_bits = 2, .frac_bits = 0} : bias));
    }
    attributes[std::string(kInputFormatAttribute)] = activation.spec();
    activation = format(2, 16);
    attributes[std::string(kOutputFormatAttribute)] = activation.spec();
    add(op, std::move(inputs), std::move(attributes));
    if (any(0, 2) > 0) add(Op::Relu, {}, {});
  };
  const auto layers = any(1, 3);
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const std::int64_t group = channels % 2 == 0 ? any(1, 2) : 1;
    const Ints kernel = {any(1, 3), any(1, 3)};
    const Ints strides = {any(1, 2), any(1, 2)};
    const Ints dilations = {any(1, 2), any(1, 2)};
    const Ints pads = {any(1, 2), any(1, 2), any(1, 2), any(1, 2)};
    const auto extent = [&](std::int64_t in, std::size_t axis) {
      return (in + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1) / strides[axis] + 1;
    };
    if (extent(height, 0) < 2 || extent(width, 1) < 2) break;
    height = extent(height, 0);
    width = extent(width, 1);
    const std::int64_t outputs = group * any(1, 20);
    product(Op::Conv, Shape{outputs, channels / group, kernel[0], kernel[1]},
            {{"strides", strides}, {"pads", pads}, {"dilations", dilations}, {"group", group}});
    channels = outputs;
    if (any(0, 1) == 0 && height >= 4 && width >= 4) {
      const std::int64_t ceil_mode = any(0, 1);
      const std::int64_t pad = any(0, 1);
      add(Op::MaxPool, {},
          {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{pad, 0, pad, 0}}, {"ceil_mode", ceil_mode}});
      const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), 1);
      height = shapes.at(value)[2];
      width = shapes.at(value)[3];
    }
  }
  add(Op::Flatten, {}, {{"axis", std::int64_t{1}}});
  features = channels * height * width;
  for (std::int64_t layer = any(1, 2); layer > 0; --layer) {
    if (any(0, 2) == 0) add(Op::Dropout, {}, {{"ratio", 0.5F}});
    const std::int64_t outputs = any(2, 70);
    product(Op::Gemm, Shape{outputs, features}, {{"transB", std::int64_t{1}}});
    features = outputs;
  }
  if (any(0, 3) == 0) add(Op::Softmax, {}, {{"axis", std::int64_t{-1}}});
  model.graph.outputs = {value};
  return model;
}

}  // namespace bitwright::test
