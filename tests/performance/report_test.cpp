// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/report.h"

#include "bench/median.h"
#include "bench/peers/measure.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

using Json = nlohmann::ordered_json;

Json contender(const char* name, double ms) {
  return {{"name", name}, {"median_ms", ms}, {"min_ms", ms / 2}, {"max_ms", 2 * ms}, {"difference_percent", 0.25}};
}

Json report(const char* cpu, const char* name, double ms) {
  Json contenders = Json::array({contender("onnxruntime/float32", 8.0), contender("bitwright/int8/pow2:5", ms)});
  return {{"cpu", cpu}, {"cpu_features", {"fma"}}, {"cases", {{name, {{"batch", 4}, {"contenders", contenders}}}}}};
}

TEST(Report, TableHasRatiosAndImagesPerSecond) {
  EXPECT_EQ(case_table(report("x", "a", 0.5).at("cases").at("a")),
            "| | median, ms | fastest, ms | images/s | times faster than ONNX Runtime float32 | largest difference, % |\n"
            "|---|---:|---:|---:|---:|---:|\n"
            "| onnxruntime/float32 | 8 | 4 | 500 | 1.00 | 0.25 |\n"
            "| bitwright/int8/pow2:5 | 0.5 | 0.25 | 8000 | 16.00 | 0.25 |\n");
}

TEST(Report, CasesAreReplacedAndOthersStay) {
  Json kept = Json::object();
  merge_cases(kept, report("x", "a", 1.0));
  merge_cases(kept, report("x", "b", 2.0));
  merge_cases(kept, report("x", "a", 3.0));
  EXPECT_EQ(kept.at("cases").size(), 2U);
  EXPECT_EQ(find_contender(kept.at("cases").at("a"), "bitwright/int8/pow2:5").at("median_ms"), 3.0);
  EXPECT_EQ(find_contender(kept.at("cases").at("b"), "bitwright/int8/pow2:5").at("median_ms"), 2.0);
  EXPECT_TRUE(find_contender(kept.at("cases").at("b"), "nobody").is_null());
}

TEST(Report, AnotherProcessorIsRefused) {
  Json kept = report("x", "a", 1.0);
  EXPECT_THROW(merge_cases(kept, report("y", "a", 1.0)), Error);
}

TEST(Report, FilesAreReadOrRefused) {
  const test::TempFolder folder;
  EXPECT_EQ(read_report(folder.path() / "none.json"), Json::object());
  write_file_atomic(folder.path() / "list.json", std::string_view("[1]"));
  EXPECT_THROW((void)read_report(folder.path() / "list.json"), Error);
}

/// Takes a stated number of seconds, by its own clock.
class Stated : public Contender {
 public:
  Stated(std::string name, std::vector<double> seconds, std::string& log)
      : Contender(std::move(name)), seconds_(std::move(seconds)), log_(log) {}
  std::vector<double> turn(int repeats) override {
    log_ += name();
    std::vector<double> times;
    for (int i = 0; i < repeats; ++i) times.push_back(seconds_[turns_ % seconds_.size()]);
    ++turns_;
    return times;
  }
  std::vector<float> output() override { return {}; }

 private:
  std::vector<double> seconds_;
  std::string& log_;
  std::size_t turns_ = 0;
};

TEST(Measure, ContendersTakeTurnsInAlternatingOrder) {
  std::string log;
  std::vector<std::unique_ptr<Contender>> contenders;
  contenders.push_back(std::make_unique<Stated>("a", std::vector<double>{9.0, 1.0, 2.0, 3.0}, log));  // the first turn only finds repeats
  contenders.push_back(std::make_unique<Stated>("b", std::vector<double>{0.5}, log));
  const std::vector<Timing> timings = measure_in_turn(contenders, 3);
  EXPECT_EQ(log, "ababbaab");
  EXPECT_EQ(timings[0].median_ms, 2000.0);
  EXPECT_EQ(timings[0].min_ms, 1000.0);
  EXPECT_EQ(timings[0].max_ms, 3000.0);
  EXPECT_EQ(timings[1].median_ms, 500.0);
}

TEST(Measure, MedianAndDifference) {
  EXPECT_EQ(median({3.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median({4.0, 1.0, 2.0, 3.0}), 2.5);
  EXPECT_EQ(difference_percent(std::vector<float>{0.0F, 2.5F}, std::vector<float>{0.0F, 2.0F}), 25.0);
}

}  // namespace
}  // namespace bitwright
