// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/model.h"

#include "bitwright/model/text_rules.h"
#include "tests/support/expect_error.h"
#include "tests/support/small_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace bitwright {
namespace {

using test::expect_error;

Model float_tiny() { return test::tiny_model(FloatTensor{Shape{2, 3}, std::vector<float>(6, 0.5F)}); }

TEST(Weight, ShapeAndValuesOfEveryFormat) {
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    EXPECT_EQ(weight_shape(tiny.weight), (Shape{2, 3})) << tiny.name;
    EXPECT_EQ(weight_values(tiny.weight), tiny.values) << tiny.name;
  }
}

TEST(Validate, AcceptsTheExamples) {
  for (const test::TinyCase& tiny : test::tiny_cases()) EXPECT_NO_THROW(validate(test::tiny_model(tiny.weight))) << tiny.name;
  EXPECT_NO_THROW(validate(test::every_operator_model()));
  EXPECT_NO_THROW(validate(test::every_newer_operator_model()));
}

TEST(Validate, AFixedBatchIsCheckedAtThatBatch) {
  Model model = float_tiny();
  model.graph.inputs[0].shape = Shape{4, 3};
  EXPECT_NO_THROW(validate(model));
}

struct Broken {
  std::string what;
  std::string message;
  std::function<void(Model&)> break_it;
};

class BrokenModel : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenModel, IsRefusedWithItsMessage) {
  Model model = float_tiny();
  GetParam().break_it(model);
  expect_error(ErrorCode::invalid_input, GetParam().message, [&] { validate(model); });
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenModel,
    ::testing::Values(
        Broken{"NoInput", "tiny: the graph has no input; give it one.", [](Model& m) { m.graph.inputs.clear(); }},
        Broken{"NoOutput", "tiny: the graph has no output; give it one.", [](Model& m) { m.graph.outputs.clear(); }},
        Broken{"WeightShape",
               "tiny: weight \"fc.weight\" does not fit node \"fc\" (found [3, 2], need [?, 3]); give weights trained for this graph.",
               [](Model& m) {
                 std::get<FloatTensor>(m.weights["fc.weight"]).shape = Shape{3, 2};
               }},
        Broken{"UnreadWeight", "tiny: weight \"spare\" is read by no node; remove it or check its name.",
               [](Model& m) {
                 m.weights["spare"] = FloatTensor{Shape{1}, {0.0F}};
               }},
        Broken{"ValuesAndShapeDisagree",
               "tiny: weight \"fc.weight\" has a number of values that its shape denies (found 5, need 6 for [2, 3]); check the tensor.",
               [](Model& m) { std::get<FloatTensor>(m.weights["fc.weight"]).values.pop_back(); }},
        Broken{"Nan",
               "tiny: weight \"fc.weight\" is not finite at index 4 (found nan, need a finite number); train again or repair the file.",
               [](Model& m) { std::get<FloatTensor>(m.weights["fc.weight"]).values[4] = std::numeric_limits<float>::quiet_NaN(); }},
        Broken{"Infinity",
               "tiny: weight \"fc.bias\" is not finite at index 1 (found -inf, need a finite number); train again or repair the file.",
               [](Model& m) { std::get<FloatTensor>(m.weights["fc.bias"]).values[1] = -std::numeric_limits<float>::infinity(); }},
        Broken{"AttributeNotFinite", "tiny: node \"fc\": attribute \"alpha\" is not finite; check the graph.",
               [](Model& m) { m.graph.nodes[0].attributes["alpha"] = std::numeric_limits<float>::infinity(); }},
        Broken{"MeanCount", "tiny: the input transform has the wrong number of channels (found 2, need 3); give one value per channel.",
               [](Model& m) {
                 m.input_transform.mean = {0.0F, 0.0F};
               }},
        Broken{"MeanNotFinite", "tiny: the input transform is not finite; give finite means and deviations.",
               [](Model& m) { m.input_transform.mean[1] = std::numeric_limits<float>::quiet_NaN(); }},
        Broken{"DeviationZero", "tiny: the input transform has a bad deviation (found 0, need above 0); correct it.",
               [](Model& m) {
                 m.input_transform.std = {1.0F, 0.0F, 1.0F};
               }},
        Broken{"ClassCount",
               "tiny: the class names do not fit output \"logits\" (found 3 names, need one per extent of axis 1 of [1, 2]); correct the "
               "list.",
               [](Model& m) { m.class_names.push_back("maybe"); }},
        Broken{"ControlCharacter", "tiny: a name of a class is not valid UTF-8 or has control characters (found \"\\x1b[31m\"); rename it.",
               [](Model& m) { m.class_names[0] = "\x1b[31m"; }},
        Broken{"BadUtf8Name", "tiny: a name of a node is not valid UTF-8 or has control characters (found \"\\xff\"); rename it.",
               [](Model& m) { m.graph.nodes[0].name = "\xff"; }},
        Broken{"BadUtf8Note", "tiny: note \"n\" is not valid UTF-8; rewrite it.", [](Model& m) { m.notes["n"] = "\xc0\x80"; }}),
    [](const auto& instance) { return instance.param.what; });

TEST(QuantizableWeights, AreInGraphOrderAndOnce) {
  EXPECT_THAT(quantizable_weights(test::every_operator_model().graph), testing::ElementsAre("conv.weight", "fc.weight"));
  EXPECT_THAT(quantizable_weights(test::every_newer_operator_model().graph), testing::ElementsAre("project.weight"));
  Graph graph = float_tiny().graph;
  graph.nodes.push_back(graph.nodes[0]);
  EXPECT_THAT(quantizable_weights(graph), testing::ElementsAre("fc.weight"));
}

TEST(TextRules, Utf8) {
  for (const char* good :
       {"", "abc", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << escaped(good);
  }
  // Lone continuation, overlong, truncated, surrogate, above U+10FFFF, bytes that never occur.
  for (const char* bad : {"\x80", "\xc0\xaf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "\xff", "\xc3("}) {
    EXPECT_FALSE(is_utf8(bad)) << escaped(bad);
  }
}

TEST(TextRules, NamesHoldNoControlCharacters) {
  EXPECT_TRUE(is_printable_name("layer1.0.conv1 (\xc3\xa9)"));
  for (const char* bad : {"a\nb", "\x1b[0m", "\x7f", "\xff"}) EXPECT_FALSE(is_printable_name(bad));
  EXPECT_FALSE(is_printable_name(std::string_view("a\0b", 3)));
  EXPECT_EQ(escaped("a\n\xff"), "a\\x0a\\xff");
}

}  // namespace
}  // namespace bitwright
