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
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bitwright {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kRoot = BITWRIGHT_SOURCE_DIR;

/// One run: results/<experiment>/<variant>/<seed>/summary.json.
struct Result {
  fs::path folder;
  json summary;
};

using Variants = std::map<std::string, std::vector<Result>>;

/// What results/<experiment>/experiment.json states: which variants there are, in the order of the table, what was published and what had
/// to be reached.
struct Experiment {
  std::string name;
  json spec;
  Variants variants;

  [[nodiscard]] const std::vector<Result>& reference() const { return variants.at(spec.at("reference").get<std::string>()); }
};

Experiment read_experiment(const fs::path& folder) {
  Experiment experiment{folder.filename().string(), json::parse(read_text_file(folder / "experiment.json")), {}};
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename() != "summary.json") continue;
    const fs::path run = entry.path().parent_path();
    experiment.variants[run.parent_path().filename().string()].push_back({run, json::parse(read_text_file(entry.path()))});
  }
  for (auto& [variant, results] : experiment.variants) {
    std::sort(results.begin(), results.end(), [](const Result& a, const Result& b) { return a.folder < b.folder; });
  }
  return experiment;
}

/// A row that nobody has run yet: scripts/run-experiment.sh can, no table shows it.
bool is_pending(const json& row) { return row.value("pending", false); }

/// Experiments with something to show.
std::vector<std::string> experiment_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kRoot / "results")) {
    if (!fs::exists(entry.path() / "experiment.json")) continue;
    const Experiment experiment = read_experiment(entry.path());
    const json& rows = experiment.spec.at("rows");
    if (!std::all_of(rows.begin(), rows.end(), is_pending)) names.push_back(experiment.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

double mean_of(const std::vector<Result>& group, const char* key) {
  double sum = 0.0;
  for (const Result& result : group) sum += result.summary.at(key).get<double>();
  return sum / static_cast<double>(group.size());
}

/// A row's bar in points against the reference: `{"at_least": -0.5}` or `{"at_most": -1.0}`, or both.
struct Bar {
  std::optional<double> at_least;
  std::optional<double> at_most;

  explicit Bar(const json& row) {
    if (!row.contains("bar")) return;
    if (row.at("bar").contains("at_least")) at_least = row.at("bar").at("at_least").get<double>();
    if (row.at("bar").contains("at_most")) at_most = row.at("bar").at("at_most").get<double>();
  }
  /// Differences are multiples of 0.01 / seeds: a thousandth of that decides nothing.
  [[nodiscard]] bool met(double difference) const {
    return (!at_least || difference >= *at_least - 1e-5) && (!at_most || difference <= *at_most + 1e-5);
  }
  [[nodiscard]] std::string text(double difference) const {
    if (!at_least && !at_most) return "";
    std::string wanted;
    if (at_least) wanted += fmt::format("≥ {:+.2f}", *at_least);
    if (at_most) wanted += fmt::format("{}≤ {:+.2f}", wanted.empty() ? "" : ", ", *at_most);
    return wanted + (met(difference) ? ": met" : ": **missed**");
  }
};

std::string table_of(const Experiment& experiment) {
  const double accuracy = mean_of(experiment.reference(), "accuracy");
  const double bytes = mean_of(experiment.reference(), "file_bytes");
  std::string table =
      "| setting | published | accuracy by seed, % | mean | against float | bar | file bytes | smaller | epochs |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const json& row : experiment.spec.at("rows")) {
    if (is_pending(row)) continue;
    const auto variant = row.at("variant").get<std::string>();
    const std::vector<Result>& group = experiment.variants.at(variant);
    std::string seeds;
    for (const Result& result : group)
      seeds += fmt::format("{}{:.2f}", seeds.empty() ? "" : " / ", result.summary.at("accuracy").get<double>());
    const double own = mean_of(group, "accuracy");
    const double own_bytes = mean_of(group, "file_bytes");
    const bool is_reference = variant == experiment.spec.at("reference").get<std::string>();
    table += fmt::format("| {} | {} | {} | {:.3f} | {} | {} | {:.0f} | {:.1f} × | {:.0f} |\n", row.value("label", variant),
                         row.value("published", std::string()), seeds, own,
                         is_reference ? std::string() : fmt::format("{:+.3f}", own - accuracy), Bar(row).text(own - accuracy), own_bytes,
                         bytes / own_bytes, mean_of(group, "epochs"));
  }
  return table;
}

/// Compares the text between `<!-- results:begin NAME -->` and `<!-- results:end -->` with `wanted`; rewrites it when
/// BITWRIGHT_UPDATE_DOCS is set.
void expect_block(const fs::path& page, const std::string& name, const std::string& wanted) {
  const std::string begin = "<!-- results:begin " + name + " -->\n";
  const std::string end = "<!-- results:end -->";
  std::string text = read_text_file(page);
  const auto from = text.find(begin);
  ASSERT_NE(from, std::string::npos) << page << " has no block " << begin;
  const auto to = text.find(end, from);
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

TEST(Results, EveryExperimentIsStated) {
  for (const auto& entry : fs::directory_iterator(kRoot / "results")) {
    EXPECT_TRUE(!entry.is_directory() || fs::exists(entry.path() / "experiment.json")) << entry.path();
  }
}

TEST(Results, TheReadmeSaysWhatTheFilesSay) {
  expect_block(kRoot / "README.md", "mnist-lenet5", table_of(read_experiment(kRoot / "results" / "mnist-lenet5")));
}

class Published : public ::testing::TestWithParam<std::string> {
 protected:
  const Experiment experiment_ = read_experiment(kRoot / "results" / GetParam());
};

TEST_P(Published, ThePageSaysWhatTheFilesSay) { expect_block(kRoot / "docs" / "results.md", GetParam(), table_of(experiment_)); }

TEST_P(Published, EveryRunIsInTheTableAndSumsUpRight) {
  std::set<std::string> in_table;
  for (const json& row : experiment_.spec.at("rows")) {
    if (!is_pending(row)) in_table.insert(row.at("variant").get<std::string>());
  }
  for (const std::string& variant : in_table) EXPECT_TRUE(experiment_.variants.contains(variant)) << variant << " has a row and no results";
  for (const auto& [variant, results] : experiment_.variants) {
    EXPECT_TRUE(in_table.contains(variant)) << variant << " has results and no row";
    for (const Result& result : results) {
      const double images = result.summary.at("images").get<double>();
      EXPECT_EQ(images, 10000) << result.folder;
      EXPECT_DOUBLE_EQ(result.summary.at("accuracy").get<double>(), result.summary.at("correct").get<double>() * 100.0 / images);
      EXPECT_EQ(result.summary.at("evaluated_on"), "test split") << result.folder;
      EXPECT_TRUE(fs::exists(result.folder / "environment.json")) << result.folder;
    }
  }
}

/// A bar that was missed is allowed only where experiment.json says so and why; one that was met must not be called missed.
TEST_P(Published, BarsAreMetOrSaidToBeMissed) {
  const double reference = mean_of(experiment_.reference(), "accuracy");
  for (const json& row : experiment_.spec.at("rows")) {
    if (is_pending(row)) continue;
    const double difference = mean_of(experiment_.variants.at(row.at("variant").get<std::string>()), "accuracy") - reference;
    EXPECT_EQ(Bar(row).met(difference), !row.contains("missed")) << row.at("variant") << ": " << difference << " points";
  }
  if (experiment_.spec.contains("reference_at_least")) {
    EXPECT_GE(reference, experiment_.spec.at("reference_at_least").get<double>());
  }
}

TEST_P(Published, EveryPackedNetworkIsOnItsGridAndAsLargeAsReported) {
  for (const auto& [variant, results] : experiment_.variants) {
    for (const Result& result : results) {
      const fs::path file = result.folder / "model.bw";
      if (!fs::exists(file)) continue;
      const Model model = load_packed(file);
      EXPECT_NO_THROW(verify_grid(model)) << file;
      EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(file)), result.summary.at("file_bytes").get<std::int64_t>()) << file;
      std::set<std::string> formats;
      for (const std::string& name : quantizable_weights(model.graph)) {
        const auto* codes = std::get_if<QuantizedTensor>(&model.weights.at(name));
        formats.insert(codes != nullptr ? codes->format().spec() : "float32");
        if (codes == nullptr || codes->format().get_if<PowerOfTwo>() == nullptr) continue;
        // b bits a weight, rounded up to a byte, plus two parameters of a byte each.
        const std::int64_t bits = codes->format().code_bits() * codes->shape().element_count();
        EXPECT_LE(codes->code_size_bits() + codes->parameter_size_bits(), (bits + 7) / 8 * 8 + 16);
      }
      EXPECT_EQ(fmt::format("{}", fmt::join(formats, "+")), result.summary.at("format").get<std::string>()) << file;
    }
  }
}

/// Images that a packed network classifies rightly, by the runtime.
std::int64_t correct_of(const fs::path& file, const Dataset& images) {
  constexpr std::int64_t kBatch = 100;
  Session session = Session::open(file, {.threads = 1, .batch = kBatch});
  const std::int64_t image_size = images.image_shape().element_count();
  const std::int64_t classes = session.output_shape().element_count();
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(image_size));
  std::vector<float> input(static_cast<std::size_t>(kBatch * image_size));
  std::vector<float> logits(static_cast<std::size_t>(kBatch * classes));
  std::vector<int> labels(kBatch);
  std::int64_t correct = 0;
  for (std::int64_t first = 0; first < images.size(); first += kBatch) {
    for (std::int64_t i = 0; i < kBatch; ++i) {
      labels[static_cast<std::size_t>(i)] = images.read(first + i, pixels);
      transform_image(session.model().input_transform, pixels, images.image_shape(),
                      std::span(input).subspan(static_cast<std::size_t>(i * image_size), static_cast<std::size_t>(image_size)));
    }
    session.run(input, logits);
    for (std::int64_t i = 0; i < kBatch; ++i) {
      const auto begin = logits.begin() + i * classes;
      if (std::max_element(begin, begin + classes) - begin == labels[static_cast<std::size_t>(i)]) ++correct;
    }
  }
  return correct;
}

TEST_P(Published, TheRuntimeGivesTheReportedAccuracyToTheImage) {
  std::unique_ptr<Dataset> images;
  try {
    images = open_dataset(experiment_.spec.at("data").get<std::string>(), Split::test);
  } catch (const Error& error) {
    GTEST_SKIP() << "the data set is not on this machine: " << error.message();
  }
  // Some seconds for every convolutional network: by default a large experiment checks only those that it names.
  const json checked = experiment_.spec.value("checked", json::array());
  const bool all = checked.empty() || std::getenv("BITWRIGHT_CHECK_ALL_RESULTS") != nullptr;
  for (const auto& [variant, results] : experiment_.variants) {
    if (!all && std::find(checked.begin(), checked.end(), variant) == checked.end()) continue;
    bool kept = false;
    for (const Result& result : results) {
      if (!fs::exists(result.folder / "model.bw")) continue;
      kept = true;
      EXPECT_EQ(correct_of(result.folder / "model.bw", *images), result.summary.at("correct").get<std::int64_t>()) << result.folder;
    }
    EXPECT_TRUE(kept) << GetParam() << "/" << variant << " keeps no packed network";
  }
}

INSTANTIATE_TEST_SUITE_P(Experiments, Published, ::testing::ValuesIn(experiment_names()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace bitwright
