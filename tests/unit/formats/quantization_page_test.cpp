// SPDX-License-Identifier: Apache-2.0
// docs/quantization.md against the code: the table of formats, and the numbered equations that comments cite.
#include "bitwright/core/file.h"
#include "bitwright/formats/number_format.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = BITWRIGHT_SOURCE_DIR;

std::string page() { return read_text_file(kSource / "docs" / "quantization.md"); }

TEST(QuantizationPage, TableOfFormatsIsTheRegistry) {
  const std::string text = page();
  constexpr std::string_view kBegin = "<!-- formats.inc:begin -->\n";
  constexpr std::string_view kEnd = "<!-- formats.inc:end -->";
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  std::string expected = "| name | syntax | code bits | parameters | bits per weight |\n|---|---|---|---|---|\n";
  for (const RegisteredFormat& entry : registered_formats()) {
    expected +=
        fmt::format("| {} | `{}` | {} | {} | {} |\n", entry.name, entry.syntax, entry.code_bits, entry.parameters, entry.bits_per_weight);
  }
  EXPECT_EQ(text.substr(begin + kBegin.size(), end - begin - kBegin.size()), expected);
}

/// Tags such as `I5`, each with the first file that cites it. A range `(I1)-(I5)` cites what lies between, too.
std::map<std::string, std::string> cited_tags() {
  static const std::regex kCitation(R"(\(([GTDI])([0-9]+)\)(?:-\(([GTDI])([0-9]+)\))?)");
  std::map<std::string, std::string> cited;
  for (const auto& entry : fs::recursive_directory_iterator(kSource / "src")) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cpp" && extension != ".inc") continue;
    const std::string text = read_text_file(entry.path());
    for (std::sregex_iterator match(text.begin(), text.end(), kCitation); match != std::sregex_iterator(); ++match) {
      const int first = std::stoi((*match)[2]);
      const int last = (*match)[4].matched && (*match)[3] == (*match)[1] ? std::stoi((*match)[4]) : first;
      for (int number = first; number <= last; ++number) {
        cited.emplace((*match)[1].str() + std::to_string(number), fs::relative(entry.path(), kSource).string());
      }
    }
  }
  return cited;
}

std::vector<std::string> defined_tags() {
  static const std::regex kDefinition(R"(\*\*\(([GTDI][0-9]+)\)\*\*)");
  const std::string text = page();
  std::vector<std::string> tags;
  for (std::sregex_iterator match(text.begin(), text.end(), kDefinition); match != std::sregex_iterator(); ++match)
    tags.push_back((*match)[1]);
  return tags;
}

TEST(QuantizationPage, DefinesEachEquationOnce) {
  const std::vector<std::string> tags = defined_tags();
  EXPECT_GE(tags.size(), 40U);
  EXPECT_EQ(std::set<std::string>(tags.begin(), tags.end()).size(), tags.size());
}

TEST(QuantizationPage, DefinesEveryEquationThatTheSourcesCite) {
  const std::vector<std::string> tags = defined_tags();
  for (const auto& [tag, file] : cited_tags()) {
    EXPECT_NE(std::ranges::find(tags, tag), tags.end()) << file << " cites (" << tag << "), which docs/quantization.md does not define";
  }
}

TEST(QuantizationPage, DefinesNoEquationThatNothingCites) {
  const std::map<std::string, std::string> cited = cited_tags();
  for (const std::string& tag : defined_tags()) EXPECT_TRUE(cited.contains(tag)) << "nothing in src/ cites (" << tag << ")";
}

TEST(QuantizationPage, NamesEveryRoundingMode) {
  const std::string text = page();
  for (const Rounding mode :
       {Rounding::nearest_even, Rounding::nearest_down, Rounding::toward_zero, Rounding::floor, Rounding::stochastic}) {
    EXPECT_THAT(text, ::testing::HasSubstr("| `" + std::string(rounding_name(mode)) + "` |"));
  }
}

}  // namespace
}  // namespace bitwright
