// SPDX-License-Identifier: Apache-2.0
// Networks of the known families that bitwright did not make (make_networks.py writes them with Debian's python3-onnx), imported and
// compared with ONNX Runtime on two images: both lie within the derived bound (R1 to R9 of docs/runtime.md) of the exact answer.
#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/onnx/import.h"
#include "bitwright/runtime/reference.h"
#include "bitwright/runtime/session.h"
#include "tests/interop/onnx_runtime.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kImages = 2;

/// What make_networks.py writes, in its order.
const std::vector<std::string> kNetworks = {"alexnet_opset7",       "vgg_opset9",           "googlenet_opset11",    "inception_v3_opset13",
                                            "resnet_opset11",       "wide_resnet_opset14",  "densenet_opset9",      "squeezenet_opset10",
                                            "mobilenet_v1_opset12", "mobilenet_v2_opset10", "mobilenet_v2_opset16", "mobilenet_v3_opset11",
                                            "mobilenet_v3_opset14", "shufflenet_opset11",   "shufflenet_opset13",   "efficientnet_opset13",
                                            "encoder_opset14",      "encoder_opset17"};

class Families : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    // Debian's interpreter by its path: another one in front of it on PATH does not have Debian's modules.
    const std::string script = (fs::path(BITWRIGHT_SOURCE_DIR) / "tests/interop/make_networks.py").string();
    folder_.emplace();
    made_ =
        std::system(("/usr/bin/python3 '" + script + "' '" + folder_->path().string() + "' 2>'" + (folder_->path() / "log").string() + "'")
                        .c_str()) == 0;
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import onnx' 2>/dev/null") != 0) GTEST_SKIP() << "python3-onnx is not here; ./test installs it";
    ASSERT_TRUE(made_) << "make_networks.py failed";
  }
  [[nodiscard]] static fs::path file() { return folder_->path() / (GetParam() + ".onnx"); }
  [[nodiscard]] static const fs::path& folder() { return folder_->path(); }

 private:
  static inline std::optional<test::TempFolder> folder_;
  static inline bool made_ = false;
};

TEST_P(Families, AgreesWithOnnxRuntime) {
  const Model model = import_onnx(file()).model;
  // What is imported can be packed, and comes back the same.
  EXPECT_EQ(unpack_model(pack_model(model), "again"), model);

  Session session(model, {.threads = 1, .batch = kImages});
  const Rng rng(1, "families");
  std::vector<float> input(static_cast<std::size_t>(kImages * session.input_shape().element_count()));
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(rng.normal(i));
  std::vector<float> ours(static_cast<std::size_t>(kImages * session.output_shape().element_count()));
  session.run(input, ours);
  std::vector<double> bound;
  const std::vector<double> exact = run_reference(model, input, kImages, &bound);
  const auto within = [&](const std::vector<float>& values, std::size_t i) {
    return !std::isfinite(bound[i]) || std::abs(values[i] - exact[i]) <= bound[i];
  };
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_TRUE(within(ours, i)) << "output " << i << ": " << ours[i] << ", " << exact[i];

  if (!test::has_onnx_runtime()) GTEST_SKIP() << "onnxruntime-node is not here; ./test installs it";
  const std::vector<float> theirs = test::run_onnx_runtime(file(), folder(), session.input_shape(), input);
  ASSERT_EQ(theirs.size(), exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_TRUE(within(theirs, i)) << "output " << i << ": " << theirs[i] << ", " << exact[i];
  // The bound grows with depth; the answers must also be the same to a reader. Random networks spread their outputs over some standard
  // deviations.
  const auto [low, high] = std::ranges::minmax(exact);
  double difference = 0.0;
  for (std::size_t i = 0; i < exact.size(); ++i) difference = std::max(difference, std::abs(static_cast<double>(theirs[i]) - ours[i]));
  EXPECT_LT(difference, 1e-5 * (high - low));
  RecordProperty("difference_over_range", std::to_string(difference / (high - low)));
}

INSTANTIATE_TEST_SUITE_P(Networks, Families, testing::ValuesIn(kNetworks), [](const auto& row) { return row.param; });

}  // namespace
}  // namespace bitwright
