// SPDX-License-Identifier: Apache-2.0
// The main job from end to end on images made in memory: train, quantize, pack, evaluate, verify, export, compare.
#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kData = "synthetic:10:384:128:1";
constexpr std::int64_t kLenetQuantizable = 500 + 25000 + 400000 + 5000;

class TrainLineTest : public TempFolderTest {
 protected:
  [[nodiscard]] json run_json(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    const ProcessResult result = bitwright(arguments, {.working_folder = folder()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    json document = json::parse(result.out, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << arguments.front() << " printed " << result.out;
    return document;
  }
  [[nodiscard]] std::string predictions(const std::string& model) const {
    const json ignored = run_json({"eval", model, "--data", kData, "--predictions", "predictions.txt"});
    return read_bytes(folder() / "predictions.txt");
  }
  void train_float() const {
    write_bytes(folder() / "float.toml", "[model]\nfrom = \"zoo:lenet5\"\n[data]\nname = \"" + std::string(kData) +
                                             "\"\n[train]\nepochs = 1\nbatch = 32\nlr = 0.01\n");
    const json result = run_json({"train", "float.toml", "--run", "float"});
    // Ten classes: guessing gives 10 %, and a network that has learned nothing would make every check below empty.
    EXPECT_GT(result.at("accuracy").get<double>(), 50.0);
  }
};

TEST_F(TrainLineTest, QuantizeStoresScalesForEightBits) {
  const json result = run_json({"quantize", "zoo:lenet5", "--data", kData, "--method", "ptq", "--bits", "4", "--activations", "int8",
                                "--calibration", "minmax", "--run", "first", "-o", "net8.bw"});
  EXPECT_EQ(result.at("model"), "net8.bw");
  EXPECT_EQ(result.at("file_bytes"), static_cast<std::int64_t>(fs::file_size(folder() / "net8.bw")));
  EXPECT_TRUE(run_json({"inspect", "net8.bw"}).at("scales").contains("input"));
  EXPECT_TRUE(run_json({"inspect", "first/model.bw"}).at("scales").empty());
  EXPECT_EQ(run_json({"eval", "net8.bw", "--data", kData, "--activations", "int8"}).at("images"), 128);
  // Training changes the values that were measured, so it starts without their scales.
  const json again = run_json({"quantize", "net8.bw", "--data", kData, "--method", "ptq", "--bits", "4", "--run", "second"});
  EXPECT_TRUE(run_json({"inspect", "second/model.bw"}).at("scales").empty());
  const json beside =
      run_json({"quantize", "net8.bw", "--data", kData, "--method", "ptq", "--bits", "4", "--activations", "int8", "--run", "third"});
  EXPECT_EQ(beside.at("model"), "third/model.int8.bw");
}

TEST_F(TrainLineTest, FewerBitsMakeSmallerFilesWithTheSameAnswers) {
  train_float();
  auto size_before = static_cast<std::int64_t>(fs::file_size(folder() / "float/model.bw"));
  for (const int bits : {5, 4, 3, 2}) {
    SCOPED_TRACE(std::to_string(bits) + " bits");
    const std::string run = "inq-" + std::to_string(bits);
    const std::string model = run + ".bw";
    const json trained = run_json({"quantize", "float/model.bw", "--data", kData, "--method", "inq", "--bits", std::to_string(bits),
                                   "--portions", "0.5,0.75,1", "--epochs", "1", "--batch", "64", "--run", run, "-o", model});
    // What you train is what you run.
    const json evaluated = run_json({"eval", model, "--data", kData});
    EXPECT_EQ(evaluated.at("correct"), trained.at("correct"));
    EXPECT_EQ(evaluated.at("images"), trained.at("images"));
    EXPECT_EQ(evaluated.at("accuracy"), trained.at("accuracy"));
    EXPECT_EQ(read_bytes(folder() / model), read_bytes(folder() / run / "model.bw"));

    const auto size = static_cast<std::int64_t>(fs::file_size(folder() / model));
    EXPECT_EQ(trained.at("file_bytes"), size);
    EXPECT_LT(size, size_before);
    size_before = size;

    EXPECT_EQ(run_json({"verify", model}).at("quantized_weights"), kLenetQuantizable);
    const json inspected = run_json({"inspect", model});
    std::int64_t sum = inspected.at("overhead_bytes").get<std::int64_t>();
    for (const json& weight : inspected.at("weights")) {
      const auto elements = weight.at("elements").get<std::int64_t>();
      sum += weight.at("code_bytes").get<std::int64_t>() + weight.at("parameter_bytes").get<std::int64_t>();
      if (weight.at("shape").size() > 1) {
        EXPECT_EQ(weight.at("format"), "pow2:" + std::to_string(bits)) << weight.at("name");
        EXPECT_EQ(weight.at("code_bytes"), (bits * elements + 7) / 8) << weight.at("name");
      }
    }
    EXPECT_EQ(sum, size);
    EXPECT_EQ(inspected.at("file_bytes"), size);
    EXPECT_EQ(inspected.at("quantized_weights"), kLenetQuantizable);
    EXPECT_DOUBLE_EQ(inspected.at("bits_per_weight").get<double>(), trained.at("bits_per_weight").get<double>());

    // The dequantized weights in the float network give the same classes.
    ASSERT_EQ(bitwright({"export", model, "-o", "weights.safetensors"}, {.working_folder = folder()}).exit_code, 0);
    EXPECT_EQ(predictions("zoo:lenet5@weights.safetensors"), predictions(model));
  }
  const json table = run_json({"compare", "float", "inq-5", "inq-2"});
  ASSERT_EQ(table.size(), 3U);
  EXPECT_EQ(table[1].at("run"), "inq-5");
  const ProcessResult text = bitwright({"compare", "float", "inq-5", "inq-2"}, {.working_folder = folder()});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const char* run : {"float", "inq-5", "inq-2", "accuracy"}) EXPECT_THAT(text.out, HasSubstr(run));
}

TEST_F(TrainLineTest, QuantizeFillsInThePaperSPortions) {
  const std::map<int, std::string> portions = {{8, "[0.5, 0.75, 0.875, 1.0]"},
                                               {5, "[0.5, 0.75, 0.875, 1.0]"},
                                               {4, "[0.3, 0.5, 0.8, 0.9, 0.95, 1.0]"},
                                               {3, "[0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0]"},
                                               {2, "[0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0]"}};
  for (const auto& [bits, list] : portions) {
    const std::string run = "bits-" + std::to_string(bits);
    const json ignored = run_json({"quantize", "zoo:gupta-mnist-cnn", "--data", "synthetic:10:16:8:1", "--method", "inq", "--bits",
                                   std::to_string(bits), "--run", run});
    const std::string recipe = read_bytes(folder() / run / "recipe.toml");
    EXPECT_THAT(recipe, HasSubstr("portions = " + list + "\n"));
    EXPECT_THAT(recipe, HasSubstr(bits <= 3 ? "exponents = \"search\"\n" : "exponents = \"max\"\n"));
  }
}

TEST_F(TrainLineTest, QuantizeFillsInWhatEachMethodNeeds) {
  const json result =
      run_json({"quantize", "zoo:gupta-mnist-cnn", "--data", "synthetic:10:16:8:1", "--method", "dq", "--bits", "3", "--run", "dq"});
  const std::string recipe = read_bytes(folder() / "dq/recipe.toml");
  EXPECT_THAT(recipe, HasSubstr("bits = 3\n"));
  EXPECT_THAT(recipe, HasSubstr("epochs = 2\n"));
  EXPECT_THAT(recipe, HasSubstr("schedule = \"cosine\"\n"));
  EXPECT_THAT(recipe, Not(HasSubstr("portions")));
  // 3 bits a code, 64 bits a bucket of 256; the last buckets and the points of small tensors cost a little more.
  EXPECT_GE(result["bits_per_weight"], 3.25);
  EXPECT_LE(result["bits_per_weight"], 3.5);
  const ProcessResult refused = bitwright(
      {"quantize", "zoo:gupta-mnist-cnn", "--data", "synthetic:10:16:8:1", "--method", "dq", "--portions", "0.5,1", "--run", "no"},
      {.working_folder = folder()});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("method dq: unknown key \"portions\""));
}

TEST_F(TrainLineTest, ProgressAndResultGoToTheirOwnStreams) {
  write_bytes(folder() / "short.toml", "[model]\nfrom = \"zoo:gupta-mnist-cnn\"\n[data]\nname = \"synthetic:10:64:32:1\"\n");
  const ProcessResult result =
      bitwright({"train", "short.toml", "--set", "train.batch=16", "--set", "train.epochs=2"}, {.working_folder = folder()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, ::testing::MatchesRegex("accuracy [0-9.]+ % \\([0-9]+ of 32\\), [0-9]+ bytes, 32.0000 bits per weight: "
                                                  "runs/short/model.bw\n"));
  EXPECT_THAT(result.err, HasSubstr("steps"));
  EXPECT_THAT(result.err, HasSubstr("loss"));
  EXPECT_THAT(read_bytes(folder() / "runs/short/recipe.toml"), HasSubstr("batch = 16"));
}

}  // namespace
}  // namespace bitwright::test
