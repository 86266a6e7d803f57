// SPDX-License-Identifier: Apache-2.0
// Habits that are easier kept by a test than by a reviewer.
#include "tests/arch/source_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

namespace bitwright::arch {
namespace {

const std::vector<std::string> kCode = {".h", ".cpp", ".inc"};

std::vector<SourceFile> all_code() {
  std::vector<SourceFile> files;
  for (const char* folder : {"src", "apps", "tests", "bench", "examples"}) {
    for (SourceFile& file : files_below(folder, kCode)) files.push_back(std::move(file));
  }
  return files;
}

TEST(HouseRules, FilesStayUnder600Lines) {
  for (const SourceFile& file : all_code()) EXPECT_LE(file.lines.size(), 600U) << file.path;
}

TEST(HouseRules, EveryFileNamesItsLicence) {
  for (const SourceFile& file : all_code()) {
    if (file.path.extension() == ".inc") continue;
    ASSERT_FALSE(file.lines.empty()) << file.path;
    EXPECT_EQ(file.lines[0], "// SPDX-License-Identifier: Apache-2.0") << file.path;
  }
}

TEST(HouseRules, EveryHeaderHasATest) {
  // Headers that declare nothing a test could call on its own: they are covered by the test named behind them.
  const std::set<std::string> covered_elsewhere = {
      "formats/parameters.h",  // uniform_test, codebook_test
      "train/method.h",        // method_conformance_test
      "train/tensor.h",        // network_test
  };
  for (const SourceFile& header : files_below("src/bitwright", {".h"})) {
    const auto inside = std::filesystem::relative(header.path, "src/bitwright");
    if (covered_elsewhere.count(inside.string()) != 0) continue;
    if (header.path.string().find("-inl.h") != std::string::npos) continue;  // Highway bodies: tested through their family's header
    const std::string layer = inside.begin()->string();
    bool found = false;
    const std::string wanted = "bitwright/" + inside.string();
    for (const SourceFile& test : files_below("tests", {"_test.cpp"})) {
      for (const std::string& line : test.lines) found = found || (line.starts_with("#include") && line.find(wanted) != std::string::npos);
    }
    // A header private to its layer is reached through the layer's public one; it is private when no other layer and no app includes it.
    bool is_public = false;
    for (const SourceFile& user : all_code()) {
      const bool same_layer = user.path.string().starts_with("src/bitwright/" + layer + "/");
      if (same_layer) continue;
      for (const std::string& line : user.lines)
        is_public = is_public || (line.starts_with("#include") && line.find(wanted) != std::string::npos);
    }
    EXPECT_TRUE(found || !is_public) << header.path << " is public but no test includes it";
  }
}

TEST(HouseRules, LibrariesNeverPrintOrExit) {
  const std::regex forbidden(R"((std::cout|std::cerr|std::clog|\bprintf\(|\bputs\(|\bexit\(|\babort\())");
  const std::set<std::string> allowed = {
      "src/bitwright/core/assert.cpp",    // ends the program when an assertion fails: its purpose
      "src/bitwright/core/progress.cpp",  // writes to the stream that an app hands it: its purpose
  };
  for (const SourceFile& file : files_below("src/bitwright", kCode)) {
    if (allowed.count(file.path.string()) != 0) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string code = file.lines[i].substr(0, file.lines[i].find("//"));
      EXPECT_FALSE(std::regex_search(code, forbidden)) << file.path << ":" << i + 1 << ": " << file.lines[i];
    }
  }
}

TEST(HouseRules, PublicFunctionsTakeNoBoolean) {
  // `bool&` is left out: a function that fills in a Boolean asks nothing of its caller.
  const std::regex parameter(R"([(,]\s*(const\s+)?bool\s+[a-z_]+\s*[,)=])");
  for (const SourceFile& header : files_below("src/bitwright", {".h"})) {
    for (std::size_t i = 0; i < header.lines.size(); ++i) {
      const std::string code = header.lines[i].substr(0, header.lines[i].find("//"));
      EXPECT_FALSE(std::regex_search(code, parameter)) << header.path << ":" << i + 1 << ": " << header.lines[i];
    }
  }
}

TEST(HouseRules, RandomnessComesFromTheCounterBasedGeneratorOnly) {
  const std::regex forbidden(R"((std::mt19937|std::random_device|\brand\(\)|std::default_random_engine|torch::rand|at::rand))");
  for (const SourceFile& file : files_below("src/bitwright", kCode)) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(file.lines[i], forbidden)) << file.path << ":" << i + 1 << ": " << file.lines[i];
    }
  }
}

TEST(HouseRules, InstructionSetsAreNeverChosenByCompilerFlags) {
  const std::regex forbidden(R"((-march=|-mavx|-msse|-mfma|-mcpu=|-ffast-math|-Ofast))");
  std::vector<SourceFile> files = files_below("src", {"CMakeLists.txt", ".cmake"});
  for (const char* folder : {"apps", "tests", "bench", "examples", "cmake"}) {
    for (SourceFile& file : files_below(folder, {"CMakeLists.txt", ".cmake"})) files.push_back(std::move(file));
  }
  files.push_back({"CMakeLists.txt", split_lines(read_text(source_root() / "CMakeLists.txt"))});
  files.push_back({"CMakePresets.json", split_lines(read_text(source_root() / "CMakePresets.json"))});
  ASSERT_GE(files.size(), 6U);
  for (const SourceFile& file : files) {
    for (std::string line : file.lines) {
      // The test on an emulated AArch64 says what that processor has: the least that Highway has vectors for.
      constexpr std::string_view kOther = "-march=armv8-a+crypto";
      if (const std::size_t at = line.find(kOther); at != std::string::npos && file.path == "tests/emulated/CMakeLists.txt")
        line.erase(at, kOther.size());
      EXPECT_FALSE(std::regex_search(line, forbidden)) << file.path << ": " << line;
    }
  }
}

TEST(HouseRules, NamesSayWhatThingsAre) {
  const std::regex forbidden(R"((^|_)(utils?|misc|helpers?|manager|info)(_|\.|$))");
  for (const SourceFile& file : files_below("src/bitwright", kCode)) {
    EXPECT_FALSE(std::regex_search(file.path.filename().string(), forbidden)) << file.path;
  }
}

TEST(HouseRules, LinksInTheDocsLeadSomewhere) {
  const std::regex link(R"(\]\(([^)#]+)(#[^)]*)?\))");
  std::vector<SourceFile> pages = files_below("docs", {".md"});
  for (const char* name : {"README.md", "CONTRIBUTING.md", "HACKING.md", "CHANGELOG.md"}) {
    ASSERT_TRUE(std::filesystem::exists(source_root() / name)) << name;
    pages.push_back({name, split_lines(read_text(source_root() / name))});
  }
  int checked = 0;
  for (const SourceFile& page : pages) {
    for (const std::string& line : page.lines) {
      for (std::sregex_iterator it(line.begin(), line.end(), link), end; it != end; ++it) {
        const std::string target = (*it)[1];
        if (target.starts_with("http")) continue;
        ++checked;
        EXPECT_TRUE(std::filesystem::exists(source_root() / page.path.parent_path() / target)) << page.path << " links to " << target;
      }
    }
  }
  EXPECT_GT(checked, 10);
}

}  // namespace
}  // namespace bitwright::arch
