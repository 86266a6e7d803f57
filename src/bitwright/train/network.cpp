// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/network.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/train/fixed_point/chain.h"
#include "bitwright/train/ops/forward.h"
#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <set>

namespace bitwright {
namespace {

constexpr std::size_t kInputValue = 0;

/// The same images with channels-last strides. With one channel both layouts have the same bytes, and LibTorch takes the strides as they
/// stand for "not channels-last": they must be set by hand.
at::Tensor channels_last(const at::Tensor& images) {
  if (images.dim() != 4) return images;
  if (images.size(1) != 1) return images.contiguous(at::MemoryFormat::ChannelsLast);
  const std::int64_t height = images.size(2);
  const std::int64_t width = images.size(3);
  return images.contiguous().as_strided(images.sizes(), {height * width, 1, width, 1});
}

}  // namespace

Forward forward_of(Op op) noexcept {
  static constexpr std::array kForwards = {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) &forward_##function,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
  };
  return kForwards[static_cast<std::size_t>(op)];
}

Precision usable_precision(Precision wanted, at::Device device) {
  if (wanted == Precision::float32 || !device.is_cpu()) return wanted;
  const std::vector<std::string> features = cpu_features();
  const auto has = [&features](std::string_view name) { return std::ranges::find(features, name) != features.end(); };
  return has("avx512_bf16") || has("amx_bf16") ? Precision::bfloat16 : Precision::float32;
}

Network::Network(Model model, NetworkOptions options) : model_(std::move(model)), options_(options) {
  BITWRIGHT_ASSERT(model_.graph.inputs.size() == 1 && model_.graph.outputs.size() == 1);
  add_tensors();
  add_steps();
  if (is_fixed_point(model_.graph)) fixed_point::install_evaluation(model_, *this);
  model_.weights.clear();  // the tensors hold them from here on; large networks would not have room for both
}

void Network::add_tensors() {
  std::set<std::string_view> fixed;
  for (const Node& node : model_.graph.nodes) {
    if (node.op == Op::BatchNormalization) fixed.insert({node.inputs[3], node.inputs[4]});
    // The exponent's derivative is not defined for negative numbers, and where it stands in a network it is a constant (2, 0.5).
    if (node.op == Op::Pow) fixed.insert(node.inputs[1]);
    if (node.op == Op::Conv && options_.device.is_cpu()) channels_last_ = true;
  }
  const std::vector<std::string> quantizable = quantizable_weights(model_.graph);
  for (const auto& [name, weight] : model_.weights) {
    const at::Tensor tensor = to_tensor(weight_shape(weight), weight_values(weight)).to(options_.device);
    if (fixed.contains(name)) {
      buffers_.push_back({name, tensor});
      continue;
    }
    const bool is_weight = std::ranges::find(quantizable, name) != quantizable.end();
    parameters_.push_back({name, is_weight ? Parameter::Role::weight : Parameter::Role::other, tensor.set_requires_grad(true)});
  }
  weight_transforms_.resize(parameters_.size());
}

void Network::add_steps() {
  std::map<std::string_view, Source> sources;
  sources[model_.graph.inputs[0].name] = {Source::Kind::value, kInputValue};
  for (std::size_t i = 0; i < parameters_.size(); ++i) sources[parameters_[i].name] = {Source::Kind::parameter, i};
  for (std::size_t i = 0; i < buffers_.size(); ++i) sources[buffers_[i].name] = {Source::Kind::buffer, i};
  value_count_ = kInputValue + 1;
  for (const Node& node : model_.graph.nodes) {
    if (node.op == Op::Softmax && node.outputs[0] == model_.graph.outputs[0]) {
      sources[node.outputs[0]] = sources.at(node.inputs[0]);
      continue;
    }
    Step step;
    step.node = &node;
    for (const std::string& input : node.inputs) step.inputs.push_back(input.empty() ? Source{} : sources.at(input));
    step.output = value_count_++;
    sources[node.outputs[0]] = {Source::Kind::value, step.output};
    steps_.push_back(std::move(step));
  }
  const Source& output = sources.at(model_.graph.outputs[0]);
  BITWRIGHT_ASSERT(output.kind == Source::Kind::value);
  output_value_ = output.index;
}

at::Tensor Network::run(const at::Tensor& images, Mode mode, std::int64_t step, const Observer& observer) {
  const PassContext pass{mode, step};
  const Rng dropout(options_.seed, "dropout", static_cast<std::uint64_t>(step));
  const ForwardContext context{mode, mode == Mode::train ? options_.precision : options_.evaluation_precision, &dropout};
  std::vector<at::Tensor> values(value_count_);
  values[kInputValue] = channels_last_ ? channels_last(images) : images;
  std::vector<at::Tensor> inputs;
  for (const Step& now : steps_) {
    inputs.clear();
    for (const Source& source : now.inputs) {
      switch (source.kind) {
        case Source::Kind::absent: inputs.emplace_back(); break;
        case Source::Kind::value: inputs.push_back(values[source.index]); break;
        case Source::Kind::buffer: inputs.push_back(buffers_[source.index].tensor); break;
        case Source::Kind::parameter: inputs.push_back(transformed(source.index, pass)); break;
      }
    }
    at::Tensor output = now.forward ? now.forward(*now.node, inputs, pass) : forward_of(now.node->op)(*now.node, inputs, context);
    if (now.output_transform) output = now.output_transform(output, pass);
    if (observer) observer(*now.node, output);
    values[now.output] = std::move(output);
  }
  return values[output_value_].to(at::kFloat);
}

at::Tensor Network::forward(const at::Tensor& images, Mode mode, std::int64_t step) {
  if (mode == Mode::train) return run(images, mode, step, {});
  const at::NoGradGuard no_grad;
  return run(images, mode, step, {});
}

std::optional<std::string> Network::first_not_finite(const at::Tensor& images, Mode mode, std::int64_t step) {
  const at::NoGradGuard no_grad;
  // A forward pass in training mode moves the running statistics; looking must not.
  std::vector<at::Tensor> before;
  for (const Buffer& buffer : buffers_) before.push_back(buffer.tensor.clone());
  std::optional<std::string> first;
  (void)run(images, mode, step, [&first](const Node& node, const at::Tensor& output) {
    if (!first && !at::isfinite(output).all().item<bool>()) first = node.name;
  });
  for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].tensor.copy_(before[i]);
  return first;
}

std::vector<std::string> Network::weight_names() const { return quantizable_weights(model_.graph); }

std::size_t Network::parameter_index(std::string_view name) const {
  const auto found = std::ranges::find(parameters_, name, &Parameter::name);
  if (found == parameters_.end()) fail(ErrorCode::internal, "network: there is no parameter \"{}\".", name);
  return static_cast<std::size_t>(found - parameters_.begin());
}

at::Tensor Network::transformed(std::size_t parameter, const PassContext& pass) const {
  const TensorTransform& transform = weight_transforms_[parameter];
  const at::Tensor& tensor = parameters_[parameter].tensor;
  return transform ? transform(tensor, pass) : tensor;
}

const at::Tensor& Network::parameter(std::string_view name) const { return parameters_[parameter_index(name)].tensor; }

void Network::set_weight_transform(std::string_view weight, TensorTransform transform) {
  weight_transforms_[parameter_index(weight)] = std::move(transform);
}

at::Tensor Network::transformed_weight(std::string_view weight, const PassContext& pass) const {
  return transformed(parameter_index(weight), pass);
}

Network::Step& Network::step_of(std::string_view node) {
  const auto found = std::ranges::find_if(steps_, [node](const Step& step) { return step.node->name == node; });
  if (found == steps_.end()) fail(ErrorCode::internal, "network: there is no node \"{}\".", node);
  return *found;
}

void Network::set_output_transform(std::string_view node, TensorTransform transform) {
  step_of(node).output_transform = std::move(transform);
}

void Network::set_node_forward(std::string_view node, NodeForward forward) { step_of(node).forward = std::move(forward); }

Model Network::to_model(const Freeze& freeze) const {
  Model model = model_;
  for (const Parameter& parameter : parameters_) {
    std::optional<QuantizedTensor> codes = freeze ? freeze(parameter.name) : std::nullopt;
    if (codes) {
      model.weights.insert_or_assign(parameter.name, std::move(*codes));
    } else {
      model.weights.insert_or_assign(parameter.name, FloatTensor{tensor_shape(parameter.tensor), tensor_values(parameter.tensor)});
    }
  }
  for (const Buffer& buffer : buffers_) {
    model.weights.insert_or_assign(buffer.name, FloatTensor{tensor_shape(buffer.tensor), tensor_values(buffer.tensor)});
  }
  return model;
}

void Network::save(StateWriter& state) const {
  for (const Parameter& parameter : parameters_) state.tensor(parameter.name, parameter.tensor);
  for (const Buffer& buffer : buffers_) state.tensor(buffer.name, buffer.tensor);
}

void Network::load(StateReader& state) {
  for (const Parameter& parameter : parameters_) state.tensor_into(parameter.name, parameter.tensor);
  for (const Buffer& buffer : buffers_) state.tensor_into(buffer.name, buffer.tensor);
}

}  // namespace bitwright
