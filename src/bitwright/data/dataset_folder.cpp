// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/dataset_folder.h"

#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <system_error>

#ifndef BITWRIGHT_CHECKOUT_FOLDER
#error "the build names the checkout, whose neighbour ../shared/data is looked into"
#endif

namespace bitwright {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStampName = ".verified";

std::optional<fs::path> folder_from_environment(const char* variable) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return fs::path(value);
}

/// Size of a regular file; nothing when there is none.
std::optional<std::uint64_t> file_bytes(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) return std::nullopt;
  return bytes;
}

FileCheck check_size(const DatasetFile& file, const fs::path& path) {
  const std::optional<std::uint64_t> bytes = file_bytes(path);
  if (!bytes) return {path.string(), "missing"};
  if (*bytes != file.bytes) return {path.string(), fmt::format("wrong size (found {} bytes, need {})", *bytes, file.bytes)};
  return {path.string(), "ok"};
}

FileCheck check_file(const DatasetFile& file, const fs::path& path) {
  FileCheck check = check_size(file, path);
  if (check.status != "ok") return check;
  std::string found;
  try {
    found = sha256_of_file(path);
  } catch (const Error& error) {
    return {path.string(), error.message()};
  }
  if (std::find(file.sha256.begin(), file.sha256.end(), found) == file.sha256.end()) {
    check.status = fmt::format("wrong sha256 (found {}, need {})", found, file.sha256.front());
  }
  return check;
}

/// One line per file: size, time of the last change and the checksums that the file was held to. Anything that differs later makes the
/// stamp void, a new checksum in the registry too.
std::string stamp_text(const DatasetSource& source, const fs::path& folder) {
  std::string text;
  for (const DatasetFile& file : source.files) {
    std::error_code error;
    const auto changed = fs::last_write_time(folder / file.name, error);
    if (error) return {};
    text += fmt::format("{} {} {}", file.name, file_bytes(folder / file.name).value_or(0), changed.time_since_epoch().count());
    for (const std::string& sha256 : file.sha256) text += " " + sha256;
    text += "\n";
  }
  return text;
}

bool is_stamped(const DatasetSource& source, const fs::path& folder) {
  if (!file_bytes(folder / kStampName)) return false;
  try {
    const std::string now = stamp_text(source, folder);
    return !now.empty() && read_text_file(folder / kStampName) == now;
  } catch (const Error&) {
    return false;  // an unreadable stamp is no stamp
  }
}

bool sizes_match(const DatasetSource& source, const fs::path& folder) {
  return std::all_of(source.files.begin(), source.files.end(),
                     [&](const DatasetFile& file) { return check_size(file, folder / file.name).status == "ok"; });
}

}  // namespace

fs::path data_cache_folder() {
  if (const auto folder = folder_from_environment("BITWRIGHT_DATA")) return *folder;
  if (const auto folder = folder_from_environment("XDG_CACHE_HOME")) return *folder / "bitwright";
  if (const auto folder = folder_from_environment("HOME")) return *folder / ".cache" / "bitwright";
  fail(ErrorCode::usage, "data: there is no folder to keep data sets in (HOME is not set); set BITWRIGHT_DATA to a folder.");
}

std::vector<DatasetFolder> dataset_folders(const DatasetSource& source) {
  std::vector<DatasetFolder> folders{{DatasetFolder::Kind::cache, data_cache_folder() / source.name}};
  const auto add_shared = [&](const fs::path& root) {
    std::error_code error;
    const fs::path folder = fs::weakly_canonical(fs::absolute(root / source.name), error);
    if (error) return;
    const bool known = std::any_of(folders.begin(), folders.end(), [&](const DatasetFolder& other) { return other.path == folder; });
    if (!known) folders.push_back({DatasetFolder::Kind::shared, folder});
  };
  if (const auto root = folder_from_environment("BITWRIGHT_SHARED_DATA")) {
    add_shared(*root);
  } else {
    add_shared("../shared/data");
    add_shared(fs::path(BITWRIGHT_CHECKOUT_FOLDER) / "../shared/data");
  }
  return folders;
}

std::string sha256_of_file(const fs::path& path) { return sha256_hex(MappedFile(path).bytes()); }

std::vector<FileCheck> check_files(const DatasetSource& source, const fs::path& folder) {
  std::vector<FileCheck> checks;
  for (const DatasetFile& file : source.files) checks.push_back(check_file(file, folder / file.name));
  return checks;
}

void mark_verified(const DatasetSource& source, const fs::path& folder) {
  const std::string text = stamp_text(source, folder);
  if (text.empty()) return;
  try {
    write_file_atomic(folder / kStampName, text);
  } catch (const Error&) {
    // A folder that can't be written is checked anew each time: slower, not wrong.
  }
}

bool holds_dataset(const DatasetSource& source, const DatasetFolder& folder) {
  if (!sizes_match(source, folder.path)) return false;
  if (folder.kind == DatasetFolder::Kind::shared || is_stamped(source, folder.path)) return true;
  for (const FileCheck& check : check_files(source, folder.path)) {
    if (check.status != "ok") return false;
  }
  mark_verified(source, folder.path);
  return true;
}

std::string why_not(const DatasetSource& source, const DatasetFolder& folder) {
  std::error_code error;
  if (!fs::is_directory(folder.path, error)) return "no such folder";
  for (std::size_t i = 0; i < source.files.size(); ++i) {
    const FileCheck check = check_file(source.files[i], folder.path / source.files[i].name);
    if (check.status != "ok")
      return fmt::format("{} is {}", source.files[i].name, check.status == "missing" ? check.status : "of " + check.status);
  }
  return "the files changed while they were checked";
}

fs::path folder_with_some_files(const DatasetSource& source) {
  for (const DatasetFolder& folder : dataset_folders(source)) {
    for (const DatasetFile& file : source.files) {
      if (file_bytes(folder.path / file.name)) return folder.path;
    }
  }
  return {};
}

}  // namespace bitwright
