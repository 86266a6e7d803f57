// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/foreach_sgd.h"

#include "bitwright/train/optimizer_state.h"

#include <torch/torch.h>

#include <vector>

namespace bitwright {
namespace {

void step_group(torch::optim::SGD& optimizer, torch::optim::OptimizerParamGroup& group) {
  const auto& options = static_cast<const torch::optim::SGDOptions&>(group.options());
  std::vector<at::Tensor> values;
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& value : group.params()) {
    if (!value.grad().defined()) continue;
    values.push_back(value);
    gradients.push_back(value.grad());
  }
  if (values.empty()) return;
  std::vector<at::Tensor> updates = gradients;
  if (options.weight_decay() != 0.0) updates = at::_foreach_add(gradients, values, options.weight_decay());
  if (options.momentum() != 0.0) {
    // A parameter without state takes the update itself as its first momentum.
    std::vector<at::Tensor> momenta;
    std::vector<at::Tensor> old_momenta;
    std::vector<at::Tensor> old_updates;
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto& state = optimizer.state()[optimizer_state_key(values[i])];
      if (state == nullptr) {
        auto own = std::make_unique<torch::optim::SGDParamState>();
        own->momentum_buffer(updates[i].clone());
        state = std::move(own);
      } else {
        old_momenta.push_back(static_cast<torch::optim::SGDParamState&>(*state).momentum_buffer());
        old_updates.push_back(updates[i]);
      }
      momenta.push_back(static_cast<torch::optim::SGDParamState&>(*state).momentum_buffer());
    }
    if (!old_momenta.empty()) {
      at::_foreach_mul_(old_momenta, options.momentum());
      at::_foreach_add_(old_momenta, old_updates, 1.0 - options.dampening());
    }
    updates = options.nesterov() ? at::_foreach_add(updates, momenta, options.momentum()) : momenta;
  }
  at::_foreach_add_(values, updates, -options.lr());
}

}  // namespace

void foreach_sgd_step(torch::optim::SGD& optimizer) {
  const at::NoGradGuard no_grad;
  for (torch::optim::OptimizerParamGroup& group : optimizer.param_groups()) step_group(optimizer, group);
}

}  // namespace bitwright
