// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitwright {

/// A fact in a metrics line.
using MetricValue = std::variant<std::int64_t, double, std::string>;
using Metrics = std::map<std::string, MetricValue, std::less<>>;

/// The folder of facts that a run leaves:
///   recipe.toml       the recipe, complete (defaults filled in)
///   environment.json  versions, CPU, threads
///   metrics.jsonl     one JSON object per line: `epoch`, `phase`, `train_loss`, …; no wall-clock values, so equal runs leave equal bytes
///   timing.jsonl      wall-clock facts
///   summary.json      the verdict: final accuracies, bytes, seconds
///   checkpoints/      ckpt.a, ckpt.b
///   model.bw          the packed result
class Run {
 public:
  /// Creates the folder, or opens an existing one. Throws: `Error(io)`; `Error(usage)` when it holds a run of another recipe.
  static Run create(const std::filesystem::path& folder, std::string_view recipe_toml);
  /// Opens an existing run. Throws: `Error(io)` when the folder or its recipe is missing.
  static Run open(const std::filesystem::path& folder);

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  [[nodiscard]] std::filesystem::path checkpoint_folder() const { return folder_ / "checkpoints"; }
  [[nodiscard]] std::string recipe_text() const;

  void write_environment(const Metrics& facts) const;
  void append_metrics(const Metrics& line) const;
  void append_timing(const Metrics& line) const;
  void write_summary(const Metrics& facts) const;
  [[nodiscard]] std::vector<Metrics> metrics() const;
  [[nodiscard]] Metrics summary() const;
  /// Drops the metric lines after the first `line_count`: a resumed run goes back to its checkpoint. Atomic.
  void truncate_metrics(std::int64_t line_count) const;

 private:
  explicit Run(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

/// One JSON object on one line, keys sorted, doubles with the shortest text that reads back equal.
[[nodiscard]] std::string to_json_line(const Metrics& metrics);
/// Throws: `Error(corrupt_file)`.
[[nodiscard]] Metrics parse_json_line(std::string_view line, std::string_view source);

/// Facts of build and machine every run records: version, compiler, CPU, features, threads.
[[nodiscard]] Metrics environment_facts(int threads);

/// A text table of runs: one row per folder, the columns that any of their summaries has.
[[nodiscard]] std::string compare_runs(const std::vector<std::filesystem::path>& folders);

}  // namespace bitwright
