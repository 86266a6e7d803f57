// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/ptq/ptq.h"

#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>

namespace bitwright::ptq {

/// One parameter in the method's charge.
struct Ptq::Layer {
  std::string name;
  NumberFormat format;
  at::Tensor weight;  ///< the network's own
  at::Tensor values;  ///< of its codes, as of `version`
  std::int64_t version = -1;
};

Ptq::Ptq(PtqOptions options) : options_(std::move(options)) {}

Ptq::~Ptq() = default;

BitPlan Ptq::default_plan(const Network& network) const {
  return qd::plan_of(network.graph(), options_.layers, options_.plan, options_.format, "recipe: method ptq");
}

void Ptq::attach(Network& network, const BitPlan& plan) {
  layers_.clear();
  for (const std::string& name : qd::eligible_parameters(network.graph(), options_.layers)) {
    const std::optional<NumberFormat> format = plan.format_for(name);
    if (format) layers_.push_back({.name = name, .format = *format, .weight = network.parameter(name), .values = {}});
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    network.set_weight_transform(layers_[i].name, [this, i](const at::Tensor& weight, const PassContext& pass) {
      if (pass.mode == Mode::train) return weight;
      Layer& layer = layers_[i];
      if (layer.version != weight._version()) {
        const std::vector<float> values = freeze(layer.name)->dequantize();
        layer.values = to_tensor(tensor_shape(weight), values).to(weight.device());
        layer.version = weight._version();
      }
      return layer.values;
    });
  }
}

std::vector<Phase> Ptq::phases(std::int64_t) const { return {{"ptq", 0}}; }

std::optional<QuantizedTensor> Ptq::freeze(std::string_view weight) const {
  const auto found = std::ranges::find(layers_, weight, &Layer::name);
  if (found == layers_.end()) return std::nullopt;
  return quantize(found->format, tensor_shape(found->weight), tensor_values(found->weight), {.mode = options_.rounding, .rng = nullptr});
}

}  // namespace bitwright::ptq

namespace bitwright {

std::unique_ptr<Method> make_ptq(const MethodRecipe& recipe) { return std::make_unique<ptq::Ptq>(ptq::parse_ptq_options(recipe)); }

}  // namespace bitwright
