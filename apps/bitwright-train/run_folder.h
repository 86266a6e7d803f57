// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runs/run.h"

#include <filesystem>
#include <string_view>
#include <vector>

namespace bitwright::apps {

/// The folder of a run that is about to begin. Unless `keep` is called, what this object made is removed again, as long as nothing but the
/// recipe came into it: a run that is refused leaves no trace.
class RunFolder {
 public:
  /// Throws: as `Run::create`.
  RunFolder(const std::filesystem::path& folder, std::string_view recipe_toml);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  [[nodiscard]] Run& run() noexcept { return run_; }
  void keep() noexcept { made_.clear(); }

 private:
  static Run create(const std::filesystem::path& folder, std::string_view recipe_toml, const std::vector<std::filesystem::path>& made);
  std::vector<std::filesystem::path> made_;  ///< folders that were not there before, innermost first
  Run run_;
};

}  // namespace bitwright::apps
