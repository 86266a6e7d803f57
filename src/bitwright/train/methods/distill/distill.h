// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/method.h"
#include "bitwright/train/methods/distill/teacher.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace bitwright::distill {

/// What the divergence is averaged over.
enum class KlReduction {
  batch_mean,  ///< sum over classes, mean over the batch (D12)
  all_mean,    ///< mean over batch and classes, as the authors' program does it: `distill_weight` counts 1 / classes of what it says
};

/// Options of `[[method]] name = "distill"`; docs/methods/distill.md lists them.
struct DistillOptions {
  std::string teacher = "self";  ///< MODEL, or the student as the run finds it
  double temperature = 2.0;      ///< T
  double weight = 0.7;           ///< lambda
  KlReduction reduction = KlReduction::batch_mean;
  Mode teacher_mode = Mode::eval;  ///< no key of a recipe; see `Teacher`
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] DistillOptions parse_distill_options(const MethodRecipe& recipe);

/// T^2 KL(softmax(teacher / T) || softmax(student / T)). Equation: the first term of (D12), without lambda.
/// Shapes: logits [images, classes], of one floating type.
[[nodiscard]] at::Tensor divergence(const at::Tensor& teacher_logits, const at::Tensor& student_logits, const DistillOptions& options);

/// Adds a teacher's soft answers to the loss and leaves the weights alone: beside a quantizing method it makes quantized distillation,
/// alone it trains a float student.
/// Equation: (D12), gradient (D13).
/// Source: Hinton 2015, arXiv 1503.02531; Polino 2018, arXiv 1802.05668.
class Distill final : public Method {
 public:
  explicit Distill(DistillOptions options);
  ~Distill() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "distill"; }
  [[nodiscard]] BitPlan default_plan(const Network&) const override { return {}; }
  /// Opens the teacher. Throws: as `open_model`; `Error(usage)` when it does not fit the student.
  void attach(Network& network, const BitPlan& plan) override;
  [[nodiscard]] at::Tensor loss(StepContext& context, at::Tensor task_loss) override;
  /// Metrics, means over the epoch's images: `distill.task_loss`, `distill.divergence` (T^2 KL), `distill.agreement` (percent of images
  /// whose class both networks agree on).
  void end_epoch(StepContext& context, Metrics& metrics) override;
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view) const override { return std::nullopt; }
  void save(StateWriter& state) const override;
  /// Throws: `Error(usage)` when the teacher is another one than the checkpoint's.
  void load(StateReader& state) override;

 private:
  const DistillOptions options_;
  std::unique_ptr<Teacher> teacher_;
  bool verified_ = false;  ///< in this process
  at::Tensor sums_;        ///< float64 on the device: task loss, divergence, agreements of the epoch so far, each times images
  std::int64_t images_ = 0;
};

}  // namespace bitwright::distill
