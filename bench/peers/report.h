// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace bitwright {

// What `peers` measured, as JSON: {"cpu", "cpu_features", "cases": {name: {"network", "batch", "threads", "samples", "date", "peers":
// {name: version}, "peaks": {…}, "dispatch_ms", "contenders": [{"name", "median_ms", "min_ms", "max_ms", "difference_percent"}]}}}.
// Contenders are `onnxruntime/float32`, `onnxruntime/int8`, `libtorch/float32`, and ours: `bitwright/<activations>/<format>`, with `/<n>
// threads` behind it where they are not the case's.

/// The contender of a case; nothing (null) when it has none of this name.
[[nodiscard]] nlohmann::ordered_json find_contender(const nlohmann::ordered_json& peer_case, std::string_view name);

/// A case as a table in Markdown: medians, and how many times faster than ONNX Runtime's float32.
[[nodiscard]] std::string case_table(const nlohmann::ordered_json& peer_case);

/// Puts cases into a report: those that it has are replaced, the others stay. Throws: `Error(invalid_input)` when the report was measured
/// on another processor.
void merge_cases(nlohmann::ordered_json& report, const nlohmann::ordered_json& measured);

/// Reads a report; an empty one when the file does not exist. Throws: `Error(corrupt_file)` when it is no JSON object.
[[nodiscard]] nlohmann::ordered_json read_report(const std::filesystem::path& path);

}  // namespace bitwright
