// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/optimizer.h"

#include "bitwright/core/error.h"
#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <map>
#include <string>

namespace bitwright {
namespace {

/// The key under which an optimizer of LibTorch keeps a parameter's state; it changed in version 2.
auto state_key(const at::Tensor& parameter) {
#if TORCH_VERSION_MAJOR >= 2
  return static_cast<void*>(parameter.unsafeGetTensorImpl());
#else
  return c10::guts::to_string(parameter.unsafeGetTensorImpl());
#endif
}

constexpr double kAdamBeta2 = 0.999;

template <typename Options>
std::vector<torch::optim::OptimizerParamGroup> make_groups(const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& others,
                                                           const TrainRecipe& recipe, const Options& options) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const auto add = [&groups, &options](const std::vector<at::Tensor>& tensors, double decay) {
    if (tensors.empty()) return;
    auto own = std::make_unique<Options>(options);
    own->weight_decay(decay);
    groups.emplace_back(tensors, std::move(own));
  };
  add(weights, recipe.weight_decay);
  add(others, recipe.bias_weight_decay);
  return groups;
}

}  // namespace

class Optimizer::Impl {
 public:
  Impl(const Network& network, const TrainRecipe& recipe) : kind_(recipe.optimizer) {
    std::vector<at::Tensor> weights;
    std::vector<at::Tensor> others;
    for (const Parameter& parameter : network.parameters()) {
      parameters_.push_back(parameter);
      (parameter.role == Parameter::Role::weight ? weights : others).push_back(parameter.tensor);
    }
    if (kind_ == OptimizerKind::sgd) {
      torch::optim::SGDOptions options(recipe.lr);
      options.momentum(recipe.momentum).nesterov(recipe.nesterov);
      optimizer_ = std::make_unique<torch::optim::SGD>(make_groups(weights, others, recipe, options), options);
    } else {
      torch::optim::AdamOptions options(recipe.lr);
      options.betas({recipe.momentum, kAdamBeta2});
      optimizer_ = std::make_unique<torch::optim::Adam>(make_groups(weights, others, recipe, options), options);
    }
  }

  torch::optim::Optimizer& optimizer() { return *optimizer_; }

  std::vector<at::Tensor> state_tensors(const at::Tensor& parameter) const {
    const auto& states = optimizer_->state();
    const auto found = states.find(state_key(parameter));
    if (found == states.end()) return {};
    std::vector<at::Tensor> tensors;
    if (kind_ == OptimizerKind::sgd) {
      tensors = {static_cast<torch::optim::SGDParamState&>(*found->second).momentum_buffer()};
    } else {
      auto& state = static_cast<torch::optim::AdamParamState&>(*found->second);
      tensors = {state.exp_avg(), state.exp_avg_sq()};
    }
    std::erase_if(tensors, [](const at::Tensor& tensor) { return !tensor.defined(); });
    return tensors;
  }

  void save(StateWriter& state) const {
    for (const Parameter& parameter : parameters_) {
      const std::vector<at::Tensor> tensors = state_tensors(parameter.tensor);
      state.integer("optimizer.tensors", static_cast<std::int64_t>(tensors.size()));
      for (const at::Tensor& tensor : tensors) state.tensor("optimizer." + parameter.name, tensor);
      if (kind_ == OptimizerKind::adam && !tensors.empty()) {
        auto& own = static_cast<torch::optim::AdamParamState&>(*optimizer_->state().at(state_key(parameter.tensor)));
        state.integer("optimizer.step", own.step());
      }
    }
  }

  void load(StateReader& state) {
    for (const Parameter& parameter : parameters_) {
      const std::int64_t count = state.integer("optimizer.tensors");
      if (count == 0) {
        optimizer_->state().erase(state_key(parameter.tensor));
        continue;
      }
      std::vector<at::Tensor> tensors;
      for (std::int64_t i = 0; i < count; ++i) {
        tensors.push_back(at::empty_like(parameter.tensor).detach());
        state.tensor_into("optimizer." + parameter.name, tensors.back());
      }
      if (kind_ == OptimizerKind::sgd) {
        auto own = std::make_unique<torch::optim::SGDParamState>();
        own->momentum_buffer(tensors.at(0));
        optimizer_->state()[state_key(parameter.tensor)] = std::move(own);
      } else {
        auto own = std::make_unique<torch::optim::AdamParamState>();
        own->exp_avg(tensors.at(0));
        own->exp_avg_sq(tensors.at(1));
        own->step(state.integer("optimizer.step"));
        optimizer_->state()[state_key(parameter.tensor)] = std::move(own);
      }
    }
  }

  const at::Tensor& tensor(std::string_view name) const {
    const auto found = std::ranges::find(parameters_, name, &Parameter::name);
    if (found == parameters_.end()) fail(ErrorCode::internal, "optimizer: there is no parameter \"{}\".", name);
    return found->tensor;
  }

 private:
  OptimizerKind kind_;
  std::vector<Parameter> parameters_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

Optimizer::Optimizer(const Network& network, const TrainRecipe& recipe) : impl_(std::make_unique<Impl>(network, recipe)) {}

Optimizer::~Optimizer() = default;

void Optimizer::zero_gradients() { impl_->optimizer().zero_grad(); }

void Optimizer::step() { impl_->optimizer().step(); }

void Optimizer::set_learning_rate(double rate) {
  for (auto& group : impl_->optimizer().param_groups()) group.options().set_lr(rate);
}

std::vector<at::Tensor> Optimizer::state_tensors(std::string_view parameter) const {
  return impl_->state_tensors(impl_->tensor(parameter));
}

void Optimizer::save(StateWriter& state) const { impl_->save(state); }

void Optimizer::load(StateReader& state) { impl_->load(state); }

}  // namespace bitwright
