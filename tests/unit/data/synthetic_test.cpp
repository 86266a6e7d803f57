// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/synthetic.h"

#include "bitwright/core/checksum.h"
#include "tests/support/expect_error.h"
#include "tests/unit/data/data_test_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace bitwright {
namespace {

using test::expect_error;
using test::read_label;
using test::read_pixels;

std::string all_bytes(const Dataset& dataset) {
  std::string bytes;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    for (const std::uint8_t pixel : read_pixels(dataset, i)) bytes += static_cast<char>(pixel);
  }
  return bytes;
}

std::string sha256_of(const Dataset& dataset) {
  const std::string bytes = all_bytes(dataset);
  return sha256_hex(std::as_bytes(std::span(bytes)));
}

TEST(SyntheticTest, HasWhatItsNameSays) {
  const auto train = open_dataset("synthetic:7:30:20:5", Split::train);
  const auto test = open_dataset("synthetic:7:30:20:5", Split::test);
  EXPECT_EQ(train->name(), "synthetic:7:30:20:5");
  EXPECT_EQ(train->size(), 30);
  EXPECT_EQ(test->size(), 20);
  EXPECT_EQ(train->image_shape(), (Shape{1, 28, 28}));
  EXPECT_EQ(train->class_names().size(), 7U);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(read_label(*train, i), i % 7);
}

TEST(SyntheticTest, TheBytesAreTheSameEverywhereAndForEver) {
  // Frozen: recipes and golden tests name these sets, so a change of the generator needs a new name for it.
  EXPECT_EQ(sha256_of(*make_synthetic("synthetic:10:32:16:1", Split::train)),
            "efcfa4fdc0866757a247e3913613702632f387b306bcbaf08c11b1e2caf7ab49");
  EXPECT_EQ(sha256_of(*make_synthetic("synthetic:10:32:16:1", Split::test)),
            "4cabf371e8a90678e5c4791edb69655569bc9887764b776dc71a826db24ba36b");
}

TEST(SyntheticTest, ImagesDoNotDependOnHowManyThereAre) {
  const auto few = make_synthetic("synthetic:10:8:8:3", Split::train);
  const auto many = make_synthetic("synthetic:10:80:8:3", Split::train);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(read_pixels(*few, i), read_pixels(*many, i));
}

TEST(SyntheticTest, EveryImageSplitAndSeedIsItsOwn) {
  std::set<std::vector<std::uint8_t>> seen;
  for (const char* const name : {"synthetic:4:40:40:1", "synthetic:4:40:40:2"}) {
    for (const Split split : {Split::train, Split::test}) {
      const auto dataset = make_synthetic(name, split);
      for (std::int64_t i = 0; i < dataset->size(); ++i)
        EXPECT_TRUE(seen.insert(read_pixels(*dataset, i)).second) << name << " image " << i;
    }
  }
}

// The class means of the training images, used as templates, tell the test images apart. A network has to do better than that only by
// its care; chance is 10 %.
TEST(SyntheticTest, IsLearnable) {
  const auto train = make_synthetic("synthetic:10:512:256:1", Split::train);
  const auto test = make_synthetic("synthetic:10:512:256:1", Split::test);
  std::vector<std::vector<double>> means(10, std::vector<double>(784, 0.0));
  for (std::int64_t i = 0; i < train->size(); ++i) {
    const std::vector<std::uint8_t> pixels = read_pixels(*train, i);
    for (std::size_t pixel = 0; pixel < 784; ++pixel) means[static_cast<std::size_t>(i % 10)][pixel] += pixels[pixel];
  }
  for (auto& mean : means) {
    double norm = 0.0;
    for (const double value : mean) norm += value * value;
    for (double& value : mean) value /= std::sqrt(norm);
  }
  int right = 0;
  for (std::int64_t i = 0; i < test->size(); ++i) {
    const std::vector<std::uint8_t> pixels = read_pixels(*test, i);
    std::size_t best = 0;
    double best_score = -1.0;
    for (std::size_t label = 0; label < 10; ++label) {
      double score = 0.0;
      for (std::size_t pixel = 0; pixel < 784; ++pixel) score += means[label][pixel] * pixels[pixel];
      if (score > best_score) {
        best = label;
        best_score = score;
      }
    }
    right += static_cast<int>(best) == read_label(*test, i) ? 1 : 0;
  }
  EXPECT_GE(right, 256 * 95 / 100);
}

TEST(SyntheticTest, AnEmptySplitIsInvalidInput) {
  expect_error(ErrorCode::invalid_input,
               "synthetic:10:0:5:1: the train split is empty (found 0 images, need at least 1); ask for more images.",
               [] { static_cast<void>(open_dataset("synthetic:10:0:5:1", Split::train)); });
  EXPECT_EQ(open_dataset("synthetic:10:0:5:1", Split::test)->size(), 5);
  expect_error(ErrorCode::invalid_input,
               "synthetic:10:5:0:1: the test split is empty (found 0 images, need at least 1); ask for more images.",
               [] { static_cast<void>(open_dataset("synthetic:10:5:0:1", Split::test)); });
}

TEST(SyntheticTest, RefusesMalformedNames) {
  for (const char* const name :
       {"synthetic", "synthetic:", "synthetic:10", "synthetic:10:5:5", "synthetic:10:5:5:", "synthetic:10:5:5:1:2", "synthetic:10:5:5:x",
        "synthetic:10:-5:5:1", "synthetic:10::5:1", "synthetic:10:5:5:1 ", "synthetic:99999999999999999999:5:5:1"}) {
    expect_error(
        ErrorCode::usage,
        std::string(name) + ": this is no synthetic data set (need synthetic:CLASSES:TRAIN:TEST:SEED); write e.g. synthetic:10:512:256:1.",
        [&] { static_cast<void>(parse_synthetic_name(name)); });
  }
}

TEST(SyntheticTest, RefusesNumbersOutOfRange) {
  expect_error(ErrorCode::usage, "synthetic:1:5:5:1: wrong number of classes (found 1, need 2 to 256); write e.g. synthetic:10:512:256:1.",
               [] { static_cast<void>(parse_synthetic_name("synthetic:1:5:5:1")); });
  expect_error(ErrorCode::usage,
               "synthetic:257:5:5:1: wrong number of classes (found 257, need 2 to 256); write e.g. synthetic:10:512:256:1.",
               [] { static_cast<void>(parse_synthetic_name("synthetic:257:5:5:1")); });
  expect_error(ErrorCode::usage,
               "synthetic:2:5:1000001:1: too many images (found 1000001, need at most 1000000); write e.g. synthetic:10:512:256:1.",
               [] { static_cast<void>(parse_synthetic_name("synthetic:2:5:1000001:1")); });
}

}  // namespace
}  // namespace bitwright
