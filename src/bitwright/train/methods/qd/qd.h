// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/method.h"
#include "bitwright/train/methods/qd/bucket_quantizer.h"
#include "bitwright/train/methods/qd/layers.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::qd {

/// Options of `[[method]] name = "qd"`; docs/methods/qd.md lists them.
struct QdOptions {
  int bits = 4;
  std::optional<std::int64_t> bucket = 256;  ///< elements; nothing = one bucket per tensor
  Rounding rounding = Rounding::nearest_even;
  ScaleGradient gradient = ScaleGradient::constant;
  LayerChoice layers = LayerChoice::all;
  std::vector<BitRule> plan;  ///< before what `layers` gives
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] QdOptions parse_qd_options(const MethodRecipe& recipe);

/// Trains float weights through a uniform quantizer: forward and backward use the values of the codes, updates act on the float weights.
/// With the method `distill` beside it this is quantized distillation. Source: Polino 2018, arXiv 1802.05668, algorithm 1; (D1)-(D6).
class Qd final : public Method {
 public:
  explicit Qd(QdOptions options);
  ~Qd() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "qd"; }
  [[nodiscard]] BitPlan default_plan(const Network& network) const override;
  void attach(Network& network, const BitPlan& plan) override;
  void begin_phase(StepContext& context) override;
  /// Metrics: `qd.error.WEIGHT`, the 2-norm of what rounding takes away over the 2-norm of the weight, and `qd.error` over all.
  void end_epoch(StepContext& context, Metrics& metrics) override;
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view weight) const override;
  /// `ScaleGradient::constant`: the identity. `through`: with the bucket's range taken from the moved weights at the places where its ends
  /// are now, and the distance of each scaled weight to its code kept.
  [[nodiscard]] at::Tensor surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor> own) const override;
  void save(StateWriter& state) const override;
  void load(StateReader& state) override;

 private:
  const QdOptions options_;
  std::unique_ptr<BucketQuantizer> quantizer_;
};

}  // namespace bitwright::qd
