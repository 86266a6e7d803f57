// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bitwright::test {

/// A recipe that trains a small network on images made in memory, in about a hundred short steps with a checkpoint every third.
[[nodiscard]] std::string small_recipe();

/// Writes `small_recipe` as recipe.toml into a folder and returns `train` with that recipe and a run folder beside it.
[[nodiscard]] std::vector<std::string> small_training(const std::filesystem::path& folder, const std::string& run);

/// True when the run has written a checkpoint.
[[nodiscard]] bool has_checkpoint(const std::filesystem::path& run_folder);

}  // namespace bitwright::test
