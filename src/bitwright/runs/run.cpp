// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runs/run.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/runs/json.h"

#include <system_error>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecipe = "recipe.toml";
constexpr const char* kEnvironment = "environment.json";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kTiming = "timing.jsonl";
constexpr const char* kSummary = "summary.json";

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// The whole lines of a file: a last line without its end is one that was being written when the run died.
std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

Run Run::create(const fs::path& folder, std::string_view recipe_toml) {
  make_folders(folder);
  Run run(folder);
  if (is_there(folder / kRecipe)) {
    if (run.recipe_text() != recipe_toml) {
      fail(ErrorCode::usage,
           "{}: the folder holds a run of another recipe; continue that one with `--resume`, or name another folder with `--run`.",
           folder.string());
    }
  } else {
    write_file_atomic(folder / kRecipe, recipe_toml);
  }
  make_folders(run.checkpoint_folder());
  return run;
}

Run Run::open(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    fail(ErrorCode::io, "{}: there is no such run folder; check the path, or start a run with `bitwright train`.", folder.string());
  }
  if (!is_there(folder / kRecipe)) {
    fail(ErrorCode::io, "{}: the folder holds no run (recipe.toml is missing); check the path, or start a run with `bitwright train`.",
         folder.string());
  }
  return Run(folder);
}

std::string Run::recipe_text() const { return read_text_file(folder_ / kRecipe); }

void Run::write_environment(const Metrics& facts) const { write_file_atomic(folder_ / kEnvironment, to_pretty_json(facts)); }

void Run::append_metrics(const Metrics& line) const { append_line(folder_ / kMetrics, to_json_line(line)); }

void Run::append_timing(const Metrics& line) const { append_line(folder_ / kTiming, to_json_line(line)); }

void Run::write_summary(const Metrics& facts) const { write_file_atomic(folder_ / kSummary, to_pretty_json(facts)); }

std::vector<Metrics> Run::metrics() const {
  const fs::path path = folder_ / kMetrics;
  std::vector<Metrics> result;
  if (!is_there(path)) return result;
  const std::string text = read_text_file(path);
  for (const std::string_view line : whole_lines(text)) {
    result.push_back(parse_json_line(line, fmt::format("{} line {}", path.string(), result.size() + 1)));
  }
  return result;
}

Metrics Run::summary() const {
  const fs::path path = folder_ / kSummary;
  return parse_nested_json(read_text_file(path), path.string());
}

void Run::truncate_metrics(std::int64_t line_count) const {
  const fs::path path = folder_ / kMetrics;
  const std::string text = is_there(path) ? read_text_file(path) : std::string();
  const std::vector<std::string_view> lines = whole_lines(text);
  if (line_count < 0 || line_count > static_cast<std::int64_t>(lines.size())) {
    fail(ErrorCode::corrupt_file, "{}: lines are missing (found {}, need {}); start the run anew in another folder.", path.string(),
         lines.size(), line_count);
  }
  std::string kept;
  for (std::int64_t i = 0; i < line_count; ++i) kept.append(lines[static_cast<std::size_t>(i)]).append("\n");
  if (kept.size() != text.size()) write_file_atomic(path, kept);
}

}  // namespace bitwright
