// SPDX-License-Identifier: Apache-2.0
// The program behind ./demo, on images made in memory: every step, the table and the facts it leaves.
#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace bitwright::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const std::string kData = "synthetic:10:256:128:1";

void write_recipes(const fs::path& folder) {
  fs::create_directories(folder);
  const auto common = fmt::format("[data]\nname = \"{}\"\n[train]\nepochs = 2\nbatch = 32\nlr = 0.01\n", kData);
  std::ofstream(folder / "mnist-lenet5-float.toml") << "[model]\nfrom = \"zoo:lenet5\"\n" << common;
  for (const int bits : {5, 4, 3, 2}) {
    std::ofstream(folder / fmt::format("mnist-lenet5-inq-{}bit.toml", bits))
        << "[model]\nfrom = \"float.bw\"\n"
        << common << fmt::format("[[method]]\nname = \"inq\"\nbits = {}\nportions = [0.5, 1.0]\n", bits);
  }
}

ProcessResult run_demo(const fs::path& folder) {
  Process demo({BITWRIGHT_BINARY_DIR "/bin/bitwright-demo", "--recipes", "recipes", "--data", kData, "--bench-runs", "20"},
               {.working_folder = folder});
  return demo.finish();
}

TEST(Demo, LeavesEveryFactOfTheTable) {
  const TempFolder folder;
  write_recipes(folder.path() / "recipes");
  const ProcessResult result = run_demo(folder.path());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("smaller / faster / same answers"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("$ bitwright train recipes/mnist-lenet5-float.toml"), std::string::npos) << result.err;

  const json summary = json::parse(read_bytes(folder.path() / "runs/demo/summary.json"));
  const json& original = summary.at("float");
  for (const char* key : {"accuracy", "file_bytes", "latency_ms", "model"}) EXPECT_TRUE(original.contains(key)) << key;
  ASSERT_EQ(summary.at("quantized").size(), 4U);
  std::int64_t larger = original.at("file_bytes").get<std::int64_t>();
  int bits = 5;
  for (const json& row : summary.at("quantized")) {
    EXPECT_EQ(row.at("format").get<std::string>(), fmt::format("pow2:{}", bits));
    EXPECT_EQ(row.at("accuracy_training"), row.at("accuracy_runtime")) << row;
    EXPECT_GT(row.at("latency_ms").get<double>(), 0.0);
    // Two parameters of a byte each on four tensors, and each tensor's codes rounded up to a byte.
    EXPECT_LE(row.at("bits_per_weight").get<double>(), bits + 4 * (16 + 7) / 430500.0);
    const fs::path model = folder.path() / row.at("model").get<std::string>();
    EXPECT_EQ(row.at("file_bytes").get<std::int64_t>(), static_cast<std::int64_t>(fs::file_size(model)));
    EXPECT_LT(row.at("file_bytes").get<std::int64_t>(), larger);
    larger = row.at("file_bytes").get<std::int64_t>();
    --bits;
  }
}

TEST(Demo, StopsWithTheFailingCommandWhenAStepFails) {
  const TempFolder folder;
  write_recipes(folder.path() / "recipes");
  std::ofstream(folder.path() / "recipes/mnist-lenet5-inq-5bit.toml") << "[model]\nfrom = \"zoo:lenet6\"\n";
  const ProcessResult result = run_demo(folder.path());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("bitwright-demo: demo: a command did not succeed (found exit code 2, need 0): bitwright train "
                            "recipes/mnist-lenet5-inq-5bit.toml"),
            std::string::npos)
      << result.err;
  EXPECT_FALSE(fs::exists(folder.path() / "runs/demo/summary.json"));
}

}  // namespace
}  // namespace bitwright::test
