// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/fetch.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/nearest_name.h"
#include "bitwright/data/dataset_folder.h"
#include "bitwright/data/dataset_source.h"
#include "bitwright/data/fetch_places.h"
#include "bitwright/data/fetch_source.h"
#include "bitwright/data/synthetic.h"

#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <system_error>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

/// A folder in the cache, so that its files can be moved to their place by a rename; gone at the end.
class WorkFolder {
 public:
  WorkFolder(const fs::path& cache, const std::string& name) {
    make_folders(cache);
    const std::string prefix = ".fetch-" + name + "-";
    remove_left_over(cache, prefix);
    std::string path = (cache / (prefix + "XXXXXX")).string();
    if (::mkdtemp(path.data()) == nullptr) {
      fail(ErrorCode::io, "{}: cannot make a folder in it ({}); set BITWRIGHT_DATA to a folder you may write to.", cache.string(),
           std::generic_category().message(errno));
    }
    path_ = path;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  /// What a killed fetch left; those of the last day may be another process's at work.
  static void remove_left_over(const fs::path& cache, const std::string& prefix) {
    std::error_code ignored;
    const auto yesterday = fs::file_time_type::clock::now() - std::chrono::hours(24);
    for (const fs::directory_entry& entry : fs::directory_iterator(cache, ignored)) {
      if (entry.path().filename().string().starts_with(prefix) && entry.last_write_time(ignored) < yesterday) {
        fs::remove_all(entry.path(), ignored);
      }
    }
  }
  fs::path path_;
};

[[noreturn]] void fail_not_found(const DatasetSource& source, const fs::path& cache, const std::vector<FailedPlace>& failed) {
  std::vector<std::string> tried;
  for (const FailedPlace& place : failed) {
    tried.push_back(fmt::format("[{}] {}: {}", tried.size() + 1, place.place, place.reason));
  }
  std::vector<std::string> files;
  for (const DatasetFile& file : source.files) files.push_back(file.name);
  std::string list;
  for (const std::string& line : tried) list += (list.empty() ? "" : "; ") + line;
  fail(ErrorCode::io,
       "{}: the data set was not found; tried {}; connect to a network and run `bitwright data get {}` again, or put the files {} into {}.",
       source.name, list, source.name, join_names(files), cache.string());
}

}  // namespace

fs::path find_source(const DatasetSource& source) {
  for (const DatasetFolder& folder : dataset_folders(source)) {
    if (holds_dataset(source, folder)) return folder.path;
  }
  return {};
}

fs::path fetch_source(const DatasetSource& source, const FetchLog& log) {
  std::vector<FailedPlace> failed;
  for (const DatasetFolder& folder : dataset_folders(source)) {
    const std::string_view kind = folder.kind == DatasetFolder::Kind::cache ? "cache folder" : "shared folder";
    if (holds_dataset(source, folder)) {
      if (log) log(fmt::format("{}: found in the {} {}", source.name, kind, folder.path.string()));
      return folder.path;
    }
    failed.push_back({fmt::format("{} {}", kind, folder.path.string()), why_not(source, folder)});
  }

  const fs::path destination = data_cache_folder() / source.name;
  const WorkFolder work(data_cache_folder(), source.name);
  const fs::path ready = fetch_from_places(source, fs::absolute(work.path()), log, failed);
  if (ready.empty()) fail_not_found(source, destination, failed);

  make_folders(destination);
  for (const DatasetFile& file : source.files) {
    std::error_code error;
    fs::rename(ready / file.name, destination / file.name, error);
    if (error) {
      fail(ErrorCode::io, "{}: cannot move the file here ({}); check the permissions.", (destination / file.name).string(),
           error.message());
    }
  }
  mark_verified(source, destination);
  if (log) log(fmt::format("{}: stored in {}", source.name, destination.string()));
  return destination;
}

fs::path find_dataset_folder(std::string_view name) {
  if (is_synthetic_name(name)) return {};
  return find_source(dataset_source(name));
}

fs::path fetch_dataset(std::string_view name, const FetchLog& log) {
  if (is_synthetic_name(name)) {
    static_cast<void>(parse_synthetic_name(name));
    if (log) log(fmt::format("{}: made in memory, nothing to get", name));
    return {};
  }
  return fetch_source(dataset_source(name), log);
}

std::vector<FileCheck> check_dataset(std::string_view name) {
  if (is_synthetic_name(name)) return {};
  const DatasetSource& source = dataset_source(name);
  const fs::path folder = folder_with_some_files(source);
  return check_files(source, folder.empty() ? data_cache_folder() / source.name : folder);
}

}  // namespace bitwright
