// SPDX-License-Identifier: Apache-2.0
// The published numbers: the tables in README.md and docs/results.md are what results/ says, and results/ is what the packed networks give.
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/data/dataset.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/runtime/session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bitwright {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kRoot = BITWRIGHT_SOURCE_DIR;

struct Result {
  fs::path folder;
  std::string format;  ///< name of the folder above seed-N
  json summary;
};

/// results/<experiment>/<format>/seed-<n>/summary.json, in order.
std::vector<Result> results_of(const std::string& experiment) {
  std::vector<Result> results;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "results" / experiment)) {
    if (entry.path().filename() != "summary.json") continue;
    const fs::path folder = entry.path().parent_path();
    results.push_back({folder, folder.parent_path().filename().string(), json::parse(read_text_file(entry.path()))});
  }
  std::sort(results.begin(), results.end(), [](const Result& a, const Result& b) { return a.folder < b.folder; });
  return results;
}

std::map<std::string, std::vector<Result>> by_format(const std::string& experiment) {
  std::map<std::string, std::vector<Result>> groups;
  for (Result& result : results_of(experiment)) groups[result.format].push_back(std::move(result));
  return groups;
}

double mean_of(const std::vector<Result>& group, const char* key) {
  double sum = 0.0;
  for (const Result& result : group) sum += result.summary.at(key).get<double>();
  return sum / static_cast<double>(group.size());
}

/// The order readers expect: float first, then fewer and fewer bits.
const std::vector<std::string> kOrder = {"float32", "pow2-5", "pow2-4", "pow2-3", "pow2-2"};

std::string lenet_table() {
  const auto groups = by_format("mnist-lenet5");
  const double float_accuracy = mean_of(groups.at("float32"), "accuracy");
  const double float_bytes = mean_of(groups.at("float32"), "file_bytes");
  std::string table = "| weights | accuracy by seed, % | mean | against float | file bytes | smaller |\n|---|---|---|---|---|---|\n";
  for (const std::string& name : kOrder) {
    const std::vector<Result>& group = groups.at(name);
    std::string seeds;
    for (const Result& result : group)
      seeds += fmt::format("{}{:.2f}", seeds.empty() ? "" : " / ", result.summary.at("accuracy").get<double>());
    const double accuracy = mean_of(group, "accuracy");
    const double bytes = mean_of(group, "file_bytes");
    table +=
        fmt::format("| {} | {} | {:.3f} | {} | {:.0f} | {:.1f} × |\n", name, seeds, accuracy,
                    name == "float32" ? std::string("") : fmt::format("{:+.3f}", accuracy - float_accuracy), bytes, float_bytes / bytes);
  }
  return table;
}

/// Compares the text between `<!-- results:begin -->` and `<!-- results:end -->` with `wanted`; rewrites it when
/// BITWRIGHT_UPDATE_DOCS is set.
void expect_block(const fs::path& page, const std::string& wanted) {
  const std::string begin = "<!-- results:begin -->\n";
  const std::string end = "<!-- results:end -->";
  std::string text = read_text_file(page);
  const auto from = text.find(begin);
  const auto to = text.find(end);
  ASSERT_NE(from, std::string::npos) << page;
  ASSERT_NE(to, std::string::npos) << page;
  const auto content = from + begin.size();
  if (std::getenv("BITWRIGHT_UPDATE_DOCS") != nullptr) {
    text.replace(content, to - content, wanted);
    write_file_atomic(page, text);
    return;
  }
  EXPECT_EQ(text.substr(content, to - content), wanted)
      << page << " does not say what results/ says; BITWRIGHT_UPDATE_DOCS=1 ctest -R Results rewrites it";
}

TEST(Results, ThePagesSayWhatTheFilesSay) {
  expect_block(kRoot / "README.md", lenet_table());
  expect_block(kRoot / "docs" / "results.md", lenet_table());
}

TEST(Results, ThreeSeedsReachTheBars) {
  const auto groups = by_format("mnist-lenet5");
  for (const std::string& name : kOrder) {
    ASSERT_EQ(groups.at(name).size(), 3U) << name;
    std::vector<std::int64_t> seeds;
    for (const Result& result : groups.at(name)) {
      seeds.push_back(result.summary.at("seed").get<std::int64_t>());
      EXPECT_EQ(result.summary.at("images").get<std::int64_t>(), 10000) << result.folder;
      EXPECT_DOUBLE_EQ(result.summary.at("accuracy").get<double>(), result.summary.at("correct").get<double>() * 100.0 / 10000.0);
    }
    EXPECT_EQ(seeds, (std::vector<std::int64_t>{1, 2, 3})) << name;
  }
  // The bars that the project set itself for LeNet-5, in points.
  const double reference = mean_of(groups.at("float32"), "accuracy");
  EXPECT_GE(reference, 99.0);
  EXPECT_GE(mean_of(groups.at("pow2-5"), "accuracy"), reference - 0.1);
  EXPECT_GE(mean_of(groups.at("pow2-4"), "accuracy"), reference - 0.1);
  EXPECT_GE(mean_of(groups.at("pow2-3"), "accuracy"), reference - 0.15);
  EXPECT_GE(mean_of(groups.at("pow2-2"), "accuracy"), reference - 0.4);
}

TEST(Results, EveryPackedNetworkIsOnItsGridAndAsLargeAsReported) {
  int checked = 0;
  std::map<std::string, std::int64_t> bytes_of;
  for (const Result& result : results_of("mnist-lenet5")) {
    const fs::path file = result.folder / "model.bw";
    if (!fs::exists(file)) {
      EXPECT_EQ(result.format, "float32") << "every quantized network is kept: " << result.folder;
      continue;
    }
    const Model model = load_packed(file);
    EXPECT_NO_THROW(verify_grid(model)) << file;
    EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(file)), result.summary.at("file_bytes").get<std::int64_t>()) << file;
    bytes_of[result.format] = static_cast<std::int64_t>(fs::file_size(file));
    if (result.format == "float32") continue;
    const int bits = result.format.back() - '0';
    for (const std::string& name : quantizable_weights(model.graph)) {
      const auto* tensor = std::get_if<QuantizedTensor>(&model.weights.at(name));
      ASSERT_NE(tensor, nullptr) << file << ": " << name << " is still float";
      EXPECT_EQ(tensor->format(), NumberFormat(PowerOfTwo{bits})) << file << ": " << name;
      // b bits a weight, rounded up to a byte, plus two parameters of a byte each.
      EXPECT_LE(tensor->code_size_bits() + tensor->parameter_size_bits(), (tensor->shape().element_count() * bits + 7) / 8 * 8 + 16);
    }
    ++checked;
  }
  EXPECT_EQ(checked, 12);
  EXPECT_GT(bytes_of.at("float32"), bytes_of.at("pow2-5"));
  EXPECT_GT(bytes_of.at("pow2-5"), bytes_of.at("pow2-4"));
  EXPECT_GT(bytes_of.at("pow2-4"), bytes_of.at("pow2-3"));
  EXPECT_GT(bytes_of.at("pow2-3"), bytes_of.at("pow2-2"));
}

TEST(Results, TheRuntimeGivesTheReportedAccuracyToTheImage) {
  std::unique_ptr<Dataset> test_images;
  try {
    test_images = open_dataset("mnist", Split::test);
  } catch (const Error& error) {
    GTEST_SKIP() << "MNIST is not on this machine: " << error.message();
  }
  const std::int64_t image_size = test_images->image_shape().element_count();
  constexpr std::int64_t kBatch = 100;
  for (const Result& result : results_of("mnist-lenet5")) {
    if (!fs::exists(result.folder / "model.bw")) continue;
    Session session = Session::open(result.folder / "model.bw", {.threads = 1, .batch = kBatch});
    const std::int64_t classes = session.output_shape().element_count();
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(image_size));
    std::vector<float> images(static_cast<std::size_t>(kBatch * image_size));
    std::vector<float> logits(static_cast<std::size_t>(kBatch * classes));
    std::vector<int> labels(kBatch);
    std::int64_t correct = 0;
    for (std::int64_t first = 0; first < test_images->size(); first += kBatch) {
      for (std::int64_t i = 0; i < kBatch; ++i) {
        labels[static_cast<std::size_t>(i)] = test_images->read(first + i, pixels);
        transform_image(session.model().input_transform, pixels, test_images->image_shape(),
                        std::span(images).subspan(static_cast<std::size_t>(i * image_size), static_cast<std::size_t>(image_size)));
      }
      session.run(images, logits);
      for (std::int64_t i = 0; i < kBatch; ++i) {
        const auto begin = logits.begin() + i * classes;
        if (std::max_element(begin, begin + classes) - begin == labels[static_cast<std::size_t>(i)]) ++correct;
      }
    }
    EXPECT_EQ(correct, result.summary.at("correct").get<std::int64_t>()) << result.folder;
  }
}

}  // namespace
}  // namespace bitwright
