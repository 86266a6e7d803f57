// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/activation_scales.h"
#include "bitwright/model/graph.h"
#include "bitwright/runtime/activations.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Decides for one graph and mode which values are held in few bits.
///
/// A value is narrow when some node that reads it multiplies or moves it in that type, and, for int8, when its scale is known. Results of
/// the graph are float32.
class ValueForms {
 public:
  /// `multiplies_narrow` says whether a Conv, Gemm or MatMul takes a narrow source (a kernel that reads packed codes takes float32).
  ValueForms(const Graph& graph, Activations activations, ActivationScales scales, std::function<bool(const Node&)> multiplies_narrow);

  [[nodiscard]] Activations activations() const noexcept { return activations_; }

  /// What a maker that may choose writes a value as.
  [[nodiscard]] ValueForm stored(std::string_view value) const;
  /// The narrow form that a value may take, whoever reads it; nothing in float32 and, for int8, without a scale.
  [[nodiscard]] std::optional<ValueForm> narrow(std::string_view value) const;
  /// Whether no element of a value can be below 0, whatever the weights.
  [[nodiscard]] bool is_non_negative(std::string_view value) const;
  /// Whether calibration should measure a value: some node would read it in few bits if it had a scale.
  [[nodiscard]] bool wants_scale(std::string_view value) const { return wants_narrow(value); }

 private:
  [[nodiscard]] bool wants_narrow(std::string_view value) const;
  [[nodiscard]] bool reads_narrow(const Node& node) const;
  [[nodiscard]] bool makes_non_negative(const Node& node) const;
  [[nodiscard]] const Node* only_reader(std::string_view value) const;

  const Graph& graph_;
  Activations activations_;
  ActivationScales scales_;
  std::map<std::string_view, std::vector<const Node*>> readers_;
  std::map<const Node*, bool> multiplies_narrow_;
  std::set<std::string_view> wanted_;
  std::set<std::string_view> non_negative_;
};

/// Whether an operator hands on codes with the scale of its source: it chooses, moves or averages them.
[[nodiscard]] bool keeps_scale(const Node& node);

}  // namespace bitwright
