// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/fixed_point/chain.h"
#include "bitwright/train/method.h"
#include "bitwright/train/methods/fixed/options.h"
#include "bitwright/train/methods/fixed/update.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::fixed {

/// Training in fixed point from the first step on: weights, biases, outputs, errors and updates are codes, sums are exact integers, and
/// every conversion rounds once, stochastically unless asked otherwise. There is no float copy of a weight; the network's own tensors hold
/// the values of the codes, for whoever looks at them.
/// Source: Gupta 2015, arXiv 1502.02551; equations (G1)-(G16). What the paper leaves open is stated in docs/methods/fixed.md.
class Fixed final : public Method {
 public:
  explicit Fixed(FixedOptions options);
  ~Fixed() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "fixed"; }
  [[nodiscard]] BitPlan default_plan(const Network& network) const override;
  void attach(Network& network, const BitPlan& plan) override;
  [[nodiscard]] bool owns_update(std::string_view) const override { return true; }
  void begin_phase(StepContext& context) override;
  /// Equation: delta^L = Convert(p - onehot) per image, of the sum of losses (4.3). Throws: `Error(usage)` when the loss is not the
  /// cross-entropy of the logits.
  at::Tensor loss(StepContext& context, at::Tensor task_loss) override;
  void after_backward(StepContext& context) override;
  void end_epoch(StepContext& context, Metrics& metrics) override;
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view weight) const override;
  /// Writes `input_format` and `output_format` into every Conv and Gemm.
  void complete(Model& model) const override;
  void save(StateWriter& state) const override;
  void load(StateReader& state) override;

 private:
  struct Parameter;
  struct Layer;
  [[nodiscard]] fixed_point::PassRule training_rule(std::int64_t step) const;
  [[nodiscard]] Parameter make_parameter(const Network& network, const std::string& name, const FixedPoint& format) const;
  void add_layer(const Network& network, fixed_point::Chain::Link& link, const BitPlan& plan);
  void initialize();
  void refresh(Layer& layer);
  void update_layer(Layer& layer, const StepContext& context, std::int64_t batch);
  void switch_formats();
  void report(Metrics& metrics);
  [[nodiscard]] const Parameter* find(std::string_view name) const;
  /// Calls `function(name, count)` for every saturation counter of the chain and the loss.
  template <typename Function>
  void for_each_count(Function&& function);

  const FixedOptions options_;
  std::shared_ptr<fixed_point::Chain> chain_;
  std::vector<Layer> layers_;
  std::uint64_t seed_ = 0;
  bool initialized_ = false;  ///< weights were drawn or converted with the run's rounding
  bool switched_ = false;
  at::Tensor loss_errors_;    ///< codes of delta^L
  at::Tensor loss_gradient_;  ///< their values: what autograd must hand back
  fixed_point::SaturationCount loss_count_;
};

}  // namespace bitwright::fixed
