// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runs/run.h"

#include <string>
#include <string_view>

namespace bitwright {

/// One value as JSON text. Doubles always look like doubles (`1.0`), so that they read back as such; a non-finite one, which JSON does
/// not have, becomes the text "nan", "inf" or "-inf".
[[nodiscard]] std::string to_json_value(const MetricValue& value);

/// A JSON object over several lines, keys sorted, two spaces of indentation, newline at the end.
[[nodiscard]] std::string to_pretty_json(const Metrics& metrics);

/// Reads a JSON object; what is nested gets dotted keys (`quantized.0.accuracy`).
/// Throws: `Error(corrupt_file)`.
[[nodiscard]] Metrics parse_nested_json(std::string_view text, std::string_view source);

}  // namespace bitwright
