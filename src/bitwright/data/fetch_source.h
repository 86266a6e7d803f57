// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset_source.h"
#include "bitwright/data/fetch.h"

#include <filesystem>

namespace bitwright {

/// `fetch_dataset` for any description of a data set, also one that is not in the registry.
std::filesystem::path fetch_source(const DatasetSource& source, const FetchLog& log);

/// `find_dataset_folder` likewise.
[[nodiscard]] std::filesystem::path find_source(const DatasetSource& source);

}  // namespace bitwright
