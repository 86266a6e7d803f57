// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/bit_plan.h"
#include "bitwright/train/network.h"

#include <array>
#include <string>
#include <vector>

namespace bitwright::qd {

/// Which parameters of a network get codes. Known by operator and position in the graph, never by name.
enum class LayerChoice {
  all,         ///< every weight of Conv and Gemm
  inner,       ///< those without the first and the last
  everything,  ///< every parameter: weights, biases, scale and shift of batch normalization, as the authors' program does it
  paper,       ///< `everything` with the authors' "not first and last" switch: without the first weight and the last layer's bias
};

/// In the order of `LayerChoice`.
inline const std::array<std::string, 4> kLayerChoices = {"all", "inner", "everything", "paper"};

/// Every trainable parameter in graph order: weight before bias, as the authors' program counts them.
[[nodiscard]] std::vector<std::string> parameters_in_graph_order(const Graph& graph);

/// Names of the parameters that a choice takes, in graph order. Source: Polino 2018; docs/methods/qd.md, "Which tensors".
[[nodiscard]] std::vector<std::string> chosen_parameters(const Graph& graph, LayerChoice choice);

/// The user's rules, then `format` for each chosen parameter; the rest stays float.
/// Throws: `Error(usage)`, beginning with `where`, when nothing is chosen, and when a user's rule matches no parameter that may get codes.
[[nodiscard]] BitPlan plan_of(const Graph& graph, LayerChoice choice, const std::vector<BitRule>& rules, const NumberFormat& format,
                              std::string_view where);

/// What a plan may speak of under this choice: weights of Conv and Gemm, with `everything` and `paper` all parameters.
[[nodiscard]] std::vector<std::string> eligible_parameters(const Graph& graph, LayerChoice choice);

}  // namespace bitwright::qd
