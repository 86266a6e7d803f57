// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include "bitwright/core/error.h"

#include <system_error>

namespace bitwright::apps {
namespace {

namespace fs = std::filesystem;

/// The folder and those of its parents that do not exist, innermost first.
std::vector<fs::path> missing_folders(const fs::path& folder) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path path = folder; !path.empty() && !fs::exists(path, error) && !error; path = path.parent_path()) missing.push_back(path);
  return missing;
}

/// Removes the recipe and then every folder that is empty.
void remove_unused(const std::vector<fs::path>& made) {
  if (made.empty()) return;
  const fs::path& folder = made.front();
  std::error_code error;
  fs::remove(folder / "checkpoints", error);  // only when empty
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename() != "recipe.toml") return;
  }
  fs::remove(folder / "recipe.toml", error);
  for (const fs::path& path : made) fs::remove(path, error);
}

}  // namespace

RunFolder::RunFolder(const fs::path& folder, std::string_view recipe_toml)
    : made_(missing_folders(folder)), run_(create(folder, recipe_toml, made_)) {}

RunFolder::~RunFolder() { remove_unused(made_); }

Run RunFolder::create(const fs::path& folder, std::string_view recipe_toml, const std::vector<fs::path>& made) {
  try {
    return Run::create(folder, recipe_toml);
  } catch (const Error&) {
    remove_unused(made);
    throw;
  }
}

}  // namespace bitwright::apps
