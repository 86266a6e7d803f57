// SPDX-License-Identifier: Apache-2.0
// The arrows between layers, held against the table of docs/architecture.md.
#include "tests/arch/source_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <regex>
#include <set>

namespace bitwright::arch {
namespace {

/// layer -> what it may use: layer names, or single headers such as `formats/layout.h`.
std::map<std::string, std::set<std::string>> layer_table() {
  std::map<std::string, std::set<std::string>> table;
  const auto lines = marked_lines(split_lines(read_text(source_root() / "docs/architecture.md")), "layers");
  const std::regex quoted("`([^`]+)`");
  for (const std::string& line : lines) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, '|');) cells.push_back(cell);
    std::smatch name;
    if (cells.size() < 4 || !std::regex_search(cells[1], name, quoted)) continue;
    std::set<std::string>& allowed = table[name[1]];
    for (std::sregex_iterator it(cells[2].begin(), cells[2].end(), quoted), end; it != end; ++it) allowed.insert((*it)[1]);
  }
  return table;
}

TEST(Layers, TheTableNamesEveryFolderAndNoOther) {
  std::set<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(source_root() / "src/bitwright")) {
    if (entry.is_directory()) folders.insert(entry.path().filename().string());
  }
  std::set<std::string> named;
  for (const auto& [layer, allowed] : layer_table()) named.insert(layer);
  EXPECT_EQ(folders, named);
}

TEST(Layers, EveryIncludeStaysWithinItsRow) {
  const auto table = layer_table();
  ASSERT_GE(table.size(), 8U);
  const std::regex include_line("^\\s*#include\\s+\"bitwright/(([a-z_]+)/[^\"]+)\"");
  int checked = 0;
  for (const SourceFile& file : files_below("src/bitwright", {".h", ".cpp", ".inc"})) {
    const std::string layer = std::next(file.path.begin(), 2)->string();
    const auto row = table.find(layer);
    ASSERT_NE(row, table.end()) << file.path;
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (!std::regex_search(line, match, include_line)) continue;
      ++checked;
      const std::string header = match[1];
      const std::string used = match[2];
      EXPECT_TRUE(used == layer || row->second.count(used) != 0 || row->second.count(header) != 0)
          << file.path << " includes bitwright/" << header << ", which the row of `" << layer << "` in docs/architecture.md does not allow";
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(Layers, LibTorchIsIncludedByTrainOnly) {
  for (const SourceFile& file : files_below("src/bitwright", {".h", ".cpp"})) {
    const bool is_train = file.path.string().starts_with("src/bitwright/train/");
    const bool is_header = file.path.extension() == ".h";
    for (const std::string& line : file.lines) {
      if (!line.starts_with("#include <torch/") && !line.starts_with("#include <ATen/") && !line.starts_with("#include <c10/")) continue;
      EXPECT_TRUE(is_train) << file.path << ": " << line;
      // <torch/torch.h> in a header would cost every reader 11 s.
      EXPECT_FALSE(is_header && line.find("torch/torch.h") != std::string::npos) << file.path << ": " << line;
    }
  }
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> chunk{};
  while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), pipe)) output.append(chunk.data(), count);
  ::pclose(pipe);
  return output;
}

TEST(Layers, TheRuntimeProgramLinksNoTorch) {
  const std::string libraries = output_of("ldd '" BITWRIGHT_BIN_DIR "/bitwright' 2>&1");
  ASSERT_NE(libraries.find("libc.so"), std::string::npos) << libraries;
  EXPECT_EQ(libraries.find("torch"), std::string::npos) << libraries;
  EXPECT_EQ(libraries.find("libc10"), std::string::npos) << libraries;
}

TEST(Layers, TheTrainerKnowsNoMethodByName) {
  const std::regex entry("BITWRIGHT_METHOD\\(\\s*\"([^\"]+)\"\\s*,\\s*(\\w+)");
  const std::string registry = read_text(source_root() / "src/bitwright/train/methods.inc");
  std::vector<std::string> names;
  for (std::sregex_iterator it(registry.begin(), registry.end(), entry), end; it != end; ++it) {
    names.push_back("\"" + std::string((*it)[1]) + "\"");
    names.push_back((*it)[2]);
  }
  ASSERT_FALSE(names.empty());
  for (const char* path : {"trainer.h", "trainer.cpp", "run_training.h", "run_training.cpp"}) {
    const std::string text = read_text(source_root() / "src/bitwright/train" / path);
    ASSERT_FALSE(text.empty()) << path;
    for (const std::string& name : names) EXPECT_EQ(text.find(name), std::string::npos) << path << " names the method " << name;
  }
}

}  // namespace
}  // namespace bitwright::arch
