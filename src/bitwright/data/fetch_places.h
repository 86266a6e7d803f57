// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset_source.h"
#include "bitwright/data/fetch.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bitwright {

/// Why one place did not give the files.
struct FailedPlace {
  std::string place;
  std::string reason;
};

/// Gets the files of a data set from its mirrors and packages, in the registry's order, into a new folder below `work`.
///
/// A file counts as got only when its size and SHA-256 are right; what one place lacks is asked of the next.
/// Returns: the folder that holds exactly the verified files; empty when files are still missing after the last place, with the reasons
/// appended to `failed`.
[[nodiscard]] std::filesystem::path fetch_from_places(const DatasetSource& source, const std::filesystem::path& work, const FetchLog& log,
                                                      std::vector<FailedPlace>& failed);

}  // namespace bitwright
