// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bitwright {

/// Attributes of any node, float32, that `calibrate` writes: the step of the 8-bit codes that may stand for a computed value,
/// value = code * scale. `output_scale` is about output 0 of the node; `input_scale`, on every node that reads an input of the graph, about
/// that input. A program that runs in float32 ignores both.
inline constexpr std::string_view kInputScaleAttribute = "input_scale";
inline constexpr std::string_view kOutputScaleAttribute = "output_scale";

/// Whether an attribute is one of these two.
[[nodiscard]] bool is_activation_scale(std::string_view key) noexcept;

/// Scale of every value that has one, by name.
using ActivationScales = std::map<std::string, float, std::less<>>;

/// The scales that a graph states.
/// Throws: `Error(invalid_input)` naming the node: a scale that is no float32, not finite or not above 0, `input_scale` on a node that
/// reads no input of the graph, two nodes that disagree about an input.
[[nodiscard]] ActivationScales activation_scales(const Graph& graph);

/// The graph with exactly these scales. Requires: every name is an input of the graph or output 0 of a node.
[[nodiscard]] Graph with_activation_scales(Graph graph, const ActivationScales& scales);

/// The graph without any: what training starts from, since it changes the values that were measured.
[[nodiscard]] Graph without_activation_scales(Graph graph);

}  // namespace bitwright
