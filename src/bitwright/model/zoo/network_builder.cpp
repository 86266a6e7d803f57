// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo/network_builder.h"

#include <limits>
#include <utility>

namespace bitwright {
namespace {

using Ints = std::vector<std::int64_t>;

std::map<std::string, Attribute> window_attributes(std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  return {{"kernel_shape", Ints{kernel, kernel}}, {"strides", Ints{stride, stride}}, {"pads", Ints{pad, pad, pad, pad}}};
}

}  // namespace

NetworkBuilder::NetworkBuilder(std::string name, std::int64_t channels, std::int64_t extent) {
  model_.graph.name = std::move(name);
  model_.graph.inputs.push_back({.name = "input", .shape = Shape{Shape::kDynamic, channels, extent, extent}});
}

std::string NetworkBuilder::append(const std::string& name, Op op, std::vector<std::string> inputs,
                                   std::map<std::string, Attribute> attributes) {
  model_.graph.nodes.push_back(
      Node{.name = name, .op = op, .inputs = std::move(inputs), .outputs = {name}, .attributes = std::move(attributes)});
  return name;
}

std::string NetworkBuilder::weight(const std::string& name, Shape shape, float value) {
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()), value);
  model_.weights.emplace(name, FloatTensor{std::move(shape), std::move(values)});
  return name;
}

namespace {

std::map<std::string, Attribute> conv_attributes(const NetworkBuilder::ConvOptions& options) {
  std::map<std::string, Attribute> attributes = window_attributes(options.kernel, options.stride, options.pad);
  if (options.group != 1) attributes["group"] = options.group;
  return attributes;
}

}  // namespace

std::string NetworkBuilder::conv(const std::string& name, const std::string& src, std::int64_t in, std::int64_t out, ConvOptions options) {
  return append(
      name, Op::Conv,
      {src, weight(name + ".weight", Shape{out, in / options.group, options.kernel, options.kernel}), weight(name + ".bias", Shape{out})},
      conv_attributes(options));
}

std::string NetworkBuilder::conv_without_bias(const std::string& name, const std::string& src, std::int64_t in, std::int64_t out,
                                              ConvOptions options) {
  return append(name, Op::Conv, {src, weight(name + ".weight", Shape{out, in / options.group, options.kernel, options.kernel})},
                conv_attributes(options));
}

std::string NetworkBuilder::batch_norm(const std::string& name, const std::string& src, std::int64_t channels, float epsilon) {
  const Shape shape{channels};
  return append(name, Op::BatchNormalization,
                {src, weight(name + ".weight", shape, 1.0F), weight(name + ".bias", shape), weight(name + ".running_mean", shape),
                 weight(name + ".running_var", shape, 1.0F)},
                {{"epsilon", epsilon}});
}

std::string NetworkBuilder::linear(const std::string& name, const std::string& src, std::int64_t in, std::int64_t out) {
  return append(name, Op::Gemm, {src, weight(name + ".weight", Shape{out, in}), weight(name + ".bias", Shape{out})},
                {{"transB", std::int64_t{1}}});
}

std::string NetworkBuilder::relu(const std::string& name, const std::string& src) { return append(name, Op::Relu, {src}); }

std::string NetworkBuilder::relu6(const std::string& name, const std::string& src) {
  return append(name, Op::Clip, {src}, {{"min", 0.0F}, {"max", 6.0F}});
}

std::string NetworkBuilder::concat(const std::string& name, std::vector<std::string> sources) {
  return append(name, Op::Concat, std::move(sources), {{"axis", std::int64_t{1}}});
}

std::string NetworkBuilder::add(const std::string& name, const std::string& a, const std::string& b) {
  return append(name, Op::Add, {a, b});
}

std::string NetworkBuilder::dropout(const std::string& name, const std::string& src, float ratio) {
  return append(name, Op::Dropout, {src}, {{"ratio", ratio}});
}

std::string NetworkBuilder::flatten(const std::string& name, const std::string& src) {
  return append(name, Op::Flatten, {src}, {{"axis", std::int64_t{1}}});
}

std::string NetworkBuilder::global_average_pool(const std::string& name, const std::string& src) {
  return append(name, Op::GlobalAveragePool, {src});
}

std::string NetworkBuilder::max_pool(const std::string& name, const std::string& src, std::int64_t kernel, std::int64_t stride) {
  return append(name, Op::MaxPool, {src}, window_attributes(kernel, stride, 0));
}

std::string NetworkBuilder::max_pool(const std::string& name, const std::string& src, PoolOptions options) {
  std::map<std::string, Attribute> attributes = window_attributes(options.kernel, options.stride, options.pad);
  if (options.extent == PoolOptions::Extent::rounded_up) attributes["ceil_mode"] = std::int64_t{1};
  return append(name, Op::MaxPool, {src}, std::move(attributes));
}

std::string NetworkBuilder::max_pool_ceil(const std::string& name, const std::string& src, std::int64_t kernel, std::int64_t stride) {
  std::map<std::string, Attribute> attributes = window_attributes(kernel, stride, 0);
  attributes["ceil_mode"] = std::int64_t{1};
  return append(name, Op::MaxPool, {src}, std::move(attributes));
}

std::string NetworkBuilder::halve(const std::string& name, const std::string& src) {
  constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int64_t>::max();  // ONNX clamps it to the axis
  return append(name, Op::Slice, {src},
                {{"starts", Ints{0, 0}}, {"ends", Ints{kToTheEnd, kToTheEnd}}, {"axes", Ints{2, 3}}, {"steps", Ints{2, 2}}});
}

std::string NetworkBuilder::pad_channels(const std::string& name, const std::string& src, std::int64_t pad) {
  return append(name, Op::Pad, {src}, {{"pads", Ints{0, pad, 0, 0, 0, pad, 0, 0}}, {"value", 0.0F}});
}

Model NetworkBuilder::finish(const std::string& output, InputTransform transform, std::vector<std::string> class_names) && {
  model_.graph.outputs = {output};
  model_.input_transform = std::move(transform);
  model_.class_names = std::move(class_names);
  return std::move(model_);
}

InputTransform mnist_transform() { return {.mean = {0.1307F}, .std = {0.3081F}}; }

InputTransform imagenet_transform() { return {.mean = {0.485F, 0.456F, 0.406F}, .std = {0.229F, 0.224F, 0.225F}}; }

InputTransform cifar10_transform() { return {.mean = {0.4914F, 0.4822F, 0.4465F}, .std = {0.2470F, 0.2435F, 0.2616F}}; }

std::vector<std::string> mnist_classes() { return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; }

std::vector<std::string> cifar10_classes() {
  return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

}  // namespace bitwright
