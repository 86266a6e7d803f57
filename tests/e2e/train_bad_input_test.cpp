// SPDX-License-Identifier: Apache-2.0
// Every way of the issue's list to use the training half wrongly: one line, the documented exit code, nothing half-written.
#include "bitwright/model/zoo.h"
#include "tests/e2e/support/bad_input.h"
#include "tests/e2e/support/model_files.h"
#include "tests/e2e/support/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

constexpr int kUsage = 2;
constexpr int kBadFile = 3;
constexpr int kIo = 4;
constexpr int kNumerical = 5;

const Arguments kQuantize = {"quantize", "zoo:lenet5", "--data", "synthetic:10:64:32:1", "--method", "inq", "--run", "run"};

std::function<Arguments(const fs::path&)> quantize_with(Arguments more) {
  return [more](const fs::path&) {
    Arguments arguments = kQuantize;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
}

/// `bitwright train` of the small recipe with one text replaced.
std::function<Arguments(const fs::path&)> train_changed(const std::string& from, const std::string& to) {
  return [from, to](const fs::path& folder) {
    std::string recipe = small_recipe();
    recipe.replace(recipe.find(from), from.size(), to);
    write_bytes(folder / "recipe.toml", recipe);
    return Arguments{"train", "recipe.toml", "--run", "run"};
  };
}

std::function<Arguments(const fs::path&)> only(Arguments arguments) {
  return [arguments](const fs::path&) { return arguments; };
}

const std::vector<BadInput>& rows() {
  static const std::vector<BadInput> all = {
      {"UnknownMethod", only({"quantize", "zoo:lenet5", "--data", "synthetic:10:64:32:1", "--method", "ink", "--run", "run"}), kUsage,
       ": recipe: method \"ink\" is not known (nearest: inq); known methods are distill, dq, fixed, inq, ptq, qd, ttq."},
      {"TeacherDoesNotFit",
       only({"quantize", "zoo:lenet5", "--data", "synthetic:10:64:32:1", "--method", "distill", "--set", "method.0.teacher=zoo:resnet20",
             "--run", "run"}),
       kUsage,
       ": recipe: method distill: teacher zoo:resnet20 does not fit student lenet5 (found images [3, 32, 32] and 10 classes, need [1, 28, "
       "28] and 10); choose another teacher."},
      {"TeacherMissing",
       only({"quantize", "zoo:lenet5", "--data", "synthetic:10:64:32:1", "--method", "distill", "--set", "method.0.teacher=absent.bw",
             "--run", "run"}),
       kIo, ": absent.bw: cannot read the file (No such file or directory); check the path."},
      {"PlanMatchesNothing",
       only({"quantize", "zoo:lenet5", "--data", "synthetic:10:64:32:1", "--method", "qd", "--set",
             "method.0.plan=[\"conv9*=uniform:8/256\"]", "--run", "run"}),
       kUsage, ": recipe: method qd: plan has a rule that matches no weight of lenet5 (found \"conv9*\"); correct its pattern."},
      {"Bits0", quantize_with({"--bits", "0"}), kUsage, ": recipe: method inq: bits must be between 2 and 8 (found 0); e.g. bits = 5."},
      {"Bits1", quantize_with({"--bits", "1"}), kUsage, ": recipe: method inq: bits must be between 2 and 8 (found 1); e.g. bits = 5."},
      {"Bits99", quantize_with({"--bits", "99"}), kUsage, ": recipe: method inq: bits must be between 2 and 8 (found 99); e.g. bits = 5."},
      {"BitsNoNumber", quantize_with({"--bits", "five"}), kUsage, " quantize: cannot read --bits = five; run `bitwright quantize --help`."},
      {"PortionsNotIncreasing", quantize_with({"--portions", "0.5,0.5,1"}), kUsage,
       ": recipe: method inq: portions must increase and end in 1 (found [0.5, 0.5, 1]); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {"PortionsNotEndingIn1", quantize_with({"--portions", "0.5,0.75"}), kUsage,
       ": recipe: method inq: portions must increase and end in 1 (found [0.5, 0.75]); e.g. portions = [0.5, 0.75, 0.875, 1.0]."},
      {"UnknownDataSet", only({"quantize", "zoo:lenet5", "--data", "mmist", "--method", "inq", "--run", "run"}), kUsage,
       ": mmist: no data set has this name (need one of mnist, fashion-mnist, cifar10, cifar100, synthetic:CLASSES:TRAIN:TEST:SEED, "
       "folder:PATH@SIZE); "
       "did you mean `mnist`?"},
      {"EmptyDataSet", train_changed("synthetic:10:256:128:1", "synthetic:10:0:128:1"), kBadFile,
       ": synthetic:10:0:128:1: the train split is empty (found 0 images, need at least 1); ask for more images."},
      {"EmptyTestSplit", train_changed("synthetic:10:256:128:1", "synthetic:10:256:0:1"), kBadFile,
       ": synthetic:10:256:0:1: the test split is empty (found 0 images, need at least 1); ask for more images."},
      {"UnknownZooName", train_changed("zoo:gupta-mnist-cnn", "zoo:gupta"), kUsage,
       ": zoo network \"gupta\" is not known (nearest: lenet5); known networks are lenet5, mlp-1000, gupta-mnist-cnn, gupta-cifar-cnn, "
       "polino-teacher, polino-s1, polino-s2, polino-s3, resnet20, resnet32, resnet44, resnet56, wide-resnet-28-10, alexnet, vgg16, "
       "googlenet, resnet18, resnet34, resnet50, wide-resnet-50-2, mobilenet-v2, squeezenet1-0, squeezenet1-1."},
      {"ModelMissing", train_changed("zoo:gupta-mnist-cnn", "absent.bw"), kIo,
       ": absent.bw: cannot read the file (No such file or directory); check the path."},
      {"NanInWeights",
       [](const fs::path& folder) {
         Tensors tensors;
         for (const auto& [name, weight] : build_zoo_model("lenet5", 1).weights) tensors[name] = std::get<FloatTensor>(weight);
         tensors["fc1.weight"].values[123] = std::numeric_limits<float>::infinity();
         write_safetensors_unchecked(folder / "weights.safetensors", tensors);
         return Arguments{"quantize", "zoo:lenet5@weights.safetensors", "--data", "synthetic:10:64:32:1", "--method", "inq", "--run",
                          "run"};
       },
       kBadFile,
       ": weights.safetensors: tensor \"fc1.weight\" is not finite at index 123 (found inf, need a finite number); train again or repair "
       "the "
       "file."},
      {"DataSetOfOtherImages", only({"quantize", "zoo:resnet20", "--data", "synthetic:10:64:32:1", "--method", "inq", "--run", "run"}),
       kUsage,
       ": recipe: zoo:resnet20 does not fit the images of synthetic:10:64:32:1 (found [3, 32, 32], need [1, 28, 28]); choose another model "
       "or data set."},
      {"RecipeMissing", only({"train", "absent.toml"}), kIo,
       ": absent.toml: cannot read the file (No such file or directory); check the path."},
      {"RecipeNoToml", train_changed("[data]", "[data"), kUsage,
       ": recipe.toml line 3: not valid TOML (Error while parsing table header: expected ']', saw '\\n'); correct the line."},
      {"RecipeUnknownKey", train_changed("momentum", "momentun"), kUsage,
       ": recipe.toml line 10: unknown key \"train.momentun\" (nearest: train.momentum); rename or remove it."},
      {"RecipeUnknownMethodKey", train_changed("portions", "portion"), kUsage,
       ": recipe: method inq: unknown key \"portion\" (nearest: portions); rename or remove it."},
      {"RecipeWrongType", train_changed("lr = 0.02", "lr = \"fast\""), kUsage,
       ": recipe.toml line 8: train.lr has the wrong type (found a string, need a number); change it."},
      {"SettingNoKey", quantize_with({"--set", "train"}), kUsage,
       ": --set train: not a setting (need KEY=VALUE, e.g. train.lr=0.1); correct it."},
      {"EpochsZero", quantize_with({"--epochs", "0"}), kUsage,
       ": recipe: method inq: epochs_per_portion is out of range (found 0, need 1 to 1000000); change it."},
      {"OutputFolderMissing", quantize_with({"-o", "absent/out.bw"}), kIo,
       ": absent/out.bw: cannot write the file (No such file or directory); choose a folder that exists and that you may write to."},
      {"ReadOnlyOutputFolder",
       [](const fs::path& folder) {
         fs::create_directory(folder / "locked");
         fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
         Arguments arguments = kQuantize;
         arguments.back() = "locked/run";
         return arguments;
       },
       kIo,
       ": locked/run: cannot make the folder (Permission denied); choose a folder you may write to.",
       {.permissions = ProcessOptions::Permissions::obeyed}},
      {"DiskFullAtTheStart",
       train_changed("[model]", "[model]"),
       kIo,
       ": run/recipe.toml: cannot write the file (File too large); check the path and the disk.",
       {.largest_file_bytes = 256}},
      {"ModelArgumentMissing", only({"quantize", "--data", "mnist", "--method", "inq"}), kUsage,
       " quantize: MODEL is required; run `bitwright quantize --help`."},
  };
  return all;
}

class TrainBadInputTest : public ::testing::TestWithParam<BadInput> {};

TEST_P(TrainBadInputTest, IsRefusedInOneLineAndLeavesNothing) { expect_refusal(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Train, TrainBadInputTest, ::testing::ValuesIn(rows()), [](const auto& row) { return row.param.name; });

class TrainFailureTest : public TempFolderTest {
 protected:
  /// The last line on stderr: what came before is progress.
  static std::string last_line(const ProcessResult& result) {
    return result.err.size() < 2 ? result.err : result.err.substr(result.err.rfind('\n', result.err.size() - 2) + 1);
  }
};

TEST_F(TrainFailureTest, AFullDiskLeavesNoHalfWrittenFile) {
  // The recipe fits, a checkpoint of 37,610 float weights does not.
  const ProcessResult result = bitwright(small_training(folder(), "run"), {.largest_file_bytes = 65536});
  EXPECT_EQ(result.exit_code, kIo);
  EXPECT_THAT(last_line(result),
              ::testing::MatchesRegex("bitwright: .*/run/checkpoints/ckpt.[ab]: cannot write the file \\(File too large\\); "
                                      "check the path and the disk.\n"));
  for (const auto& [name, content] : folder_content(folder() / "run")) {
    EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
    EXPECT_EQ(name.find("ckpt"), std::string::npos) << name;
    EXPECT_NE(name, "model.bw");
  }
}

TEST_F(TrainFailureTest, ALossThatIsNotFiniteNamesStepLayerAndCheckpoint) {
  std::vector<std::string> arguments = small_training(folder(), "run");
  arguments.insert(arguments.end(), {"--set", "train.lr=1e6"});
  const ProcessResult result = bitwright(arguments);
  EXPECT_EQ(result.exit_code, kNumerical) << result.err;
  EXPECT_THAT(last_line(result),
              ::testing::MatchesRegex("bitwright: train: the loss is not finite at step [0-9]+ \\(found [-a-z0-9]+, first in the output of "
                                      "\"[a-z0-9]+\"\\); lower train.lr; the last good checkpoint is .*/run/checkpoints/ckpt.[ab].\n"));
  EXPECT_EQ(result.out, "");
  EXPECT_FALSE(fs::exists(folder() / "run/model.bw"));
}

TEST_F(TrainFailureTest, AFolderWithARunIsNotOverwritten) {
  std::vector<std::string> arguments = small_training(folder(), "run");
  arguments.insert(arguments.end(), {"--set", "train.epochs=1"});
  ASSERT_EQ(bitwright(arguments).exit_code, 0);
  const auto before = folder_content(folder());
  const ProcessResult again = bitwright(arguments);
  EXPECT_EQ(again.exit_code, kUsage);
  EXPECT_EQ(again.err, "bitwright: " + (folder() / "run").string() +
                           ": the folder holds a run already; continue it with `--resume`, or name another folder with `--run`.\n");
  arguments.back() = "train.epochs=2";
  const ProcessResult other = bitwright(arguments);
  EXPECT_EQ(other.exit_code, kUsage);
  EXPECT_EQ(other.err, "bitwright: " + (folder() / "run").string() +
                           ": the folder holds a run of another recipe; continue that one with `--resume`, or name another folder with "
                           "`--run`.\n");
  EXPECT_TRUE(folder_content(folder()) == before);
}

}  // namespace
}  // namespace bitwright::test
