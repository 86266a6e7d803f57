// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/file.h"
#include "bitwright/core/subprocess.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/session.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace bitwright {
namespace {

Model packed_lenet() {
  Model model = build_zoo_model("lenet5", 5);
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(NumberFormat::parse("pow2:5"), weight_shape(weight), weight_values(weight));
  }
  return model;
}

std::string pgm(const std::vector<std::uint8_t>& pixels) { return "P5\n28 28\n255\n" + std::string(pixels.begin(), pixels.end()); }

TEST(ClassifyExample, PrintsTheClassThatTheSessionFinds) {
  const test::TempFolder folder;
  const Model model = packed_lenet();
  save_packed(folder / "net.bw", model);
  Session session(model);
  std::set<std::string> classes;
  for (std::uint64_t image = 0; image < 8; ++image) {
    std::vector<std::uint8_t> pixels(784);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = (i / 28 + image * 5) % 28 < 14 && (i % 28 + image * 11) % 28 < 9 ? 255 : static_cast<std::uint8_t>(17 * image);
    }
    write_file_atomic(folder / "image.pgm", pgm(pixels));
    std::vector<float> input(784);
    std::vector<float> scores(10);
    transform_image(model.input_transform, pixels, Shape{1, 28, 28}, input);
    session.run(input, scores);
    const std::string best = model.class_names[static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin())];
    const SubprocessResult result = run_subprocess({BITWRIGHT_CLASSIFY, folder / "net.bw", folder / "image.pgm"}, folder.path());
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_EQ(result.output, best + "\n");
    classes.insert(best);
  }
  EXPECT_GT(classes.size(), 1U);  // otherwise a constant would pass
}

TEST(ClassifyExample, FailsWithOneLine) {
  const test::TempFolder folder;
  const SubprocessResult nothing = run_subprocess({BITWRIGHT_CLASSIFY}, folder.path());
  EXPECT_EQ(nothing.exit_status, 2);
  EXPECT_EQ(nothing.output, "usage: classify NET.bw IMAGE\n");
  const SubprocessResult missing = run_subprocess({BITWRIGHT_CLASSIFY, "missing.bw", "image.pgm"}, folder.path());
  EXPECT_EQ(missing.exit_status, 4);
  EXPECT_THAT(missing.output, ::testing::StartsWith("missing.bw: "));
}

TEST(ClassifyExample, NeedsAtMostTenLines) {
  const std::string text = read_text_file(std::string(BITWRIGHT_SOURCE_DIR) + "/examples/classify.cpp");
  const std::size_t begin = text.find("image_file) {\n");
  const std::size_t end = text.find("\n}\n", begin);
  ASSERT_NE(end, std::string::npos);
  EXPECT_LE(std::count(text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(end), '\n'), 10);
}

}  // namespace
}  // namespace bitwright
