// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/optimizer.h"

#include "bitwright/core/error.h"
#include "bitwright/train/foreach_sgd.h"
#include "bitwright/train/method.h"
#include "bitwright/train/optimizer_state.h"
#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <string>

namespace bitwright {
namespace {

constexpr double kAdamBeta2 = 0.999;

/// Parameters that share weight decay and learning rate.
struct Group {
  std::vector<at::Tensor> tensors;
  double weight_decay = 0.0;
  double lr_ratio = 1.0;
};

template <typename Options>
std::vector<torch::optim::OptimizerParamGroup> torch_groups(const std::vector<Group>& groups, const Options& options) {
  std::vector<torch::optim::OptimizerParamGroup> result;
  for (const Group& group : groups) {
    auto own = std::make_unique<Options>(options);
    own->weight_decay(group.weight_decay);
    result.emplace_back(group.tensors, std::move(own));
  }
  return result;
}

}  // namespace

class Optimizer::Impl {
 public:
  Impl(const Network& network, const TrainRecipe& recipe, std::span<const std::unique_ptr<Method>> methods)
      : recipe_(recipe), kind_(recipe.optimizer), rate_(recipe.lr) {
    Group weights{{}, recipe.weight_decay, 1.0};
    Group others{{}, recipe.bias_weight_decay, 1.0};
    for (const Parameter& parameter : network.parameters()) {
      if (std::ranges::any_of(methods, [&](const auto& method) { return method->owns_update(parameter.name); })) continue;
      parameters_.push_back({parameter.name, parameter.tensor});
      (parameter.role == Parameter::Role::weight ? weights : others).tensors.push_back(parameter.tensor);
    }
    std::vector<Group> groups = {std::move(weights), std::move(others)};
    for (const auto& method : methods) {
      for (const MethodParameter& own : method->parameters()) {
        parameters_.push_back({own.name, own.tensor});
        groups.push_back({{own.tensor}, own.weight_decay, own.lr_ratio});
      }
    }
    std::erase_if(groups, [](const Group& group) { return group.tensors.empty(); });
    for (const Group& group : groups) lr_ratios_.push_back(group.lr_ratio);
    if (kind_ == OptimizerKind::sgd) {
      torch::optim::SGDOptions options(recipe.lr);
      options.momentum(recipe.momentum).nesterov(recipe.nesterov);
      optimizer_ = std::make_unique<torch::optim::SGD>(torch_groups(groups, options), options);
    } else {
      torch::optim::AdamOptions options(recipe.lr);
      options.betas({recipe.momentum, kAdamBeta2});
      optimizer_ = std::make_unique<torch::optim::Adam>(torch_groups(groups, options), options);
    }
  }

  void set_learning_rate(double rate) {
    rate_ = rate;
    std::vector<torch::optim::OptimizerParamGroup>& groups = optimizer_->param_groups();
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i].options().set_lr(rate * lr_ratios_[i]);
  }

  [[nodiscard]] double learning_rate() const noexcept { return rate_; }
  [[nodiscard]] const TrainRecipe& recipe() const noexcept { return recipe_; }

  torch::optim::Optimizer& optimizer() { return *optimizer_; }

  void step() {
    const bool on_cpu = parameters_.empty() || parameters_.front().tensor.is_cpu();
    if (kind_ == OptimizerKind::sgd && !on_cpu) {
      foreach_sgd_step(static_cast<torch::optim::SGD&>(*optimizer_));
    } else {
      optimizer_->step();
    }
  }

  std::vector<at::Tensor> state_tensors(const at::Tensor& parameter) const {
    const auto& states = optimizer_->state();
    const auto found = states.find(optimizer_state_key(parameter));
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
    for (const Changed& parameter : parameters_) {
      const std::vector<at::Tensor> tensors = state_tensors(parameter.tensor);
      state.integer("optimizer.tensors", static_cast<std::int64_t>(tensors.size()));
      for (const at::Tensor& tensor : tensors) state.tensor("optimizer." + parameter.name, tensor);
      if (kind_ == OptimizerKind::adam && !tensors.empty()) {
        auto& own = static_cast<torch::optim::AdamParamState&>(*optimizer_->state().at(optimizer_state_key(parameter.tensor)));
        state.integer("optimizer.step", own.step());
      }
    }
  }

  void load(StateReader& state) {
    for (const Changed& parameter : parameters_) {
      const std::int64_t count = state.integer("optimizer.tensors");
      if (count == 0) {
        optimizer_->state().erase(optimizer_state_key(parameter.tensor));
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
        optimizer_->state()[optimizer_state_key(parameter.tensor)] = std::move(own);
      } else {
        auto own = std::make_unique<torch::optim::AdamParamState>();
        own->exp_avg(tensors.at(0));
        own->exp_avg_sq(tensors.at(1));
        own->step(state.integer("optimizer.step"));
        optimizer_->state()[optimizer_state_key(parameter.tensor)] = std::move(own);
      }
    }
  }

  const at::Tensor& tensor(std::string_view name) const {
    const auto found = std::ranges::find(parameters_, name, &Changed::name);
    if (found == parameters_.end()) fail(ErrorCode::internal, "optimizer: there is no parameter \"{}\".", name);
    return found->tensor;
  }

 private:
  /// What this optimizer changes.
  struct Changed {
    std::string name;
    at::Tensor tensor;
  };
  TrainRecipe recipe_;
  OptimizerKind kind_;
  double rate_;
  std::vector<Changed> parameters_;
  std::vector<double> lr_ratios_;  ///< per group
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

Optimizer::Optimizer(const Network& network, const TrainRecipe& recipe, std::span<const std::unique_ptr<Method>> methods)
    : impl_(std::make_unique<Impl>(network, recipe, methods)) {}

Optimizer::~Optimizer() = default;

void Optimizer::zero_gradients() { impl_->optimizer().zero_grad(); }

void Optimizer::step() { impl_->step(); }

void Optimizer::set_learning_rate(double rate) { impl_->set_learning_rate(rate); }

double Optimizer::learning_rate() const noexcept { return impl_->learning_rate(); }

const TrainRecipe& Optimizer::recipe() const noexcept { return impl_->recipe(); }

std::vector<at::Tensor> Optimizer::state_tensors(std::string_view parameter) const {
  return impl_->state_tensors(impl_->tensor(parameter));
}

void Optimizer::save(StateWriter& state) const { impl_->save(state); }

void Optimizer::load(StateReader& state) { impl_->load(state); }

}  // namespace bitwright
