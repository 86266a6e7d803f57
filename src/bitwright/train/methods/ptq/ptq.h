// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/method.h"
#include "bitwright/train/methods/qd/layers.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::ptq {

/// Options of `[[method]] name = "ptq"`; docs/methods/ptq.md lists them.
struct PtqOptions {
  NumberFormat format = Uniform{.bits = 4, .bucket_size = 256};
  Rounding rounding = Rounding::nearest_even;
  qd::LayerChoice layers = qd::LayerChoice::all;
  std::vector<BitRule> plan;  ///< before what `layers` gives; any format
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] PtqOptions parse_ptq_options(const MethodRecipe& recipe);

/// Rounds a trained network once and trains nothing: the baseline that every training method has to beat.
/// Source: Polino 2018, arXiv 1802.05668, the PM ("post-mortem") rows of its tables.
class Ptq final : public Method {
 public:
  explicit Ptq(PtqOptions options);
  ~Ptq() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "ptq"; }
  [[nodiscard]] BitPlan default_plan(const Network& network) const override;
  void attach(Network& network, const BitPlan& plan) override;
  /// One phase of no epochs, whatever the recipe says.
  [[nodiscard]] std::vector<Phase> phases(std::int64_t epochs) const override;
  [[nodiscard]] std::optional<QuantizedTensor> freeze(std::string_view weight) const override;

 private:
  struct Layer;
  const PtqOptions options_;
  std::vector<Layer> layers_;
};

}  // namespace bitwright::ptq
