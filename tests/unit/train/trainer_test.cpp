// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/trainer.h"

#include "bitwright/train/run_training.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>

namespace bitwright::test {
namespace {

using ::testing::HasSubstr;

class TrainerTest : public TempFolderTest {};

/// Stands for SIGKILL: leaves the loop between two steps, with no word to the trainer.
struct Killed {};

TrainEvents killed_at(std::int64_t kill_step) {
  TrainEvents events;
  events.on_step = [kill_step](std::int64_t step, double) {
    if (step == kill_step) throw Killed();
  };
  return events;
}

/// All kinds of state at once: phases, momentum, plateau, batch norm, Dropout, checkpoints inside epochs. 3 phases x 2 epochs x 5 steps.
Recipe everything(const std::filesystem::path& folder) {
  Recipe recipe = tiny_recipe(folder);
  recipe.train.schedule = ScheduleKind::plateau;
  recipe.train.patience = 0;
  recipe.train.warmup_steps = 3;
  recipe.train.nesterov = true;
  recipe.train.checkpoint_every = 3;
  recipe.methods = {inq_recipe(3, {0.4, 0.8, 1.0})};
  recipe.methods[0].options["epochs_per_portion"] = std::int64_t{2};
  return recipe;
}

void expect_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_EQ(read_text_file(a / "metrics.jsonl"), read_text_file(b / "metrics.jsonl"));
  EXPECT_EQ(read_file(a / "model.bw"), read_file(b / "model.bw"));
}

TEST_F(TrainerTest, LeavesTheFactsOfARun) {
  Recipe recipe = tiny_recipe(folder());
  recipe.train.epochs = 6;
  const TrainResult result = train_in(folder() / "run", recipe);
  EXPECT_TRUE(result.completed);
  EXPECT_EQ(result.images, 40);
  EXPECT_EQ(result.accuracy, 100.0 * static_cast<double>(result.correct) / 40.0);
  EXPECT_GT(result.accuracy, 60.0) << "four classes: guessing gives 25";
  EXPECT_EQ(load_packed(folder() / "run/model.bw"), result.model);
  EXPECT_EQ(result.model.notes.at("method"), "float");
  const bitwright::Run run = bitwright::Run::open(folder() / "run");
  const Metrics summary = run.summary();
  EXPECT_EQ(summary.at("accuracy"), MetricValue(result.accuracy));
  EXPECT_EQ(summary.at("correct"), MetricValue(result.correct));
  EXPECT_EQ(summary.at("images"), MetricValue(std::int64_t{40}));
  EXPECT_EQ(summary.at("method"), MetricValue(std::string("float")));
  EXPECT_EQ(summary.at("format"), MetricValue(std::string("float32")));
  EXPECT_EQ(summary.at("epochs"), MetricValue(std::int64_t{6}));
  EXPECT_EQ(summary.at("seed"), MetricValue(std::int64_t{1}));
  EXPECT_EQ(summary.at("file_bytes"), MetricValue(static_cast<std::int64_t>(std::filesystem::file_size(folder() / "run/model.bw"))));
  ASSERT_EQ(run.metrics().size(), 6U);
  EXPECT_EQ(run.metrics()[5].at("accuracy"), MetricValue(result.accuracy));
  EXPECT_TRUE(std::filesystem::exists(folder() / "run/environment.json"));
  EXPECT_TRUE(std::filesystem::exists(folder() / "run/timing.jsonl"));
  for (const Metrics& line : run.metrics()) {
    for (const auto& [key, value] : line) EXPECT_THAT(key, ::testing::Not(HasSubstr("second"))) << "wall-clock values have no place here";
  }
}

TEST_F(TrainerTest, EvaluatesAsOftenAsAskedAndAfterTheLastEpoch) {
  Recipe recipe = tiny_recipe(folder());
  recipe.train.epochs = 5;
  const auto evaluated = [&](std::int64_t every) {
    recipe.train.evaluate_every = every;
    const std::filesystem::path run = folder() / std::to_string(every);
    train_in(run, recipe);
    std::vector<std::int64_t> epochs;
    for (const Metrics& line : bitwright::Run::open(run).metrics()) {
      if (line.contains("accuracy")) epochs.push_back(std::get<std::int64_t>(line.at("epoch")));
    }
    return epochs;
  };
  EXPECT_THAT(evaluated(1), ::testing::ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(evaluated(2), ::testing::ElementsAre(2, 4, 5));
  EXPECT_THAT(evaluated(0), ::testing::ElementsAre(5));
  EXPECT_EQ(load_packed(folder() / "0/model.bw").weights, load_packed(folder() / "1/model.bw").weights) << "looking changes nothing";
}

TEST_F(TrainerTest, SameSeedSameRunAnotherSeedAnother) {
  Recipe recipe = everything(folder());
  train_in(folder() / "a", recipe);
  train_in(folder() / "b", recipe);
  expect_same_run(folder() / "a", folder() / "b");
  recipe.train.seed = 2;
  train_in(folder() / "c", recipe);
  EXPECT_NE(read_text_file(folder() / "a/metrics.jsonl"), read_text_file(folder() / "c/metrics.jsonl"));
}

TEST_F(TrainerTest, LoaderThreadsAndCheckpointsChangeNoBit) {
  Recipe recipe = everything(folder());
  train_in(folder() / "a", recipe);
  recipe.train.workers = 3;
  recipe.train.checkpoint_every = 0;
  train_in(folder() / "b", recipe);
  expect_same_run(folder() / "a", folder() / "b");
}

TEST_F(TrainerTest, TwoThreadsRepeatToo) {
  Recipe recipe = everything(folder());
  recipe.train.threads = 2;
  train_in(folder() / "a", recipe);
  train_in(folder() / "b", recipe);
  expect_same_run(folder() / "a", folder() / "b");
}

TEST_F(TrainerTest, KilledAnywhereAndResumedIsAsIfNeverKilled) {
  const Recipe recipe = everything(folder());
  train_in(folder() / "whole", recipe);
  // Steps 1 to 30: first step, inside an epoch with and without a checkpoint since, last of an epoch, last of a portion, last of all.
  for (const std::int64_t step : {1, 2, 3, 4, 5, 6, 10, 11, 14, 20, 23, 29, 30}) {
    SCOPED_TRACE(step);
    const auto run = folder() / ("killed-" + std::to_string(step));
    EXPECT_THROW(train_in(run, recipe, StartPolicy::fresh, killed_at(step)), Killed);
    const TrainResult result = train_in(run, recipe, StartPolicy::resume);
    EXPECT_TRUE(result.completed);
    expect_same_run(folder() / "whole", run);
  }
}

TEST_F(TrainerTest, KilledTwiceWithADamagedCheckpoint) {
  const Recipe recipe = everything(folder());
  train_in(folder() / "whole", recipe);
  const auto run = folder() / "run";
  // The checkpoints of steps 9 and 10 are there; the second closed an epoch and its line of metrics.
  EXPECT_THROW(train_in(run, recipe, StartPolicy::fresh, killed_at(11)), Killed);
  const auto newest = CheckpointFolder(run / "checkpoints").newest();
  ASSERT_TRUE(newest.has_value());
  std::vector<std::byte> damaged = read_file(newest->path);
  damaged[damaged.size() / 2] ^= std::byte{1};
  write_file_atomic(newest->path, damaged);
  EXPECT_THROW(train_in(run, recipe, StartPolicy::resume, killed_at(19)), Killed);
  train_in(run, recipe, StartPolicy::resume);
  expect_same_run(folder() / "whole", run);
}

// Steps this small change no loss; Dropout does, so some epoch is no better than the one before and the plateau schedule acts.
TEST_F(TrainerTest, APlateauIsRememberedAcrossAKill) {
  Recipe recipe = tiny_recipe(folder());
  recipe.train.lr = 1e-12;
  recipe.train.schedule = ScheduleKind::plateau;
  recipe.train.patience = 0;
  recipe.train.gamma = 0.5;
  recipe.train.epochs = 8;
  train_in(folder() / "whole", recipe);
  const std::vector<Metrics> lines = bitwright::Run::open(folder() / "whole").metrics();
  ASSERT_LT(std::get<double>(lines[6].at("lr")), 1e-12) << "the schedule never acted";
  EXPECT_THROW(train_in(folder() / "run", recipe, StartPolicy::fresh, killed_at(33)), Killed);
  train_in(folder() / "run", recipe, StartPolicy::resume);
  expect_same_run(folder() / "whole", folder() / "run");
}

// One image, steps too small to change a weight: the losses differ by what Dropout drops, and by nothing if every epoch dropped the same.
TEST_F(TrainerTest, EveryStepOfARunDropsAnew) {
  Model model;
  model.graph.name = "drop";
  model.graph.inputs = {{"input", Shape{Shape::kDynamic, 1, 28, 28}}};
  model.graph.nodes = {
      {"flatten", Op::Flatten, {"input"}, {"flatten"}, {}},
      {"dropout", Op::Dropout, {"flatten"}, {"dropout"}, {{"ratio", 0.5F}}},
      {"fc", Op::Gemm, {"dropout", "fc.weight"}, {"fc"}, {{"transB", std::int64_t{1}}}},
  };
  model.graph.outputs = {"fc"};
  model.weights.emplace("fc.weight", random_weight("fc", Shape{4, 784}, 0.1));
  save_packed(folder() / "drop.bw", model);
  Recipe recipe = tiny_recipe(folder());
  recipe.model.from = (folder() / "drop.bw").string();
  recipe.data.train_images = 1;
  recipe.train.lr = 1e-12;
  recipe.train.epochs = 4;
  const std::vector<double> losses = trace_of(folder() / "run", recipe);
  ASSERT_EQ(losses.size(), 4U);
  for (std::size_t i = 1; i < losses.size(); ++i) EXPECT_GT(std::abs(losses[i] - losses[i - 1]), 1e-4);
}

TEST_F(TrainerTest, StopsOnRequestWithACheckpointOfThatStep) {
  const Recipe recipe = everything(folder());
  train_in(folder() / "whole", recipe);
  for (const std::int64_t stop_step : {1, 7, 10, 30}) {
    SCOPED_TRACE(stop_step);
    const auto run = folder() / ("stopped-" + std::to_string(stop_step));
    std::atomic<bool> stop = false;
    TrainEvents events;
    events.stop_requested = &stop;
    events.on_step = [&](std::int64_t step, double) { stop = step == stop_step; };
    EXPECT_FALSE(train_in(run, recipe, StartPolicy::fresh, events).completed);
    EXPECT_FALSE(std::filesystem::exists(run / "model.bw"));
    std::int64_t first = 0;
    TrainEvents resumed;
    resumed.on_step = [&first](std::int64_t step, double) { first = first == 0 ? step : first; };
    EXPECT_TRUE(train_in(run, recipe, StartPolicy::resume, resumed).completed);
    EXPECT_EQ(first, stop_step == 30 ? 0 : stop_step + 1);
    expect_same_run(folder() / "whole", run);
  }
}

TEST_F(TrainerTest, ResumingAFinishedRunChangesNothing) {
  const Recipe recipe = everything(folder());
  const TrainResult first = train_in(folder() / "run", recipe);
  const std::vector<std::byte> model = read_file(folder() / "run/model.bw");
  const TrainResult again = train_in(folder() / "run", recipe, StartPolicy::resume);
  EXPECT_EQ(again.correct, first.correct);
  EXPECT_EQ(read_file(folder() / "run/model.bw"), model);
  EXPECT_EQ(bitwright::Run::open(folder() / "run").metrics().size(), 6U);
}

TEST_F(TrainerTest, AFreshStartNeedsAnUnusedFolder) {
  const Recipe recipe = tiny_recipe(folder());
  const auto run = folder() / "run";
  train_in(run, recipe);
  expect_error(ErrorCode::usage,
               run.string() + ": the folder holds a run already; continue it with `--resume`, or name another folder with `--run`.",
               [&] { train_in(run, recipe); });
}

TEST_F(TrainerTest, ACheckpointOfAnotherRecipeIsRefused) {
  Recipe recipe = tiny_recipe(folder());
  const auto path = folder() / "run";
  train_in(path, recipe);
  recipe.train.lr = 0.25;
  bitwright::Run run = bitwright::Run::open(path);
  const auto error = error_of([&] { (void)run_training(recipe, run, StartPolicy::resume, {}); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::usage);
  EXPECT_THAT(error->message(), HasSubstr(": the checkpoint belongs to another recipe (found "));
}

TEST_F(TrainerTest, ALossThatIsNotFiniteNamesStepLayerAndCheckpoint) {
  Recipe recipe = tiny_recipe(folder());
  recipe.train.lr = 1e6;
  recipe.train.momentum = 0.0;
  recipe.train.weight_decay = 1.0;
  recipe.train.epochs = 40;
  const auto run = folder() / "run";
  const auto error = error_of([&] { train_in(run, recipe); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
  EXPECT_THAT(error->message(), ::testing::MatchesRegex(
                                    "train: the loss is not finite at step [0-9]+ \\(found .*, first in the output of \"(conv|bn|fc)\"\\); "
                                    "lower train.lr; the last good checkpoint is .*/checkpoints/ckpt\\.[ab]\\."));
  // The checkpoint it names is there and good.
  EXPECT_TRUE(CheckpointFolder(run / "checkpoints").newest().has_value());
  EXPECT_FALSE(std::filesystem::exists(run / "model.bw"));
}

// A hidden layer that always gives 0 hides the weights behind it from the loss, while a decay of a million times themselves per step
// drives them to infinity: only looking at the weights can tell.
TEST_F(TrainerTest, AWeightThatIsNotFiniteIsNeverSaved) {
  Model model;
  model.graph.name = "dead";
  model.graph.inputs = {{"input", Shape{Shape::kDynamic, 1, 28, 28}}};
  model.graph.nodes = {
      {"flatten", Op::Flatten, {"input"}, {"flatten"}, {}},
      {"hidden", Op::Gemm, {"flatten", "hidden.weight", "hidden.bias"}, {"hidden"}, {{"transB", std::int64_t{1}}}},
      {"relu", Op::Relu, {"hidden"}, {"relu"}, {}},
      {"fc", Op::Gemm, {"relu", "fc.weight", "fc.bias"}, {"fc"}, {{"transB", std::int64_t{1}}}},
  };
  model.graph.outputs = {"fc"};
  model.weights.emplace("hidden.weight", constant_weight(Shape{2, 784}, 0.0F));
  model.weights.emplace("hidden.bias", constant_weight(Shape{2}, -1.0F));
  model.weights.emplace("fc.weight", constant_weight(Shape{4, 2}, 0.5F));
  model.weights.emplace("fc.bias", constant_weight(Shape{4}, 0.0F));
  save_packed(folder() / "dead.bw", model);
  Recipe recipe = tiny_recipe(folder());
  recipe.model.from = (folder() / "dead.bw").string();
  recipe.data.train_images = 16;  // one step an epoch
  recipe.train.lr = 1e6;
  recipe.train.momentum = 0.0;
  recipe.train.weight_decay = 1.0;
  recipe.train.epochs = 40;
  const auto run = folder() / "run";
  const auto error = error_of([&] { train_in(run, recipe); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::numerical);
  EXPECT_THAT(
      error->message(),
      ::testing::MatchesRegex("train: a weight is not finite after step 7 \\(first in \"fc.weight\"\\); lower train.lr; the last good "
                              "checkpoint is .*/checkpoints/ckpt\\.[ab]\\."));
}

TEST_F(TrainerTest, DataAndModelMustFit) {
  Recipe recipe = tiny_recipe(folder());
  const std::string tiny = recipe.model.from;
  recipe.data.hold_out = 80;
  expect_error(ErrorCode::usage, "recipe: data.hold_out leaves nothing to train on (found 80, need less than 80); lower it.",
               [&] { train_in(folder() / "a", recipe); });
  recipe.data.hold_out = 0;
  recipe.data.train_images = 81;
  expect_error(ErrorCode::usage, "recipe: data.train_images is more than synthetic:4:80:40:3 has (found 81, need at most 80); lower it.",
               [&] { train_in(folder() / "b", recipe); });
  recipe.data.train_images = 0;
  recipe.data.name = "synthetic:5:80:40:3";
  expect_error(ErrorCode::usage,
               "recipe: " + tiny +
                   " has no output for every class of synthetic:5:80:40:3 (found [1, 4], need [1, 5]); choose another model or data set.",
               [&] { train_in(folder() / "c", recipe); });
  recipe.model.from = "zoo:resnet20";
  expect_error(
      ErrorCode::usage,
      "recipe: zoo:resnet20 does not fit the images of synthetic:5:80:40:3 (found [3, 32, 32], need [1, 28, 28]); choose another model or "
      "data set.",
      [&] { train_in(folder() / "d", recipe); });
}

TEST_F(TrainerTest, HoldOutAndTrainImagesChooseTheSplits) {
  Recipe recipe = tiny_recipe(folder());
  recipe.data.train_images = 60;
  recipe.data.hold_out = 12;
  recipe.train.epochs = 1;
  std::int64_t steps = 0;
  TrainEvents events;
  events.on_step = [&steps](std::int64_t step, double) { steps = step; };
  const TrainResult result = train_in(folder() / "run", recipe, StartPolicy::fresh, events);
  EXPECT_EQ(result.images, 12);
  EXPECT_EQ(steps, 3);  // 48 images in batches of 16
}

TEST_F(TrainerTest, OnlyOneMethodMayDivideTraining) {
  Recipe recipe = tiny_recipe(folder());
  recipe.methods = {inq_recipe(3, {1.0}), inq_recipe(4, {1.0})};
  expect_error(ErrorCode::usage, "recipe: methods inq and inq both divide training into phases; keep one of them.",
               [&] { train_in(folder() / "run", recipe); });
}

TEST_F(TrainerTest, ProgressEndsWithTheLastStep) {
  const Recipe recipe = tiny_recipe(folder());
  std::vector<TrainProgress> seen;
  TrainEvents events;
  events.on_progress = [&seen](const TrainProgress& progress) { seen.push_back(progress); };
  train_in(folder() / "run", recipe, StartPolicy::fresh, events);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().step, 10);
  EXPECT_EQ(seen.back().total_steps, 10);
  EXPECT_EQ(seen.back().phase, "train");
}

}  // namespace
}  // namespace bitwright::test
