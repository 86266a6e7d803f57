// SPDX-License-Identifier: Apache-2.0
// A run that was killed or stopped and went on leaves, bit for bit, what a run without the break leaves.
#include "bitwright/core/rng.h"
#include "tests/e2e/support/process.h"
#include "tests/e2e/support/training_run.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <thread>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;
using Milliseconds = std::chrono::milliseconds;
using ::testing::MatchesRegex;

constexpr std::uint64_t kSeed = 20;
constexpr int kKills = 20;

struct Facts {
  std::string model;
  std::string metrics;
  friend bool operator==(const Facts&, const Facts&) = default;
};

class TrainResumeTest : public TempFolderTest {
 protected:
  /// Bytes of what a finished run left.
  [[nodiscard]] Facts facts(const std::string& run) const {
    return {read_bytes(folder() / run / "model.bw"), read_bytes(folder() / run / "metrics.jsonl")};
  }
  [[nodiscard]] std::vector<std::string> command(const std::string& run) const {
    std::vector<std::string> arguments = small_training(folder(), run);
    arguments.insert(arguments.begin(), bitwright_path());
    arguments.insert(arguments.end(), {"--resume", "--json"});
    return arguments;
  }
  /// Waits for the run's first checkpoint; false when the run ended before.
  [[nodiscard]] bool wait_for_checkpoint(Process& process, const std::string& run) const {
    while (!has_checkpoint(folder() / run)) {
      if (process.wait_for(Milliseconds(2))) return false;
    }
    return true;
  }
};

TEST_F(TrainResumeTest, KilledAtTwentyRandomMomentsGivesTheSameBits) {
  const auto start = std::chrono::steady_clock::now();
  Process whole(command("whole"));
  ASSERT_TRUE(wait_for_checkpoint(whole, "whole"));
  const auto start_up = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
  const ProcessResult reference = whole.finish();
  ASSERT_EQ(reference.exit_code, 0) << reference.err;
  const auto training = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start) - start_up;
  const Facts expected = facts("whole");

  // Most kills fall into training, a fifth of the run after the start; every fifth falls into the start itself.
  const Rng rng(kSeed, "e2e.kill");
  std::string moments;
  int finished_runs = 0;
  int kills = 0;
  for (std::uint64_t attempt = 0; kills < kKills || finished_runs == 0; ++attempt) {
    const std::string run = "killed-" + std::to_string(finished_runs);
    Process process(command(run));
    const double share = rng.uniform01(attempt);
    const auto delay = attempt % 5 == 4 ? share * start_up : start_up + share * training / 5;
    // Once there were enough kills, the last run may reach its end.
    const bool may_finish = kills >= kKills;
    if (!may_finish && !process.wait_for(std::chrono::duration_cast<Milliseconds>(delay))) {
      process.send(SIGKILL);
      ++kills;
      moments += " " + std::to_string(std::chrono::duration_cast<Milliseconds>(delay).count());
      EXPECT_EQ(process.finish().exit_code, 128 + SIGKILL);
      continue;
    }
    const ProcessResult result = process.finish();
    ASSERT_EQ(result.exit_code, 0) << result.err << "\nseed " << kSeed << ", killed after ms:" << moments;
    ASSERT_TRUE(facts(run) == expected) << "run " << finished_runs << " differs; seed " << kSeed << ", killed after ms:" << moments;
    const auto facts_of = [](const std::string& text) {
      const auto document = nlohmann::json::parse(text);
      return std::tuple(document.at("accuracy"), document.at("correct"), document.at("images"), document.at("file_bytes"));
    };
    EXPECT_EQ(facts_of(result.out), facts_of(reference.out));
    ++finished_runs;
  }
  std::printf("seed %d, %d kills over %d runs, after ms:%s\n", static_cast<int>(kSeed), kills, finished_runs, moments.c_str());
  EXPECT_EQ(kills, kKills);
}

TEST_F(TrainResumeTest, SignalsWriteACheckpointAndSayHowToGoOn) {
  const ProcessResult reference = run_process(command("whole"));
  ASSERT_EQ(reference.exit_code, 0) << reference.err;
  const std::vector<std::pair<int, std::string>> signals = {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}};
  for (const auto& [number, name] : signals) {
    Process process(command("stopped"));
    // The second time the first one's checkpoint is there from the beginning: training must be seen to go on.
    const std::string before = fs::exists(folder() / "stopped/metrics.jsonl") ? read_bytes(folder() / "stopped/metrics.jsonl") : "";
    ASSERT_TRUE(wait_for_checkpoint(process, "stopped"));
    const auto lines_grew = [&] {
      return fs::exists(folder() / "stopped/metrics.jsonl") && read_bytes(folder() / "stopped/metrics.jsonl").size() > before.size();
    };
    while (!lines_grew()) ASSERT_FALSE(process.wait_for(Milliseconds(2))) << process.finish().err;
    process.send(number);
    const ProcessResult result = process.finish();
    EXPECT_EQ(result.exit_code, 128 + number) << result.err;
    EXPECT_EQ(result.out, "");
    const std::string last_line = result.err.substr(result.err.rfind('\n', result.err.size() - 2) + 1);
    const std::string go_on = "bitwright train " + (folder() / "recipe.toml").string() + " --run " + (folder() / "stopped").string();
    EXPECT_THAT(last_line, MatchesRegex("bitwright: stopped by " + name +
                                        " at step [0-9]+ of [0-9]+, checkpoint written; go on with: " + go_on + " --resume --json\n"));
    EXPECT_FALSE(fs::exists(folder() / "stopped/model.bw"));
  }
  const ProcessResult result = run_process(command("stopped"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(facts("stopped") == facts("whole"));
}

TEST_F(TrainResumeTest, AFinishedRunGivesItsResultAgain) {
  ASSERT_EQ(run_process(command("whole")).exit_code, 0);
  const Facts before = facts("whole");
  const ProcessResult again = run_process(command("whole"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(facts("whole") == before);
  EXPECT_EQ(nlohmann::json::parse(again.out).at("file_bytes").get<std::size_t>(), before.model.size());
}

}  // namespace
}  // namespace bitwright::test
