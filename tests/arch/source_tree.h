// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace bitwright::arch {

/// One text file of the repository.
struct SourceFile {
  std::filesystem::path path;  ///< relative to the repository's root
  std::vector<std::string> lines;
};

inline std::filesystem::path source_root() { return BITWRIGHT_SOURCE_DIR; }

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// All files below `folder` (relative to the root) whose name ends in one of `endings`, sorted.
inline std::vector<SourceFile> files_below(const std::string& folder, const std::vector<std::string>& endings) {
  std::vector<SourceFile> files;
  const auto start = source_root() / folder;
  if (!std::filesystem::exists(start)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(start)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename().string();
    if (std::none_of(endings.begin(), endings.end(), [&](const std::string& ending) { return name.ends_with(ending); })) continue;
    files.push_back({std::filesystem::relative(entry.path(), source_root()), split_lines(read_text(entry.path()))});
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

/// Lines between `<!-- marker:begin -->` and `<!-- marker:end -->`.
inline std::vector<std::string> marked_lines(const std::vector<std::string>& lines, const std::string& marker) {
  const auto begin = std::find(lines.begin(), lines.end(), "<!-- " + marker + ":begin -->");
  const auto end = std::find(lines.begin(), lines.end(), "<!-- " + marker + ":end -->");
  if (begin == lines.end() || end == lines.end() || end < begin) return {};
  return {begin + 1, end};
}

}  // namespace bitwright::arch
