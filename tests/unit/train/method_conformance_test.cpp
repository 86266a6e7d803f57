// SPDX-License-Identifier: Apache-2.0
// What every line of methods.inc promises. A new method is tested here without a change to this file, except for its row of options where
// its defaults do not fit a problem of a few steps.
#include "bitwright/train/method.h"

#include "bitwright/data/dataset.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/runtime/session.h"
#include "bitwright/train/methods/inq/inq.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bitwright::test {
namespace {

class MethodConformance : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

  [[nodiscard]] Recipe recipe() const {
    Recipe recipe = GetParam() == "fixed" ? tiny_integer_recipe(folder()) : tiny_recipe(folder());
    recipe.train.epochs = 4;
    recipe.methods = {{GetParam(), {}}};
    return recipe;
  }

 private:
  TempFolder folder_;
};

TEST_P(MethodConformance, SameSeedSameTrace) {
  const std::vector<double> first = trace_of(folder() / "a", recipe());
  EXPECT_EQ(first, trace_of(folder() / "b", recipe()));
  EXPECT_EQ(first.size(), 20U);
}

TEST_P(MethodConformance, StoppedAndResumedEqualsUninterrupted) {
  train_in(folder() / "whole", recipe());
  for (const std::int64_t stop_step : {3, 10, 17}) {
    std::atomic<bool> stop = false;
    TrainEvents events;
    events.stop_requested = &stop;
    events.on_step = [&](std::int64_t step, double) { stop = step == stop_step; };
    const auto run = folder() / std::to_string(stop_step);
    EXPECT_FALSE(train_in(run, recipe(), StartPolicy::fresh, events).completed);
    EXPECT_TRUE(train_in(run, recipe(), StartPolicy::resume).completed);
    EXPECT_EQ(read_file(run / "model.bw"), read_file(folder() / "whole/model.bw"));
    EXPECT_EQ(read_text_file(run / "metrics.jsonl"), read_text_file(folder() / "whole/metrics.jsonl"));
  }
}

TEST_P(MethodConformance, EveryWeightEndsOnItsGridInAFormatOfThePlan) {
  const TrainResult result = train_in(folder() / "run", recipe());
  verify_grid(result.model);
  for (const std::string& name : quantizable_weights(result.model.graph)) {
    const auto* codes = std::get_if<QuantizedTensor>(&result.model.weights.at(name));
    ASSERT_NE(codes, nullptr) << name << " stayed float";
    std::vector<std::int32_t> levels(codes->codes().begin(), codes->codes().end());
    std::ranges::sort(levels);
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    EXPECT_LE(static_cast<std::int64_t>(levels.size()), codes->format().code_count()) << name;
  }
  EXPECT_EQ(result.model.notes.at("method"), GetParam());
}

TEST_P(MethodConformance, TheRuntimeGivesTrainingsAccuracyFromTheFile) {
  const TrainResult result = train_in(folder() / "run", recipe());
  Session session = Session::open(folder() / "run/model.bw");
  const auto images = open_dataset(recipe().data.name, Split::test);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images->image_shape().element_count()));
  std::vector<float> input(pixels.size());
  std::vector<float> logits(static_cast<std::size_t>(session.output_shape().element_count()));
  std::int64_t correct = 0;
  for (std::int64_t i = 0; i < images->size(); ++i) {
    const int label = images->read(i, pixels);
    transform_image(session.model().input_transform, pixels, images->image_shape(), input);
    session.run(input, logits);
    correct += std::ranges::max_element(logits) - logits.begin() == label ? 1 : 0;
  }
  EXPECT_EQ(correct, result.correct);
  EXPECT_EQ(images->size(), result.images);
}

TEST_P(MethodConformance, RefusesAnUnknownOption) {
  const MethodRecipe wrong{GetParam(), {{"no_such_option", true}}};
  const auto error = error_of([&wrong] { (void)make_method(wrong); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::usage);
  EXPECT_TRUE(error->message().starts_with("recipe: method " + GetParam() + ": unknown key \"no_such_option\" (nearest: "));
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const MethodEntry& entry : method_registry()) names.emplace_back(entry.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, MethodConformance, ::testing::ValuesIn(names()), [](const auto& param) { return param.param; });

TEST(MethodRegistry, KnowsItsNamesAndRefusesOthers) {
  for (const std::string& name : names()) EXPECT_EQ(make_method({name, {}})->name(), name);
  expect_error(ErrorCode::usage, "recipe: method \"ink\" is not known (nearest: inq); known methods are inq, fixed.", [] {
    (void)make_method({"ink", {}});
  });
}

}  // namespace
}  // namespace bitwright::test
