// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/method.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::ttq {

/// Where a layer's threshold comes from.
enum class ThresholdRule {
  ratio,     ///< (T1) from the latent weights of every step
  sparsity,  ///< (T2) when training begins and at every epoch's end
  twn,       ///< (T13) of every step, with one closed-form scale and a straight-through gradient: the baseline
};

/// Values of the two scales before the first step.
enum class ScaleInit {
  means,  ///< mean magnitude of the weights that get the scale
  ones,   ///< 1, as the authors' program does
};

/// What happens to a scale that a step makes too small.
enum class ScaleGuard {
  projected,  ///< it is put back to 1e-4 of its first value, and counted
  raw,        ///< nothing, the paper's form: a scale may turn negative, and then both signs mean the same
};

/// Which weights become ternary, by operator and position in the graph.
enum class Layers {
  inner,          ///< all but those of the first and the last Conv or Gemm
  all,            ///< every Conv and Gemm
  all_but_first,  ///< all but the first: what the authors' CIFAR program does
};

/// Options of `[[method]] name = "ttq"`; docs/methods/ttq.md lists them.
struct TtqOptions {
  ThresholdRule threshold = ThresholdRule::ratio;
  double threshold_ratio = 0.05;  ///< t of (T1)
  double sparsity_target = 0.5;   ///< r of (T2)
  ScaleInit scale_init = ScaleInit::means;
  ScaleGuard scales = ScaleGuard::projected;
  double scale_decay = 0.0;
  double scale_lr_ratio = 1.0;
  double loss_limit = 100.0;  ///< in units of ln(classes), the loss of a guess
  Layers layers = Layers::inner;
  TernaryLayout layout = TernaryLayout::five_digits;
  std::vector<BitRule> plan;  ///< before what `layers` says
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] TtqOptions parse_ttq_options(const MethodRecipe& recipe);

/// Trained ternary quantization: weights are 0, +Wp or -Wn, and the two scales of a layer learn together with the assignment.
/// Source: Zhu 2016, arXiv 1612.01064; equations (T1)-(T13). Deviation: (T6) has a minus sign.
class Ttq final : public Method {
 public:
  explicit Ttq(TtqOptions options);
  ~Ttq() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "ttq"; }
  /// Throws: `Error(usage)` when a rule of the option `plan` matches no weight.
  [[nodiscard]] BitPlan default_plan(const Network& network) const override;
  /// Throws: `Error(usage)` when no weight becomes ternary; `Error(numerical)` on weights that are not finite.
  void attach(Network& network, const BitPlan& plan) override;
  [[nodiscard]] std::vector<MethodParameter> parameters() const override;
  void begin_phase(StepContext& context) override;
  /// Throws: `Error(numerical)` when the loss is beyond `loss_limit`.
  at::Tensor loss(StepContext& context, at::Tensor task_loss) override;
  void after_step(StepContext& context) override;
  /// Throws: `Error(numerical)` when a scale is not finite, or when the mean loss of an epoch after the first is that of a guess.
  void end_epoch(StepContext& context, Metrics& metrics) override;
  /// Throws: `Error(numerical)` when a scale is not above 0, which no ternary tensor can hold.
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view weight) const override;
  [[nodiscard]] at::Tensor surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor> own) const override;
  void save(StateWriter& state) const override;
  void load(StateReader& state) override;

 private:
  struct Layer;
  struct Quantizer;

  [[nodiscard]] bool learns_scales() const noexcept { return options_.threshold != ThresholdRule::twn; }
  [[nodiscard]] Quantizer quantizer_of(const Layer& layer) const;
  [[nodiscard]] at::Tensor transform(const Layer& layer, const at::Tensor& latent) const;
  void refresh_thresholds();

  const TtqOptions options_;
  std::vector<std::unique_ptr<Layer>> layers_;
  at::Tensor scales_;       ///< [layers, 2]: rows are the layers' scales
  at::Tensor min_scales_;   ///< [layers, 2]
  at::Tensor projections_;  ///< int64, in the run so far
  std::int64_t classes_ = 0;
};

}  // namespace bitwright::ttq
