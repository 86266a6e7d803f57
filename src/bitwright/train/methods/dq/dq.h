// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/method.h"
#include "bitwright/train/methods/dq/point_pool.h"
#include "bitwright/train/methods/dq/redistribution.h"
#include "bitwright/train/network.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::dq {

/// Which weights of Conv and Gemm get points.
enum class Layers {
  all,
  inner,  ///< all but the first and the last in graph order
};

/// What is trained beside the points.
enum class TrainRest {
  nothing,      ///< as in the paper: every parameter of the network is frozen
  bn_and_bias,  ///< biases and batch-norm scale and shift follow the recipe; weights are frozen
};

/// Options of `[[method]] name = "dq"`; docs/methods/dq.md lists them.
struct DqOptions {
  int levels = 16;
  std::optional<std::int64_t> bucket_size = 256;  ///< nothing: one bucket per tensor
  Layers layers = Layers::all;
  TrainRest train_rest = TrainRest::nothing;
  Redistribution redistribute = Redistribution::none;
  std::int64_t redistribute_batches = 5;
  std::vector<int> redistribute_bits = {2, 3, 4, 6, 8};
  std::vector<BitRule> plan;  ///< before the rule for all other weights
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] DqOptions parse_dq_options(const MethodRecipe& recipe);

/// Differentiable quantization: weights are frozen and scaled once, and the quantization points of each tensor are trained by gradient
/// descent through the exact derivative. Source: Polino 2018, arXiv 1802.05668, Algorithm 2; equations (D1), (D7), (D8), (D14)-(D16).
class Dq final : public Method {
 public:
  explicit Dq(DqOptions options);
  ~Dq() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "dq"; }
  [[nodiscard]] BitPlan default_plan(const Network& network) const override;
  /// Throws: `Error(usage)` when the plan has another format or leaves no weight; `Error(numerical)` when a weight is not finite.
  void attach(Network& network, const BitPlan& plan) override;
  [[nodiscard]] std::vector<MethodParameter> parameters() const override;
  [[nodiscard]] bool owns_update(std::string_view parameter) const override;
  at::Tensor loss(StepContext& context, at::Tensor task_loss) override;
  void after_backward(StepContext& context) override;
  void after_step(StepContext& context) override;
  void end_epoch(StepContext& context, Metrics& metrics) override;
  [[nodiscard]] bool settled() const override { return !measuring(); }
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view weight) const override;
  /// The latent weights are frozen: their derivative is zero.
  [[nodiscard]] at::Tensor surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor> own) const override;
  void save(StateWriter& state) const override;
  void load(StateReader& state) override;

 private:
  struct Layer;

  /// Whether gradients are still collected for the redistribution: the network then runs on its float weights and nothing is updated.
  [[nodiscard]] bool measuring() const { return measured_ < to_measure_; }
  [[nodiscard]] at::Tensor forward(std::size_t layer, const at::Tensor& weights, const PassContext& pass);
  /// Ranges, scaled values and checksum of the network's weights, and the pool over them.
  void take_weights();
  [[nodiscard]] std::vector<std::vector<float>> quantile_starts() const;
  void redistribute();
  [[nodiscard]] std::int64_t bytes() const;
  [[nodiscard]] const Layer* layer_of(std::string_view weight) const;

  const DqOptions options_;
  std::vector<Layer> layers_;
  std::vector<std::string> weight_names_;  ///< all that the network has, quantized or not
  std::unique_ptr<PointPool> pool_;
  std::vector<at::Tensor> pass_;  ///< differentiable values that no node has taken yet
  std::int64_t to_measure_ = 0;   ///< batches
  std::int64_t measured_ = 0;
};

}  // namespace bitwright::dq
