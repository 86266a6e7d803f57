// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/recipe.h"

#include "bitwright/core/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

namespace bitwright::test {
namespace {

constexpr const char* kShort = R"([model]
from = "zoo:lenet5"
[data]
name = "mnist"
)";

TEST(Recipe, DefaultsAreThoseOfTheHeader) {
  const Recipe recipe = parse_recipe(kShort, "r.toml");
  Recipe expected;
  expected.model.from = "zoo:lenet5";
  expected.data.name = "mnist";
  EXPECT_EQ(recipe, expected);
}

TEST(Recipe, ReadsEveryKey) {
  const Recipe recipe = parse_recipe(R"(
[model]
from = "zoo:resnet20@w.safetensors"
[data]
name = "cifar10"
hold_out = 5000
train_images = 40000
pad_crop = 4
flip = true
random_crop = 0.08
[train]
epochs = 16
batch = 128
lr = 0.25
seed = 9
optimizer = "sgd"
momentum = 0.5
nesterov = true
weight_decay = 1e-4
bias_weight_decay = 2e-4
schedule = "plateau"
milestones = [0.25, 0.5, 0.75]
gamma = 0.2
patience = 3
warmup_steps = 100
precision = "bfloat16"
threads = 2
workers = 3
checkpoint_every = 50
evaluate_every = 4
[[method]]
name = "inq"
bits = 3
portions = [0.5, 1]
partition = "random"
plan = ["conv1.weight=pow2:5", "*=pow2:3"]
half = 0.5
yes = true
)",
                                     "r.toml");
  Recipe expected;
  expected.model.from = "zoo:resnet20@w.safetensors";
  expected.data = {"cifar10", 5000, 40000, 4, true, 0.08};
  expected.train = {.epochs = 16,
                    .batch = 128,
                    .lr = 0.25,
                    .seed = 9,
                    .optimizer = OptimizerKind::sgd,
                    .momentum = 0.5,
                    .nesterov = true,
                    .weight_decay = 1e-4,
                    .bias_weight_decay = 2e-4,
                    .schedule = ScheduleKind::plateau,
                    .milestones = {0.25, 0.5, 0.75},
                    .gamma = 0.2,
                    .patience = 3,
                    .warmup_steps = 100,
                    .precision = Precision::bfloat16,
                    .threads = 2,
                    .workers = 3,
                    .checkpoint_every = 50,
                    .evaluate_every = 4};
  expected.methods = {{"inq",
                       {{"bits", std::int64_t{3}},
                        {"portions", std::vector<double>{0.5, 1.0}},
                        {"partition", std::string("random")},
                        {"plan", std::vector<std::string>{"conv1.weight=pow2:5", "*=pow2:3"}},
                        {"half", 0.5},
                        {"yes", true}}}};
  EXPECT_EQ(recipe, expected);
  EXPECT_EQ(parse_recipe(to_toml(recipe), "again"), recipe);
}

TEST(Recipe, TomlKeepsAwkwardTextsAndNumbers) {
  Recipe recipe = parse_recipe(kShort, "r.toml");
  recipe.model.from = "a \"b\" \\ c\td\x01 é.bw";
  recipe.train.lr = 0.1 + 0.2;  // 0.30000000000000004
  recipe.train.weight_decay = 1e-300;
  recipe.methods = {{"m", {{"one", 1.0}, {"odd key", std::int64_t{-3}}, {"none", std::vector<double>{}}}}};
  EXPECT_EQ(parse_recipe(to_toml(recipe), "again"), recipe);
}

struct Row {
  std::string text;
  std::string message;
};

TEST(Recipe, RefusesWhatIsWrong) {
  const std::string train = std::string(kShort) + "[train]\n";
  const std::vector<Row> rows = {
      {train + "epoch = 3", "r.toml line 6: unknown key \"train.epoch\" (nearest: train.epochs); rename or remove it."},
      {train + "learning_rate = 3", "r.toml line 6: unknown key \"train.learning_rate\" (nearest: train.patience); rename or remove it."},
      {std::string(kShort) + "[trian]\nlr = 1", "r.toml line 5: unknown key \"trian\" (nearest: train); rename or remove it."},
      {"seed = 1\n" + train, "r.toml line 1: unknown key \"seed\" (nearest: model); rename or remove it."},
      {train + "batch = 0", "r.toml line 6: train.batch is out of range (found 0, need 1 to 65536); change it."},
      {train + "lr = -1.5", "r.toml line 6: train.lr is out of range (found -1.5, need 1e-12 to 1000000); change it."},
      {train + "lr = nan", "r.toml line 6: train.lr is out of range (found nan, need 1e-12 to 1000000); change it."},
      {train + "lr = \"fast\"", "r.toml line 6: train.lr has the wrong type (found a string, need a number); change it."},
      {train + "epochs = 1.5", "r.toml line 6: train.epochs has the wrong type (found a number, need an integer); change it."},
      {train + "flip = true", "r.toml line 6: unknown key \"train.flip\" (nearest: train.lr); rename or remove it."},
      {train + "optimizer = \"sdg\"", "r.toml line 6: train.optimizer is not known (found \"sdg\", need one of: sgd, adam); nearest: sgd."},
      {train + "milestones = [0.5, 0.5]",
       "r.toml line 6: train.milestones must increase between 0 and 1 (found 0.5, 0.5); e.g. milestones = [0.5, 0.75]."},
      {train + "milestones = [\"a\"]",
       "r.toml line 6: train.milestones has the wrong type (found a string, need a list of numbers); change it."},
      {train + "nesterov = true\nmomentum = 0.0",
       "r.toml line 6: train.nesterov needs optimizer = \"sgd\" and momentum above 0 (found sgd and 0); change one of them."},
      {train + "[method]\nname = \"inq\"",
       "r.toml line 6: method has the wrong type (found a table, need [[method]] tables); write [[method]]."},
      {train + "[[method]]\nbits = 5", "r.toml line 6: a [[method]] has no name (need name = \"…\"); add it."},
      {train + "[[method]]\nname = \"inq\"\nportions = [1, \"a\"]",
       "r.toml line 8: method.portions has the wrong type (found a mixed list, need numbers only or strings only); change it."},
      {"model = 3", "r.toml line 1: model has the wrong type (found an integer, need a table [model]); change it."},
      {"[data]\nname = \"mnist\"", "r.toml: model.from is missing; e.g. from = \"zoo:lenet5\" below [model]."},
      {"[model]\nfrom = \"zoo:lenet5\"", "r.toml: data.name is missing; e.g. name = \"mnist\" below [data]."},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    expect_error(ErrorCode::usage, row.message, [&row] { (void)parse_recipe(row.text, "r.toml"); });
  }
}

TEST(Recipe, NamesTheLineOfBrokenToml) {
  const auto error = error_of([] { (void)parse_recipe("[model]\nfrom = zoo", "r.toml"); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::usage);
  EXPECT_TRUE(error->message().starts_with("r.toml line 2: not valid TOML (")) << error->message();
}

TEST(Recipe, SettingsReachEveryLevel) {
  const TempFolder folder;
  write_file_atomic(folder / "r.toml", std::string(kShort) + "[[method]]\nname = \"inq\"\nbits = 5\n");
  const Recipe recipe = load_recipe(folder / "r.toml", {"train.lr=0.5", "method.0.bits=3", "method.0.portions=[0.5, 1]",
                                                        "model.from=some where/net.bw", "train.optimizer=adam", "train.nesterov=false"});
  EXPECT_EQ(recipe.train.lr, 0.5);
  EXPECT_EQ(recipe.methods[0].options.at("bits"), RecipeValue(std::int64_t{3}));
  EXPECT_EQ(recipe.methods[0].options.at("portions"), RecipeValue(std::vector<double>{0.5, 1.0}));
  EXPECT_EQ(recipe.model.from, "some where/net.bw");
  EXPECT_EQ(recipe.train.optimizer, OptimizerKind::adam);
  EXPECT_EQ(apply_settings(recipe, {"train.lr=0.25"}).train.lr, 0.25);
}

TEST(Recipe, RefusesBadSettings) {
  const Recipe recipe = parse_recipe(std::string(kShort) + "[[method]]\nname = \"inq\"\n", "r.toml");
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"train.lr", "--set train.lr: not a setting (need KEY=VALUE, e.g. train.lr=0.1); correct it."},
      {"method.1.bits=3", "--set method.1.bits=3: there is no such entry (found 1, need 0 to 0); correct it."},
      {"method.x.bits=3", "--set method.x.bits=3: there is no such entry (found x, need 0 to 0); correct it."},
      {"train.lr.x=3", "--set train.lr.x=3: \"lr\" holds no keys; correct the path."},
      {"method.0=3", "--set method.0=3: not a path to a key (need e.g. train.lr or method.0.bits); correct it."},
  };
  for (const auto& [setting, message] : rows) {
    expect_error(ErrorCode::usage, message, [&] { (void)apply_settings(recipe, {setting}); });
  }
  const auto error = error_of([&] { (void)apply_settings(recipe, {"train.bach=3"}); });
  ASSERT_TRUE(error.has_value());
  EXPECT_TRUE(error->message().ends_with("unknown key \"train.bach\" (nearest: train.batch); rename or remove it.")) << error->message();
}

TEST(Recipe, FingerprintLeavesOutWhatDecidesNoNumber) {
  const Recipe recipe = parse_recipe(kShort, "r.toml");
  EXPECT_EQ(recipe_fingerprint(apply_settings(recipe, {"train.checkpoint_every=7", "train.workers=3"})), recipe_fingerprint(recipe));
  EXPECT_NE(recipe_fingerprint(apply_settings(recipe, {"train.seed=2"})), recipe_fingerprint(recipe));
}

}  // namespace
}  // namespace bitwright::test
