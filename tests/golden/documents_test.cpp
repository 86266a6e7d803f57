// SPDX-License-Identifier: Apache-2.0
// What the documents say of files, limits and networks, compared with the code. BITWRIGHT_UPDATE_DOCS=1 writes the tables anew.
#include "bitwright/core/file.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace bitwright {
namespace {

std::filesystem::path in_repository(const std::string& path) { return std::filesystem::path(BITWRIGHT_SOURCE_DIR) / path; }

/// Text between two marker lines of a page.
struct Block {
  std::string page;
  std::size_t begin = 0;
  std::size_t length = 0;
  [[nodiscard]] std::string text() const { return page.substr(begin, length); }
};

Block find_block(const std::string& path, const std::string& open, const std::string& close) {
  Block block;
  block.page = read_text_file(in_repository(path));
  const std::size_t marker = block.page.find(open + "\n");
  const std::size_t end = block.page.find(close);
  if (marker == std::string::npos || end == std::string::npos) throw std::runtime_error(path + " has no block " + open);
  block.begin = marker + open.size() + 1;
  block.length = end - block.begin;
  return block;
}

void expect_block(const std::string& path, const std::string& open, const std::string& close, const std::string& need) {
  const Block block = find_block(path, open, close);
  if (std::getenv("BITWRIGHT_UPDATE_DOCS") != nullptr) {
    write_file_atomic(in_repository(path), std::string_view(std::string(block.page).replace(block.begin, block.length, need)));
    return;
  }
  EXPECT_EQ(block.text(), need) << "run with BITWRIGHT_UPDATE_DOCS=1 to write " << path << " anew";
}

TEST(FileFormatPage, TheDumpIsTheGoldenFile) {
  std::istringstream lines(find_block("docs/file-format.md", "<!-- hexdump tests/golden/files/pow2.bw -->", "<!-- /hexdump -->").text());
  const std::vector<std::byte> file = read_file(in_repository("tests/golden/files/pow2.bw"));
  // Lines are `offset  bytes  | meaning`, all numbers hexadecimal.
  std::vector<std::byte> shown;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```") || line.empty()) continue;
    ASSERT_NE(line.find('|'), std::string::npos) << line;
    std::istringstream fields(line.substr(0, line.find('|')));
    std::string offset;
    ASSERT_TRUE(fields >> offset) << line;
    EXPECT_EQ(std::stoul(offset, nullptr, 16), shown.size()) << line;
    for (std::string byte; fields >> byte;) {
      ASSERT_EQ(byte.size(), 2U) << line;
      shown.push_back(static_cast<std::byte>(std::stoul(byte, nullptr, 16)));
    }
  }
  EXPECT_EQ(shown, file);
}

TEST(FileFormatPage, TheLimitsAreTheCodes) {
  const std::pair<const char*, std::uint64_t> rows[] = {{"axes of a tensor", limits::kMaxTensorRank},
                                                        {"extent of an axis", limits::kMaxExtent},
                                                        {"bytes of a name", limits::kMaxNameBytes},
                                                        {"bytes of a note or text attribute", limits::kMaxTextBytes},
                                                        {"names", limits::kMaxStrings},
                                                        {"inputs of the graph", limits::kMaxGraphInputs},
                                                        {"outputs of the graph", limits::kMaxGraphOutputs},
                                                        {"nodes", limits::kMaxNodes},
                                                        {"inputs of a node", limits::kMaxNodeInputs},
                                                        {"outputs of a node", limits::kMaxNodeOutputs},
                                                        {"attributes of a node", limits::kMaxNodeAttributes},
                                                        {"numbers in an attribute", limits::kMaxAttributeValues},
                                                        {"weights", limits::kMaxWeights},
                                                        {"channels of the input transform", limits::kMaxChannels},
                                                        {"class names", limits::kMaxClassNames},
                                                        {"notes", limits::kMaxNotes}};
  std::string need = "| limit | value |\n|---|---|\n";
  for (const auto& [what, value] : rows) need += fmt::format("| {} | {} |\n", what, value);
  expect_block("docs/file-format.md", "<!-- limits -->", "<!-- /limits -->", need);
}

TEST(ModelsPage, TheTableIsTheZoo) {
  std::string need = "| name | data set | input | parameters | weights to quantize | source |\n|---|---|---|---|---|---|\n";
  for (const ZooEntry& entry : zoo_registry()) {
    const Model model = entry.build();
    const Shape& input = model.graph.inputs[0].shape;
    std::int64_t quantizable = 0;
    for (const std::string& name : quantizable_weights(model.graph)) quantizable += weight_shape(model.weights.at(name)).element_count();
    need += fmt::format("| `{}` | {} | {} x {} x {} | {} | {} | {} |\n", entry.name, entry.dataset, input[1], input[2], input[3],
                        entry.parameter_count, quantizable, entry.source);
  }
  expect_block("docs/models.md", "<!-- zoo -->", "<!-- /zoo -->", need);
}

TEST(ModelsPage, TheOperatorsAreTheRegistrys) {
  const auto what_is_stored = [](Stored stored) {
    switch (stored) {
      case Stored::none: return "";
      case Stored::any: return "any, but not all";
      case Stored::parameters: return "all from the second on";
      case Stored::weight: return "all from the second on; the second is quantized";
      case Stored::optional_weight: return "the second may be, and is then quantized";
    }
    return "";
  };
  std::string need = "| operator | inputs | stored in the model |\n|---|---|---|\n";
  for (const OpEntry& entry : op_registry()) {
    const std::string inputs = entry.min_inputs == entry.max_inputs ? fmt::format("{}", entry.min_inputs)
                                                                    : fmt::format("{} to {}", entry.min_inputs, entry.max_inputs);
    need += fmt::format("| {} | {} | {} |\n", entry.name, inputs, what_is_stored(entry.stored));
  }
  expect_block("docs/models.md", "<!-- operators -->", "<!-- /operators -->", need);
}

TEST(OnnxPage, TheTableIsTheImporters) {
  std::string need = "| operator of ONNX | becomes |\n|---|---|\n";
  for (const ImportableOperator& entry : importable_operators()) need += fmt::format("| {} | {} |\n", entry.onnx, entry.becomes);
  expect_block("docs/onnx.md", "<!-- importable -->", "<!-- /importable -->", need);
}

}  // namespace
}  // namespace bitwright
