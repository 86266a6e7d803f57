// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset_source.h"
#include "bitwright/data/fetch.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bitwright {

/// A folder that may hold a data set.
struct DatasetFolder {
  enum class Kind { cache, shared } kind = Kind::cache;
  std::filesystem::path path;
};

/// Where a data set is looked for, in order: the cache folder first.
[[nodiscard]] std::vector<DatasetFolder> dataset_folders(const DatasetSource& source);

/// Compares every file with the registry: `ok`, `missing`, `wrong size (…)` or `wrong sha256 (…)`.
[[nodiscard]] std::vector<FileCheck> check_files(const DatasetSource& source, const std::filesystem::path& folder);

/// Whether a folder holds the data set, as cheaply as can be trusted.
///
/// In the cache folder: by SHA-256, unless the file `.verified` beside the files says that they were checked and no size and no time has
/// changed since. In shared folders, whose owners keep them: by size.
[[nodiscard]] bool holds_dataset(const DatasetSource& source, const DatasetFolder& folder);

/// Writes the `.verified` file. Requires: the files were just checked by SHA-256.
void mark_verified(const DatasetSource& source, const std::filesystem::path& folder);

/// Why a folder does not hold the set: `no such folder` or the first file's fault. Requires: `holds_dataset` said no.
[[nodiscard]] std::string why_not(const DatasetSource& source, const DatasetFolder& folder);

/// The first folder that holds at least one of the set's files; empty when none does.
[[nodiscard]] std::filesystem::path folder_with_some_files(const DatasetSource& source);

/// The SHA-256 of a file, without reading it all into memory.
[[nodiscard]] std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace bitwright
