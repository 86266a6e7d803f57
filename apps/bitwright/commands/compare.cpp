// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runs/run.h"
#include "commands/commands.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace bitwright::apps {
namespace {

struct CompareOptions {
  std::vector<std::string> runs;
  bool json = false;
};

void compare(const CompareOptions& options) {
  const std::vector<std::filesystem::path> folders(options.runs.begin(), options.runs.end());
  if (!options.json) {
    write_result(compare_runs(folders));
    return;
  }
  std::string document = "[";
  for (const std::filesystem::path& folder : folders) {
    const Run run = Run::open(folder);
    // A run without its verdict is not finished: it keeps its row.
    Metrics facts = std::filesystem::exists(folder / "summary.json") ? run.summary() : Metrics{};
    facts["run"] = folder.string();
    document += (document.size() > 1 ? ",\n " : "\n ") + to_json_line(facts);
  }
  write_result(document + "\n]\n");
}

}  // namespace

Action declare_compare(CLI::App& app) {
  auto options = std::make_shared<CompareOptions>();
  app.add_option("RUN", options->runs, "Run folders")->required()->type_name("");
  app.add_flag("--json", options->json, "Print one JSON document: an array with each run's summary");
  return [options] { compare(*options); };
}

}  // namespace bitwright::apps
