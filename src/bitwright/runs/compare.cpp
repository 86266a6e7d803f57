// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/runs/run.h"

#include <algorithm>
#include <set>

namespace bitwright {
namespace {

struct Row {
  std::string name;
  Metrics facts;
};

/// Enough digits to tell results apart, few enough to read.
std::string cell_text(const MetricValue& value) {
  if (const auto* const number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* const number = std::get_if<double>(&value)) return fmt::format("{:.6g}", *number);
  return std::get<std::string>(value);
}

/// How wide a text is on a terminal, counting code points.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padding(std::size_t wanted, std::string_view text) { return std::string(wanted - std::min(wanted, width(text)), ' '); }

}  // namespace

std::string compare_runs(const std::vector<std::filesystem::path>& folders) {
  std::vector<Row> rows;
  std::set<std::string, std::less<>> keys;
  for (const std::filesystem::path& folder : folders) {
    const Run run = Run::open(folder);
    std::error_code error;
    // A run without its verdict is one that is not finished: it keeps its row.
    const bool finished = std::filesystem::exists(folder / "summary.json", error);
    Row& row = rows.emplace_back(Row{folder.string(), finished ? run.summary() : Metrics{}});
    for (const auto& [key, value] : row.facts) keys.insert(key);
  }

  std::vector<std::vector<std::string>> table{{"run"}};
  for (const std::string& key : keys) table[0].push_back(key);
  for (const Row& row : rows) {
    std::vector<std::string>& line = table.emplace_back(std::vector<std::string>{row.name});
    for (const std::string& key : keys) {
      const auto fact = row.facts.find(key);
      line.push_back(fact == row.facts.end() ? "-" : cell_text(fact->second));
    }
  }

  std::vector<std::size_t> widths(table[0].size(), 0);
  for (const auto& line : table) {
    for (std::size_t column = 0; column < line.size(); ++column) widths[column] = std::max(widths[column], width(line[column]));
  }
  std::string text;
  for (const auto& line : table) {
    text += line[0] + padding(widths[0], line[0]);
    for (std::size_t column = 1; column < line.size(); ++column) text += "  " + padding(widths[column], line[column]) + line[column];
    text += "\n";
  }
  return text;
}

}  // namespace bitwright
