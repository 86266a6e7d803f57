// SPDX-License-Identifier: Apache-2.0
// What the verbs print when all is well.
#include "bitwright/data/dataset.h"
#include "bitwright/model/model_source.h"
#include "bitwright/model/packed_file.h"
#include "tests/e2e/support/model_files.h"
#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class CliTest : public TempFolderTest {
 protected:
  void SetUp() override { write_bytes(net(), small_packed_file()); }
  [[nodiscard]] std::string net() const { return (folder() / "net.bw").string(); }

  /// Runs a command that must succeed and returns its JSON.
  static json run_json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const ProcessResult result = bitwright(std::move(arguments));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    json document = json::parse(result.out, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << result.out;
    return document;
  }
};

TEST_F(CliTest, VersionIsOneLine) {
  const ProcessResult result = bitwright({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "bitwright " BITWRIGHT_VERSION "\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(CliTest, ResultsThatCannotBeWrittenAreAnIoFailure) {
  for (const char* verb : {"inspect", "verify"}) {
    const ProcessResult result = bitwright({verb, net()}, {.stdout_path = "/dev/full"});
    EXPECT_EQ(result.exit_code, 4);
    EXPECT_EQ(result.err,
              "bitwright: standard output: cannot write the result (No space left on device); free some space or write elsewhere.\n");
  }
}

TEST_F(CliTest, TrainingVerbsSayWhenTheTrainingProgramIsMissing) {
  const fs::path alone = folder() / "bitwright";
  fs::copy_file(bitwright_path(), alone);
  for (const char* verb : {"train", "quantize"}) {
    const ProcessResult result = run_process({alone.string(), verb, "x"});
    EXPECT_EQ(result.exit_code, 4);
    EXPECT_EQ(result.err, "bitwright: " + std::string(verb) + ": the training program is missing (found no file " + alone.string() +
                              "-train, need `bitwright-train` beside `bitwright`); build with -DBITWRIGHT_TRAIN=ON or copy it there.\n");
  }
}

TEST_F(CliTest, EvalCountsWhatItPredicts) {
  const std::string data = "synthetic:10:50:137:3";
  const std::string predictions = (folder() / "predictions.txt").string();
  const json document = run_json({"eval", net(), "--data", data, "--batch", "25", "--threads", "2", "--predictions", predictions});
  // Counted here once more, from the data set's labels and the written predictions.
  const auto dataset = open_dataset(data, Split::test);
  std::vector<std::uint8_t> pixels(28 * 28);
  std::istringstream lines(read_bytes(predictions));
  std::int64_t correct = 0;
  std::int64_t images = 0;
  for (int prediction = 0; lines >> prediction; ++images) correct += dataset->read(images, pixels) == prediction ? 1 : 0;
  EXPECT_EQ(images, 137);
  EXPECT_EQ(document.at("images"), images);
  EXPECT_EQ(document.at("correct"), correct);
  EXPECT_DOUBLE_EQ(document.at("accuracy").get<double>(), 100.0 * static_cast<double>(correct) / 137.0);
  EXPECT_GT(document.at("seconds").get<double>(), 0.0);
  EXPECT_EQ(document.at("model"), net());
  EXPECT_EQ(document.at("data"), data);
  EXPECT_EQ(document.at("split"), "test");
}

TEST_F(CliTest, EvalReadsTheSplitThatWasNamed) {
  EXPECT_EQ(run_json({"eval", net(), "--data", "synthetic:10:30:20:1", "--split", "train"}).at("images"), 30);
}

TEST_F(CliTest, RunShowsTheMostProbableClasses) {
  std::string picture = "P5\n28 28\n255\n";
  for (int i = 0; i < 28 * 28; ++i) picture += static_cast<char>(i % 251);
  write_bytes(folder() / "a.pgm", picture);
  std::reverse(picture.begin() + 13, picture.end());
  write_bytes(folder() / "b.pgm", picture);
  const std::string a = (folder() / "a.pgm").string();
  const std::string b = (folder() / "b.pgm").string();
  const json all = run_json({"run", net(), a, b, "--top", "10"}).at("images");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].at("image"), a);
  EXPECT_EQ(all[1].at("image"), b);
  for (const json& image : all) {
    ASSERT_EQ(image.at("top").size(), 10U);
    double sum = 0.0;
    double before = 1.0;
    for (const json& one : image.at("top")) {
      const double probability = one.at("probability").get<double>();
      EXPECT_LE(probability, before);
      EXPECT_EQ(one.at("name"), std::to_string(one.at("class").get<int>()));
      before = probability;
      sum += probability;
    }
    // Ten quotients and nine sums in double, each off by at most 2^-53 of a value that is at most 1.
    EXPECT_NEAR(sum, 1.0, 20.0 * std::ldexp(1.0, -53));
  }
  EXPECT_NE(all[0].at("top"), all[1].at("top"));
  const json five = run_json({"run", net(), a}).at("images")[0].at("top");
  ASSERT_EQ(five.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(five[i], all[0].at("top")[i]);
}

TEST_F(CliTest, InspectCountsEveryByte) {
  const json document = run_json({"inspect", net()});
  std::int64_t bytes = document.at("overhead_bytes").get<std::int64_t>();
  std::int64_t quantized = 0;
  std::int64_t quantized_bytes = 0;
  double entropy_bits = 0.0;
  for (const json& weight : document.at("weights")) {
    const auto elements = weight.at("elements").get<std::int64_t>();
    const auto code_bytes = weight.at("code_bytes").get<std::int64_t>();
    const auto parameter_bytes = weight.at("parameter_bytes").get<std::int64_t>();
    bytes += code_bytes + parameter_bytes;
    if (weight.at("format") == "float32") {
      EXPECT_EQ(code_bytes, 4 * elements);
      continue;
    }
    EXPECT_EQ(weight.at("format"), "pow2:5");
    EXPECT_EQ(code_bytes, (5 * elements + 7) / 8);
    const double entropy = weight.at("entropy_bits_per_code").get<double>();
    EXPECT_LE(entropy, std::log2(17.0));
    // Shannon: no prefix code is shorter than the entropy; Huffman's is less than one bit a code longer, plus its table of 17 * 5 bits.
    const auto huffman = weight.at("huffman_bits").get<double>();
    EXPECT_GE(huffman, entropy * static_cast<double>(elements));
    EXPECT_LE(huffman, (entropy + 1.0) * static_cast<double>(elements) + 17.0 * 5.0);
    entropy_bits += entropy * static_cast<double>(elements);
    quantized += elements;
    quantized_bytes += code_bytes + parameter_bytes;
  }
  EXPECT_EQ(quantized, 4 * 25 + 10 * 576);
  EXPECT_EQ(document.at("quantized_weights"), quantized);
  EXPECT_EQ(document.at("parameters"), quantized + 14);
  EXPECT_EQ(bytes, document.at("file_bytes").get<std::int64_t>());
  EXPECT_EQ(document.at("file_bytes").get<std::uintmax_t>(), fs::file_size(net()));
  EXPECT_GE(document.at("overhead_bytes").get<std::int64_t>(), 132);  // the header alone
  EXPECT_DOUBLE_EQ(document.at("bits_per_weight").get<double>(),
                   8.0 * static_cast<double>(quantized_bytes) / static_cast<double>(quantized));
  EXPECT_NEAR(document.at("entropy_bits_per_weight").get<double>(), entropy_bits / static_cast<double>(quantized), 1e-9);
  EXPECT_GT(document.at("arena_bytes").get<std::int64_t>(), 0);
  EXPECT_EQ(document.at("layers").size(), 5U);
}

TEST_F(CliTest, InspectOfAFloatNetworkSays32Bits) {
  const json document = run_json({"inspect", "zoo:lenet5"});
  EXPECT_EQ(document.at("parameters"), 431080);
  EXPECT_EQ(document.at("bits_per_weight"), 32.0);
  EXPECT_EQ(document.at("quantized_weights"), 0);
  EXPECT_EQ(document.at("file_bytes").get<std::size_t>(), pack_model(open_model("zoo:lenet5")).size());
}

TEST_F(CliTest, VerifySaysOk) {
  const json document = run_json({"verify", net()});
  EXPECT_EQ(document.at("ok"), true);
  EXPECT_EQ(document.at("quantized_weights"), 4 * 25 + 10 * 576);
  EXPECT_EQ(document.at("weights"), 4);
}

TEST_F(CliTest, ExportedWeightsGiveTheSamePredictions) {
  // The float copy must be packed again from a graph; zoo networks have one by name.
  const std::string weights = (folder() / "lenet5.safetensors").string();
  ASSERT_EQ(bitwright({"export", "zoo:lenet5", "-o", weights}).exit_code, 0);
  const std::string first = (folder() / "first.txt").string();
  const std::string second = (folder() / "second.txt").string();
  run_json({"eval", "zoo:lenet5", "--data", "synthetic:10:10:64:1", "--predictions", first});
  run_json({"eval", "zoo:lenet5@" + weights, "--data", "synthetic:10:10:64:1", "--predictions", second});
  EXPECT_EQ(read_bytes(first), read_bytes(second));
  const std::string packed = (folder() / "lenet5.bw").string();
  ASSERT_EQ(bitwright({"export", "zoo:lenet5@" + weights, "-o", packed}).exit_code, 0);
  EXPECT_EQ(load_packed(packed), open_model("zoo:lenet5"));
}

TEST_F(CliTest, BenchMeasuresBothModelsInTurn) {
  const json document = run_json({"bench", net(), "--against", "zoo:lenet5", "--batch", "2", "--threads", "2", "--runs", "31"});
  for (const json& one : {document, document.at("against")}) {
    EXPECT_GT(one.at("min_ms").get<double>(), 0.0);
    EXPECT_LE(one.at("min_ms"), one.at("median_ms"));
    EXPECT_LE(one.at("median_ms"), one.at("max_ms"));
    EXPECT_DOUBLE_EQ(one.at("images_per_second").get<double>(), 2000.0 / one.at("median_ms").get<double>());
    EXPECT_FALSE(one.at("kernels").empty());
    for (const json& kernel : one.at("kernels")) EXPECT_NE(kernel.at("kernel"), "");
  }
  EXPECT_EQ(document.at("model"), net());
  EXPECT_EQ(document.at("against").at("model"), "zoo:lenet5");
  EXPECT_DOUBLE_EQ(document.at("ratio").get<double>(),
                   document.at("against").at("median_ms").get<double>() / document.at("median_ms").get<double>());
  EXPECT_EQ(document.at("runs"), 31);
  EXPECT_EQ(document.at("batch"), 2);
  EXPECT_EQ(document.at("threads"), 2);
  EXPECT_EQ(document.at("activations"), "float32");
  EXPECT_NE(document.at("cpu"), "");
}

TEST_F(CliTest, CalibratesAndRunsInEightBits) {
  const std::string out = (folder() / "calibrated.bw").string();
  const json document = run_json({"calibrate", net(), "--data", "synthetic:10:64:32:1", "--images", "40", "--rule", "minmax", "-o", out});
  EXPECT_EQ(document.at("model"), out);
  EXPECT_EQ(document.at("images"), 40);
  ASSERT_TRUE(document.at("scales").contains("image"));
  EXPECT_GT(document.at("scales").at("image").get<double>(), 0.0);
  EXPECT_EQ(run_json({"inspect", out}).at("scales"), document.at("scales"));
  EXPECT_TRUE(run_json({"inspect", net()}).at("scales").empty());
  for (const std::string type : {"float32", "bfloat16", "int8"}) {
    const json bench = run_json({"bench", out, "--batch", "16", "--runs", "3", "--activations", type});
    EXPECT_EQ(bench.at("activations"), type);
    const json eval = run_json({"eval", out, "--data", "synthetic:10:64:32:1", "--activations", type});
    EXPECT_EQ(eval.at("activations"), type);
    EXPECT_EQ(eval.at("images"), 32);
    EXPECT_GT(run_json({"inspect", out, "--activations", type}).at("arena_bytes").get<std::int64_t>(), 0);
  }
  const json pair = run_json({"bench", out, "--batch", "2", "--runs", "3", "--activations", "int8", "--against-activations", "float32"});
  EXPECT_EQ(pair.at("against").at("model"), out);
  EXPECT_EQ(pair.at("against").at("activations"), "float32");
}

TEST_F(CliTest, WithoutTheInstructionsTheBestOtherTypeRunsAndSaysSo) {
  const std::string out = (folder() / "calibrated.bw").string();
  ASSERT_EQ(bitwright({"calibrate", net(), "--data", "synthetic:10:64:32:1", "--images", "8", "-o", out}).exit_code, 0);
  const ProcessOptions options = {.environment = {{"BITWRIGHT_ISA", "scalar"}}};
  const ProcessResult result = bitwright({"bench", out, "--runs", "3", "--activations", "int8", "--why"}, options);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("not int8: this processor lacks AVX-512 VNNI"));
  EXPECT_THAT(result.out, ::testing::Not(HasSubstr("  int8 ")));
}

TEST_F(CliTest, BenchSaysWhyFasterKernelsRefused) {
  const ProcessResult plain = bitwright({"bench", net(), "--batch", "64", "--runs", "3"});
  const ProcessResult why = bitwright({"bench", net(), "--batch", "64", "--runs", "3", "--why"});
  ASSERT_EQ(why.exit_code, 0) << why.err;
  EXPECT_THAT(plain.out, ::testing::Not(HasSubstr("batch is 64")));
  EXPECT_THAT(why.out, HasSubstr("batch is 64"));
}

TEST_F(CliTest, DataListNamesEveryDataSet) {
  const json document = run_json({"data", "list"});
  ASSERT_EQ(document.size(), dataset_registry().size());
  for (std::size_t i = 0; i < document.size(); ++i) EXPECT_EQ(document[i].at("name"), std::string(dataset_registry()[i].name));
}

TEST_F(CliTest, DataCheckSaysNoWithExitCode1) {
  write_idx(folder() / "data/mnist/t10k-labels-idx1-ubyte", {0x00000801, {10000}, 9999});
  const ProcessOptions options = {
      .environment = {{"BITWRIGHT_DATA", (folder() / "data").string()}, {"BITWRIGHT_SHARED_DATA", (folder() / "shared").string()}}};
  const ProcessResult result = bitwright({"data", "check", "mnist", "--json"}, options);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "bitwright: data set \"mnist\": 4 of its 4 files are not ok; run `bitwright data get mnist`.\n");
  const json document = json::parse(result.out);
  EXPECT_EQ(document.at("ok"), false);
  EXPECT_EQ(document.at("files").size(), 4U);
}

/// A gray picture of 40x32 pixels.
std::string gray_picture(char brightness) { return "P5 40 32 255\n" + std::string(std::size_t{40} * 32, brightness); }

TEST_F(CliTest, AFolderOfImagesIsADataSet) {
  for (const char* split : {"train", "test"}) {
    for (const char* label : {"cat", "dog"}) {
      const fs::path place = folder() / "photos" / split / label;
      fs::create_directories(place);
      write_bytes(place / "1.pgm", gray_picture(label[0] == 'c' ? '0' : 'z'));
    }
  }
  const std::string photos = "folder:" + (folder() / "photos").string() + "@28x1";
  const json checked = run_json({"data", "check", photos});
  EXPECT_EQ(checked.at("ok"), true);
  EXPECT_EQ(checked.at("files").size(), 4U);
  EXPECT_EQ(run_json({"eval", net(), "--data", photos}).at("images"), 2);
  write_bytes(folder() / "photos/test/dog/2.png", "\x89PNG and no more");
  const ProcessResult result = bitwright({"data", "check", photos});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("test/dog/2.png"));
  EXPECT_THAT(result.err, HasSubstr("1 of its 5 files are not ok; get them again or remove them."));
}

}  // namespace
}  // namespace bitwright::test
