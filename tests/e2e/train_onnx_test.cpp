// SPDX-License-Identifier: Apache-2.0
// The five commands of docs/onnx.md are executed, on a small network and images made in memory.
#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

namespace bitwright::test {
namespace {

class OnnxPage : public TempFolderTest {};

TEST_F(OnnxPage, ItsQuickStartRuns) {
  const std::string page = read_bytes(BITWRIGHT_SOURCE_DIR "/docs/onnx.md");
  const auto begin = page.find("```\n");
  std::istringstream lines(page.substr(begin + 4, page.find("```\n", begin + 4) - begin - 4));
  ASSERT_EQ(bitwright({"export", "zoo:gupta-mnist-cnn", "-o", (folder() / "net.onnx").string()}).exit_code, 0);
  int commands = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream stream(line.substr(0, line.find(" #")));
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word == "cifar10" ? "synthetic:10:256:64:1" : word);
    ASSERT_GE(words.size(), 2U) << line;
    words.erase(words.begin());
    if (words.front() == "quantize") words.insert(words.end(), {"--epochs", "1", "--portions", "0.5,1"});
    const ProcessResult result = bitwright(words, {.working_folder = folder()});
    EXPECT_EQ(result.exit_code, 0) << line << ": " << result.err;
    ++commands;
  }
  EXPECT_EQ(commands, 5);
  EXPECT_LT(4 * std::filesystem::file_size(folder() / "net4.onnx"), std::filesystem::file_size(folder() / "net.onnx"));
}

}  // namespace
}  // namespace bitwright::test
