// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"
#include "bitwright/runtime/session.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bitwright::apps {

/// Index of the largest value, the first one among equals. Requires: values is not empty.
[[nodiscard]] std::int64_t arg_max(std::span<const float> values) noexcept;

/// Probabilities of a classifier's output: softmax in double, or the values themselves when the graph ends in a Softmax.
[[nodiscard]] std::vector<double> probabilities(const Model& model, std::span<const float> output);

/// Checks that a session gives one value per class, for at least so many classes.
/// Throws: `Error(usage)` naming `source` and what was found.
void require_classifier(const Session& session, std::string_view source, std::size_t classes);

}  // namespace bitwright::apps
