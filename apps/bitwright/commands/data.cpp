// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/data/dataset.h"
#include "bitwright/data/fetch.h"
#include "bitwright/data/image_folder.h"
#include "commands/commands.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace bitwright::apps {
namespace {

struct DataOptions {
  std::string name;
  bool json = false;
};

void list_datasets(const DataOptions& options) {
  nlohmann::ordered_json document = nlohmann::ordered_json::array();
  std::string text;
  for (const DatasetEntry& entry : dataset_registry()) {
    const std::string folder = find_dataset_folder(entry.name).string();
    document.push_back({{"name", entry.name}, {"description", entry.description}, {"folder", folder}});
    const std::string place = folder.empty() ? fmt::format("not here: run `bitwright data get {}`", entry.name) : folder;
    text += fmt::format("{:<14} {}\n{:<14} {}\n", entry.name, entry.description, "", place);
  }
  text += fmt::format("{:<14} {}\n", "synthetic:…", "synthetic:CLASSES:TRAIN:TEST:SEED, made in memory, no files");
  text += fmt::format("{:<14} {}\n", "folder:…", "folder:PATH@SIZE, JPEG and PNG files: PATH/train/CLASS/*, PATH/test/CLASS/* (or val)");
  write_result(options.json ? document.dump(2) + "\n" : text);
}

void get_dataset(const DataOptions& options) {
  const auto say = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };
  const std::string folder = fetch_dataset(options.name, say).string();
  const nlohmann::ordered_json document = {{"name", options.name}, {"folder", folder}};
  write_result(options.json ? document.dump(2) + "\n" : folder + "\n");
}

void check_files(const DataOptions& options) {
  const bool is_folder = is_image_folder_name(options.name);
  const std::vector<FileCheck> checks = is_folder ? check_image_folder(options.name) : check_dataset(options.name);
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  std::string text;
  std::size_t bad = 0;
  for (const FileCheck& check : checks) {
    files.push_back({{"file", check.file}, {"status", check.status}});
    text += fmt::format("{:<28} {}\n", check.file, check.status);
    if (check.status != "ok") ++bad;
  }
  const nlohmann::ordered_json document = {{"name", options.name}, {"ok", bad == 0}, {"files", files}};
  write_result(options.json ? document.dump(2) + "\n" : text);
  if (bad > 0) {
    fail(ErrorCode::check_failed, "data set \"{}\": {} of its {} files are not ok; {}.", options.name, bad, checks.size(),
         is_folder ? "get them again or remove them" : fmt::format("run `bitwright data get {}`", options.name));
  }
}

}  // namespace

Action declare_data(CLI::App& app) {
  auto options = std::make_shared<DataOptions>();
  app.require_subcommand(1);
  CLI::App* list = app.add_subcommand("list", "List the known data sets and where they lie")->group("Commands");
  CLI::App* get = app.add_subcommand("get", "Bring a data set to the cache folder, checked by SHA-256")->group("Commands");
  CLI::App* check =
      app.add_subcommand("check", "Check size and SHA-256 of a data set's files; exit code 1 when one is not ok")->group("Commands");
  for (CLI::App* verb : {get, check}) verb->add_option("NAME", options->name, "Name of the data set")->required()->type_name("");
  for (CLI::App* verb : {list, get, check}) verb->add_flag("--json", options->json, "Print one JSON document");
  return [options, list, get, check] {
    if (list->parsed()) list_datasets(*options);
    if (get->parsed()) get_dataset(*options);
    if (check->parsed()) check_files(*options);
  };
}

}  // namespace bitwright::apps
