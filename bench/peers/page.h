// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// What was measured on one machine: the files of bench/results/<machine>/. What is not there is null.
struct MachineResults {
  std::string machine;                          ///< name of the folder
  nlohmann::ordered_json peers;                 ///< peers.json: report of `peers`
  std::vector<nlohmann::ordered_json> kernels;  ///< kernels-*.json: Google Benchmark\'s, of `gemv_bench` and `quantize_bench`
  nlohmann::ordered_json accuracy;              ///< accuracy.json: {"model", "float32", "bfloat16", "int8": percent, "command"}
  std::vector<nlohmann::ordered_json> loads;    ///< load-*.json: of `load_bench`, by name of the file
};

/// One line of the table of bars: something that was asked for, and what was measured.
struct PerformanceBar {
  std::string what;
  double bar = 0.0;
  bool at_least = true;         ///< whether more is better
  std::string unit;             ///< behind numbers, e.g. ` ×`
  std::optional<double> found;  ///< nothing: not measured
  std::string command;          ///< gives the number again
  [[nodiscard]] bool met() const { return found && (at_least ? *found >= bar : *found <= bar); }
};

/// Reads every machine's folder, by name. Throws: `Error(corrupt_file)`.
[[nodiscard]] std::vector<MachineResults> read_results(const std::filesystem::path& folder);

/// The bars that a machine of this kind has to reach: with AMX or without.
[[nodiscard]] std::vector<PerformanceBar> performance_bars(const MachineResults& results);

/// docs/performance.md: nothing in it is typed by hand but its explanations.
[[nodiscard]] std::string performance_page(const std::vector<MachineResults>& machines);

}  // namespace bitwright
