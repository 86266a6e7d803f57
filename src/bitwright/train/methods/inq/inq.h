// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/method.h"
#include "bitwright/train/methods/inq/partition.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::inq {

/// How n1 of a layer is chosen, once, from all of its float weights before the first are frozen.
enum class ExponentRule {
  max,     ///< (I2) from the largest magnitude
  search,  ///< of (I2)'s n1, n1 - 1 and n1 - 2 the one with the smallest sum of squared errors; equal sums: the largest
};

/// Where the mask acts. Anything but `final_update` is wrong and exists so that a test can see the assertion on frozen weights fire.
enum class MaskPoint {
  final_update,   ///< (I14) after the optimizer: covers weight decay, momentum and every other optimizer state
  gradient_only,  ///< before the optimizer: decay and stored momentum still move frozen weights
};

/// Options of `[[method]] name = "inq"`; docs/methods/inq.md lists them.
struct InqOptions {
  int bits = 5;
  std::vector<std::int64_t> portions_e4 = {5000, 7500, 8750, 10000};  ///< accumulated, in 1/10000 (I13)
  Partition partition = Partition::magnitude;
  ExponentRule exponents = ExponentRule::max;
  std::optional<std::int64_t> epochs_per_portion;
  std::vector<BitRule> plan;  ///< before the rule "every weight gets `bits`"
  MaskPoint mask_point = MaskPoint::final_update;
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] InqOptions parse_inq_options(const MethodRecipe& recipe);

/// n1 and n2 of a layer. Equation: (I2), (I3), (I8). Throws: `Error(numerical)` on NaN and infinity.
[[nodiscard]] PowerOfTwo::Parameters choose_exponents(const PowerOfTwo& format, std::span<const float> values, ExponentRule rule);

/// Incremental network quantization: in each phase the next weights of every layer are rounded to powers of two and frozen, and the free
/// rest is trained on. Source: Zhou 2017, arXiv 1702.03044; equations (I1)-(I14).
class Inq final : public Method {
 public:
  explicit Inq(InqOptions options);
  ~Inq() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "inq"; }
  [[nodiscard]] BitPlan default_plan(const Network& network) const override;
  void attach(Network& network, const BitPlan& plan) override;
  [[nodiscard]] std::vector<Phase> phases(std::int64_t epochs) const override;
  void begin_phase(StepContext& context) override;
  void after_backward(StepContext& context) override;
  void after_step(StepContext& context) override;
  void end_epoch(StepContext& context, Metrics& metrics) override;
  [[nodiscard]] bool settled() const override;
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view weight) const override;
  void save(StateWriter& state) const override;
  void load(StateReader& state) override;

 private:
  struct Layer;
  const InqOptions options_;
  std::vector<Layer> layers_;
};

}  // namespace bitwright::inq
