// SPDX-License-Identifier: Apache-2.0
// The README is executed: every command between its markers runs, in order, in one folder that sees the repository's results/.
#include "bitwright/core/error.h"
#include "bitwright/data/dataset.h"
#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace bitwright::test {
namespace {

std::vector<std::vector<std::string>> readme_commands() {
  const std::string page = read_bytes(BITWRIGHT_SOURCE_DIR "/README.md");
  const auto begin = page.find("<!-- executed:begin -->");
  const auto end = page.find("<!-- executed:end -->");
  std::vector<std::vector<std::string>> commands;
  if (begin == std::string::npos || end == std::string::npos) return commands;
  std::istringstream lines(page.substr(begin, end - begin));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("bitwright ")) continue;
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words.push_back(word);
    words.erase(words.begin());
    commands.push_back(words);
  }
  return commands;
}

TEST(Readme, ItsCommandsRun) {
  try {
    (void)open_dataset("mnist", Split::test);
  } catch (const Error& error) {
    GTEST_SKIP() << "MNIST is not on this machine: " << error.message();
  }
  const auto commands = readme_commands();
  ASSERT_GE(commands.size(), 5U);
  const TempFolder folder;
  std::filesystem::create_directory_symlink(BITWRIGHT_SOURCE_DIR "/results", folder.path() / "results");
  for (const auto& command : commands) {
    const ProcessResult result = bitwright(command, {.working_folder = folder.path()});
    EXPECT_EQ(result.exit_code, 0) << testing::PrintToString(command) << ": " << result.err;
    // `export` writes a file and has nothing to say on stdout; every other command answers.
    EXPECT_TRUE(!result.out.empty() || command.front() == "export") << testing::PrintToString(command);
  }
}

}  // namespace
}  // namespace bitwright::test
