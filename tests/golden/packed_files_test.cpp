// SPDX-License-Identifier: Apache-2.0
// Files that earlier versions wrote, and what they must still mean. A file here is never changed: BITWRIGHT_UPDATE_GOLDEN=1 writes only
// those that are missing.
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/model/packed_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/small_models.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace bitwright {
namespace {

struct Golden {
  std::string name;
  Model model;
};

std::vector<Golden> goldens() {
  std::vector<Golden> all;
  for (const test::TinyCase& tiny : test::tiny_cases()) all.push_back({tiny.name, test::tiny_model(tiny.weight)});
  all.push_back({"every-operator", test::every_operator_model()});
  all.push_back({"newer-operators", test::every_newer_operator_model()});
  return all;
}

class GoldenFile : public ::testing::TestWithParam<Golden> {
 protected:
  [[nodiscard]] static std::filesystem::path path() {
    return std::filesystem::path(BITWRIGHT_SOURCE_DIR) / "tests/golden/files" / (GetParam().name + ".bw");
  }

  void SetUp() override {
    if (std::getenv("BITWRIGHT_UPDATE_GOLDEN") != nullptr && !std::filesystem::exists(path())) save_packed(path(), GetParam().model);
  }
};

TEST_P(GoldenFile, StillMeansTheSameModel) { EXPECT_EQ(load_packed(path()), GetParam().model); }

TEST_P(GoldenFile, IsStillWhatTheWriterWrites) { EXPECT_EQ(pack_model(GetParam().model), read_file(path())); }

TEST_P(GoldenFile, EveryTruncationIsCorrupt) {
  const std::vector<std::byte> file = read_file(path());
  for (std::size_t length = 0; length < file.size(); ++length) {
    const auto error = test::error_of([&] { (void)unpack_model(std::span(file).first(length), "cut.bw"); });
    ASSERT_TRUE(error) << length;
    ASSERT_EQ(error->code(), ErrorCode::corrupt_file) << length << ": " << error->message();
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenFile, ::testing::ValuesIn(goldens()), [](const auto& instance) {
  std::string name = instance.param.name;
  std::erase(name, '-');
  return name;
});

// The values of the tiny models, by hand in small_models.h, so that decoding is held to numbers and not only to itself.
TEST(GoldenValues, AreTheOnesWrittenByHand) {
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    const Model model = load_packed(std::filesystem::path(BITWRIGHT_SOURCE_DIR) / "tests/golden/files" / (tiny.name + ".bw"));
    EXPECT_EQ(weight_values(model.weights.at("fc.weight")), tiny.values) << tiny.name;
    EXPECT_EQ(weight_values(model.weights.at("fc.bias")), (std::vector<float>{0.5F, -1.0F})) << tiny.name;
  }
}

}  // namespace
}  // namespace bitwright
