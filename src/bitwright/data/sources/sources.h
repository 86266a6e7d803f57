// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"
#include "bitwright/data/dataset_source.h"

#include <filesystem>
#include <memory>

namespace bitwright {

#define BITWRIGHT_DATASET(name, function, description)                                                      \
  [[nodiscard]] std::unique_ptr<Dataset> open_##function(const std::filesystem::path& folder, Split split); \
  [[nodiscard]] DatasetSource source_##function();
#include "bitwright/data/datasets.inc"
#undef BITWRIGHT_DATASET

}  // namespace bitwright
