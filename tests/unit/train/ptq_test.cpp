// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/ptq/ptq.h"

#include "bitwright/model/zoo.h"
#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitwright::ptq {
namespace {

using test::expect_error;

TrainResult rounded_once(const std::filesystem::path& folder, const std::string& run,
                         std::map<std::string, RecipeValue, std::less<>> options) {
  Recipe recipe = test::tiny_recipe(folder);
  recipe.train.epochs = 3;
  recipe.methods = {{"ptq", std::move(options)}};
  return test::train_in(folder / run, recipe);
}

TEST(Ptq, TrainsNothingAndRoundsOnce) {
  const test::TempFolder folder;
  const Model before = test::tiny_model();
  const TrainResult result = rounded_once(folder.path(), "run", {{"bits", std::int64_t{2}}, {"bucket", std::int64_t{32}}});
  ASSERT_TRUE(result.completed);
  EXPECT_EQ(result.images, 40);
  const Uniform format{.bits = 2, .bucket_size = 32};
  for (const auto& [name, weight] : before.weights) {
    const auto* codes = std::get_if<QuantizedTensor>(&result.model.weights.at(name));
    if (name == "conv.weight" || name == "fc.weight") {
      ASSERT_NE(codes, nullptr) << name;
      EXPECT_EQ(*codes, quantize(format, weight_shape(weight), weight_values(weight)));
    } else {
      EXPECT_EQ(result.model.weights.at(name), weight) << name;
    }
  }
}

TEST(Ptq, ResumesAFinishedRun) {
  const test::TempFolder folder;
  const TrainResult first = rounded_once(folder.path(), "run", {});
  Recipe recipe = test::tiny_recipe(folder.path());
  recipe.train.epochs = 3;
  recipe.methods = {{"ptq", {}}};
  const TrainResult again = test::train_in(folder / "run", recipe, StartPolicy::resume);
  EXPECT_TRUE(again.completed);
  EXPECT_EQ(again.model, first.model);
}

TEST(Ptq, TakesEveryRegisteredFormat) {
  const test::TempFolder folder;
  for (const RegisteredFormat& entry : registered_formats()) {
    const std::string text(entry.example);
    const TrainResult result = rounded_once(folder.path(), std::string(entry.name), {{"format", text}});
    const auto& codes = std::get<QuantizedTensor>(result.model.weights.at("fc.weight"));
    EXPECT_EQ(codes.format().spec(), NumberFormat::parse(text).spec());
    EXPECT_EQ(codes, quantize(codes.format(), codes.shape(), weight_values(test::tiny_model().weights.at("fc.weight"))));
  }
}

TEST(Ptq, EvaluatesWithTheValuesOfTheCodes) {
  Network network(test::tiny_model());
  Ptq method(parse_ptq_options({"ptq", {{"bits", std::int64_t{3}}}}));
  method.attach(network, method.default_plan(network));
  for (const std::string& name : network.weight_names()) {
    EXPECT_EQ(tensor_values(network.transformed_weight(name, {})), method.freeze(name)->dequantize());
  }
}

// Paper page section 4.6: the evaluation of the post-mortem rows uses the switch.
TEST(Ptq, PaperLayersLeaveOutTheFirstWeightAndTheLastBias) {
  const test::TempFolder folder;
  const TrainResult result = rounded_once(folder.path(), "run", {{"layers", std::string("paper")}});
  const auto has_codes = [&result](const char* name) { return std::holds_alternative<QuantizedTensor>(result.model.weights.at(name)); };
  EXPECT_FALSE(has_codes("conv.weight"));
  EXPECT_TRUE(has_codes("conv.bias"));
  EXPECT_TRUE(has_codes("bn.weight"));
  EXPECT_TRUE(has_codes("fc.weight"));
  EXPECT_FALSE(has_codes("fc.bias"));
}

TEST(Ptq, PlanRulesMayMixFormats) {
  const test::TempFolder folder;
  const TrainResult result = rounded_once(folder.path(), "run", {{"plan", std::vector<std::string>{"conv*=pow2:5", "fc*=ternary"}}});
  EXPECT_EQ(std::get<QuantizedTensor>(result.model.weights.at("conv.weight")).format().spec(), "pow2:5");
  EXPECT_EQ(std::get<QuantizedTensor>(result.model.weights.at("fc.weight")).format().name(), "ternary");
}

// Paper page section 3: (D11) without the header for ResNet-20 at k = 256, 1049 buckets, 5544 bytes of float biases and norms.
TEST(Ptq, ResNet20TakesThePagesBytes) {
  const Model model = build_zoo_model("resnet20", 1);
  Network network(model);
  for (const auto& [bits, need] : {std::pair(2, 81020), {4, 148104}, {8, 282272}}) {
    Ptq method(parse_ptq_options({"ptq", {{"bits", std::int64_t{bits}}}}));
    method.attach(network, method.default_plan(network));
    std::int64_t bytes = 0;
    std::int64_t buckets = 0;
    for (const Parameter& parameter : network.parameters()) {
      const std::optional<QuantizedTensor> codes = method.freeze(parameter.name);
      bytes += codes ? (codes->code_size_bits() + codes->parameter_size_bits()) / 8 : 4 * parameter.tensor.numel();
      buckets += codes ? codes->parameter_size_bits() / 64 : 0;
    }
    EXPECT_EQ(bytes, need) << bits << " bits";
    EXPECT_EQ(buckets, 1049);
  }
}

TEST(PtqOptions, WrongOnesAreRefused) {
  expect_error(ErrorCode::usage,
               "recipe: method ptq: format states the whole format (found format = \"ternary\" and bits beside it); remove one of them.",
               [] {
                 (void)parse_ptq_options({"ptq", {{"format", std::string("ternary")}, {"bits", std::int64_t{2}}}});
               });
  expect_error(ErrorCode::usage,
               "recipe: method ptq: rounding is not known (found \"stochastic\", need one of: nearest_even, nearest_down); nearest: "
               "nearest_even.",
               [] {
                 (void)parse_ptq_options({"ptq", {{"rounding", std::string("stochastic")}}});
               });
  EXPECT_EQ(parse_ptq_options({"ptq", {{"bucket", std::int64_t{0}}}}).format.spec(), "uniform:4");
  EXPECT_EQ(parse_ptq_options({"ptq", {}}).format.spec(), "uniform:4/256");
}

}  // namespace
}  // namespace bitwright::ptq
