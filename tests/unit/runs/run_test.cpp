// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runs/run.h"

#include "bitwright/core/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace bitwright {
namespace {

using test::expect_error;
namespace fs = std::filesystem;

class RunTest : public test::TempFolderTest {
 protected:
  [[nodiscard]] fs::path run_folder() const { return folder() / "runs" / "first"; }
  [[nodiscard]] std::string text() const { return run_folder().string(); }
};

Metrics epoch_line(std::int64_t epoch) {
  return {{"epoch", epoch}, {"phase", std::string("train")}, {"train_loss", 1.0 / static_cast<double>(epoch + 1)}};
}

TEST_F(RunTest, CreateMakesTheFolderAndKeepsTheRecipe) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "[train]\nepochs = 3\n");
  EXPECT_EQ(run.folder(), run_folder());
  EXPECT_EQ(run.recipe_text(), "[train]\nepochs = 3\n");
  EXPECT_EQ(run.checkpoint_folder(), run_folder() / "checkpoints");
  EXPECT_TRUE(fs::is_directory(run.checkpoint_folder()));
  EXPECT_TRUE(run.metrics().empty());
  EXPECT_EQ(bitwright::Run::open(run_folder()).recipe_text(), "[train]\nepochs = 3\n");
}

TEST_F(RunTest, TheSameRecipeOpensTheRunAndKeepsItsFacts) {
  bitwright::Run::create(run_folder(), "a = 1\n").append_metrics(epoch_line(0));
  EXPECT_EQ(bitwright::Run::create(run_folder(), "a = 1\n").metrics().size(), 1U);
}

TEST_F(RunTest, AnotherRecipeIsRefusedAndChangesNothing) {
  bitwright::Run::create(run_folder(), "a = 1\n");
  expect_error(
      ErrorCode::usage,
      text() + ": the folder holds a run of another recipe; continue that one with `--resume`, or name another folder with `--run`.",
      [&] { bitwright::Run::create(run_folder(), "a = 2\n"); });
  EXPECT_EQ(bitwright::Run::open(run_folder()).recipe_text(), "a = 1\n");
}

TEST_F(RunTest, OpenNeedsAFolderWithARecipe) {
  expect_error(ErrorCode::io, text() + ": there is no such run folder; check the path, or start a run with `bitwright train`.",
               [&] { bitwright::Run::open(run_folder()); });
  make_folders(run_folder());
  expect_error(ErrorCode::io,
               text() + ": the folder holds no run (recipe.toml is missing); check the path, or start a run with `bitwright train`.",
               [&] { bitwright::Run::open(run_folder()); });
}

TEST_F(RunTest, AFileInTheWayIsAnIoError) {
  write_file_atomic(folder() / "runs", "a file");
  EXPECT_EQ(test::error_of([&] { bitwright::Run::create(run_folder(), ""); }).value().code(), ErrorCode::io);
}

TEST_F(RunTest, MetricLinesComeBackInOrder) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  for (int epoch = 0; epoch < 3; ++epoch) run.append_metrics(epoch_line(epoch));
  EXPECT_EQ(read_text_file(run_folder() / "metrics.jsonl"),
            "{\"epoch\": 0, \"phase\": \"train\", \"train_loss\": 1.0}\n"
            "{\"epoch\": 1, \"phase\": \"train\", \"train_loss\": 0.5}\n"
            "{\"epoch\": 2, \"phase\": \"train\", \"train_loss\": 0.3333333333333333}\n");
  EXPECT_THAT(run.metrics(), testing::ElementsAre(epoch_line(0), epoch_line(1), epoch_line(2)));
}

TEST_F(RunTest, TimingIsKeptApartFromMetrics) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  run.append_timing({{"seconds", 1.5}});
  EXPECT_EQ(read_text_file(run_folder() / "timing.jsonl"), "{\"seconds\": 1.5}\n");
  EXPECT_FALSE(fs::exists(run_folder() / "metrics.jsonl"));
}

TEST_F(RunTest, ALineThatWasNotFinishedDoesNotCount) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  run.append_metrics(epoch_line(0));
  const std::string whole = read_text_file(run_folder() / "metrics.jsonl");
  write_file_atomic(run_folder() / "metrics.jsonl", whole + "{\"epoch\": 1, \"tr");
  EXPECT_THAT(run.metrics(), testing::ElementsAre(epoch_line(0)));
  run.truncate_metrics(1);
  EXPECT_EQ(read_text_file(run_folder() / "metrics.jsonl"), whole);
}

TEST_F(RunTest, TruncateGoesBackToACheckpoint) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  for (int epoch = 0; epoch < 5; ++epoch) run.append_metrics(epoch_line(epoch));
  run.truncate_metrics(5);
  EXPECT_EQ(run.metrics().size(), 5U);
  run.truncate_metrics(2);
  EXPECT_THAT(run.metrics(), testing::ElementsAre(epoch_line(0), epoch_line(1)));
  run.append_metrics(epoch_line(2));
  EXPECT_THAT(run.metrics(), testing::ElementsAre(epoch_line(0), epoch_line(1), epoch_line(2)));
  run.truncate_metrics(0);
  EXPECT_TRUE(run.metrics().empty());
}

TEST_F(RunTest, TruncateRefusesToInventLines) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  run.truncate_metrics(0);
  EXPECT_FALSE(fs::exists(run_folder() / "metrics.jsonl"));
  run.append_metrics(epoch_line(0));
  expect_error(ErrorCode::corrupt_file,
               text() + "/metrics.jsonl: lines are missing (found 1, need 2); start the run anew in another folder.",
               [&] { run.truncate_metrics(2); });
  EXPECT_EQ(run.metrics().size(), 1U);
}

TEST_F(RunTest, ADamagedMetricLineIsNamed) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  run.append_metrics(epoch_line(0));
  append_line(run_folder() / "metrics.jsonl", "{\"epoch\":");
  expect_error(ErrorCode::corrupt_file, text() + "/metrics.jsonl line 2: this is no JSON; delete the file or the line.",
               [&] { static_cast<void>(run.metrics()); });
}

TEST_F(RunTest, SummaryAndEnvironmentAreReadable) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  run.write_summary({{"accuracy", 99.12}, {"file_bytes", std::int64_t{270000}}, {"format", std::string("pow2:5")}});
  EXPECT_EQ(read_text_file(run_folder() / "summary.json"),
            "{\n  \"accuracy\": 99.12,\n  \"file_bytes\": 270000,\n  \"format\": \"pow2:5\"\n}\n");
  EXPECT_EQ(run.summary(), (Metrics{{"accuracy", 99.12}, {"file_bytes", std::int64_t{270000}}, {"format", std::string("pow2:5")}}));
  run.write_environment(environment_facts(2));
  const Metrics facts = parse_json_line(read_text_file(run_folder() / "environment.json"), "environment");
  EXPECT_EQ(facts, environment_facts(2));
}

TEST_F(RunTest, ANestedSummaryIsReadWithDottedNames) {
  const bitwright::Run run = bitwright::Run::create(run_folder(), "");
  write_file_atomic(run_folder() / "summary.json",
                    R"({"float": {"accuracy": 99.1}, "quantized": [{"format": "pow2:5"}, {"format": "pow2:4"}]})");
  EXPECT_EQ(
      run.summary(),
      (Metrics{{"float.accuracy", 99.1}, {"quantized.0.format", std::string("pow2:5")}, {"quantized.1.format", std::string("pow2:4")}}));
}

TEST(EnvironmentFactsTest, NamesWhatARunDependsOn) {
  const Metrics facts = environment_facts(3);
  EXPECT_EQ(std::get<std::int64_t>(facts.at("threads")), 3);
  EXPECT_GE(std::get<std::int64_t>(facts.at("cpu_count")), 1);
  EXPECT_THAT(std::get<std::string>(facts.at("version")), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  for (const char* const key : {"compiler", "cpu", "system"}) EXPECT_FALSE(std::get<std::string>(facts.at(key)).empty()) << key;
  EXPECT_TRUE(facts.contains("cpu_features"));
}

TEST_F(RunTest, CompareLinesUpAllColumns) {
  const bitwright::Run first = bitwright::Run::create(folder() / "a", "");
  first.write_summary({{"accuracy", 99.125}, {"format", std::string("float")}});
  const bitwright::Run second = bitwright::Run::create(folder() / "longer", "");
  second.write_summary({{"accuracy", 98.0}, {"file_bytes", std::int64_t{123456}}});
  bitwright::Run::create(folder() / "c", "");
  fs::current_path(folder());
  EXPECT_EQ(compare_runs({"a", "longer", "c"}),
            "run     accuracy  file_bytes  format\n"
            "a         99.125           -   float\n"
            "longer        98      123456       -\n"
            "c              -           -       -\n");
  fs::current_path("/");
}

TEST_F(RunTest, CompareNeedsRuns) {
  expect_error(ErrorCode::io, text() + ": there is no such run folder; check the path, or start a run with `bitwright train`.",
               [&] { static_cast<void>(compare_runs({run_folder()})); });
}

}  // namespace
}  // namespace bitwright
