// SPDX-License-Identifier: Apache-2.0
// docs/cli.md shows what the programs say of themselves. BITWRIGHT_UPDATE_DOCS=1 writes the page's help texts anew.
#include "tests/e2e/support/process.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace bitwright::test {
namespace {

const std::string kPage = BITWRIGHT_SOURCE_DIR "/docs/cli.md";

struct HelpBlock {
  std::string verb;       ///< words between `bitwright` and `--help`
  std::size_t begin = 0;  ///< first character of the text inside the block
  std::size_t length = 0;
};

/// Blocks that look like: `<!-- help: VERB -->`, a line with three backquotes and `text`, the help, a line with three backquotes.
std::vector<HelpBlock> help_blocks(const std::string& page) {
  const std::string marker = "<!-- help: ";
  const std::string open = "```text\n";
  std::vector<HelpBlock> blocks;
  for (std::size_t at = page.find(marker); at != std::string::npos; at = page.find(marker, at + 1)) {
    HelpBlock block;
    block.verb = page.substr(at + marker.size(), page.find(" -->", at) - at - marker.size());
    block.begin = page.find(open, at) + open.size();
    block.length = page.find("```", block.begin) - block.begin;
    blocks.push_back(block);
  }
  return blocks;
}

std::string help_of(const std::string& verb) {
  std::vector<std::string> arguments;
  std::istringstream words(verb);
  for (std::string word; words >> word;) {
    if (word != "bitwright") arguments.push_back(word);
  }
  arguments.emplace_back("--help");
  const ProcessResult result = bitwright(arguments);
  EXPECT_EQ(result.exit_code, 0) << verb << ": " << result.err;
  return result.out;
}

#ifdef BITWRIGHT_HAS_TRAIN
constexpr bool kHasTrain = true;
#else
constexpr bool kHasTrain = false;
#endif

bool needs_train(const std::string& verb) { return verb == "bitwright train" || verb == "bitwright quantize"; }

TEST(CliDocs, ShowsTheHelpOfEveryVerb) {
  std::string page = read_bytes(kPage);
  std::vector<std::string> shown;
  std::vector<HelpBlock> blocks = help_blocks(page);
  // From the back, so that positions stay good while texts are replaced.
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    shown.push_back(block->verb);
    if (!kHasTrain && needs_train(block->verb)) continue;
    const std::string help = help_of(block->verb);
    if (std::getenv("BITWRIGHT_UPDATE_DOCS") != nullptr) {
      page.replace(block->begin, block->length, help);
    } else {
      EXPECT_EQ(page.substr(block->begin, block->length), help) << block->verb << ": run with BITWRIGHT_UPDATE_DOCS=1 to write it anew";
    }
  }
  if (std::getenv("BITWRIGHT_UPDATE_DOCS") != nullptr) write_bytes(kPage, page);

  // Every verb that the program lists has its block.
  const std::string overview = help_of("bitwright");
  std::istringstream lines(overview.substr(overview.find("Commands:\n") + 10));
  int verbs = 0;
  for (std::string line; std::getline(lines, line) && line.starts_with("  ") && line[2] != ' '; ++verbs) {
    const std::string verb = "bitwright " + line.substr(2, line.find(' ', 2) - 2);
    EXPECT_NE(std::ranges::find(shown, verb), shown.end()) << verb << " is not in docs/cli.md";
  }
  EXPECT_GE(verbs, 10);
}

}  // namespace
}  // namespace bitwright::test
