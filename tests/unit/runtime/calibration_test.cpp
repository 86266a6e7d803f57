// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/calibration.h"

#include "bitwright/model/activation_scales.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "tests/support/expect_error.h"
#include "tests/support/fixed_models.h"
#include "tests/unit/runtime/small_models.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

using test::expect_error;
using test::GraphMaker;

// One convolution by 1, so that its result is the input itself.
Model identity_model() {
  GraphMaker maker(Shape{1, 1, 4});
  const std::string w = maker.weight("w", Shape{1, 1, 1, 1}, 1.0, 0.0);
  const std::string a = maker.node(Op::Relu, {maker.node(Op::Conv, {"input", w})});
  return std::move(maker).finish(maker.node(Op::Conv, {a, maker.weight("w", Shape{1, 1, 1, 1}, 1.0, 0.0)}));
}

TEST(Calibrate, MinmaxPutsTheLargestMagnitudeOnTheLastCode) {
  const std::vector<float> images = {-6.0F, 1.0F, 2.0F, 3.0F, 0.0F, 0.5F, 5.0F, -1.0F};
  const Model model = calibrate(identity_model(), images, {.rule = CalibrationRule::minmax});
  const ActivationScales scales = activation_scales(model.graph);
  EXPECT_EQ(scales, (ActivationScales{{"input", 6.0F / 127.0F}, {"Relu1.out", 5.0F / 255.0F}}));
}

TEST(Calibrate, PercentileLeavesTheLargestOut) {
  std::vector<float> images(1000, 1.0F);
  images[7] = 100.0F;
  const Model model = calibrate(identity_model(), images, {.rule = CalibrationRule::percentile, .percentile = 99.0});
  // All ones lie in bin 20 of 2048 up to 100; the edge behind it is the range.
  EXPECT_NEAR(activation_scales(model.graph).at("input"), 100.0 * 21.0 / 2048.0 / 127.0, 1e-6);
}

TEST(Calibrate, LeastSquaresBeatsTheLargestMagnitude) {
  std::vector<float> images = test::normals("images", 40000);
  images[5] = 40.0F;
  const auto error_of = [&](CalibrationRule rule) {
    const Model model = calibrate(identity_model(), images, {.rule = rule});
    const double scale = activation_scales(model.graph).at("input");
    double sum = 0.0;
    for (const float x : images) {
      const double off = x - std::clamp(std::nearbyint(x / scale), -127.0, 127.0) * scale;
      sum += off * off;
    }
    return sum;
  };
  EXPECT_LT(error_of(CalibrationRule::mse), 0.9 * error_of(CalibrationRule::minmax));
  EXPECT_LE(error_of(CalibrationRule::mse), error_of(CalibrationRule::percentile) * 1.01);
}

TEST(Calibrate, TheBatchDoesNotMatter) {
  const Model model = build_zoo_model("lenet5", 3);
  const std::vector<float> images = test::normals("images", 7 * 784);
  const ActivationScales one = activation_scales(calibrate(model, images, {.rule = CalibrationRule::minmax, .batch = 1}).graph);
  const ActivationScales three = activation_scales(calibrate(model, images, {.rule = CalibrationRule::minmax, .batch = 3}).graph);
  ASSERT_EQ(one.size(), three.size());
  EXPECT_GE(one.size(), 5U);
  for (const auto& [name, scale] : one) EXPECT_NEAR(three.at(name), scale, scale * 1e-5) << name;
}

TEST(Calibrate, SourcesOfAConcatShareTheirScale) {
  GraphMaker maker(Shape{3, 6, 6});
  const std::string a = maker.node(Op::Relu, {maker.conv("input", Shape{8, 3, 3, 3})});
  const std::string b = maker.node(Op::Relu, {maker.conv("input", Shape{4, 3, 3, 3})});
  const std::string joined = maker.node(Op::Concat, {a, b}, {{"axis", std::int64_t{1}}});
  const std::string pooled = maker.node(Op::MaxPool, {joined}, {{"kernel_shape", GraphMaker::Ints{2, 2}}});
  const Model model = calibrate(std::move(maker).finish(maker.conv(pooled, Shape{2, 12, 1, 1})), test::normals("images", 4 * 108));
  const ActivationScales scales = activation_scales(model.graph);
  EXPECT_EQ(scales.at(a), scales.at(b));
  EXPECT_EQ(scales.at(a), scales.at(joined));
  EXPECT_EQ(scales.at(a), scales.at(pooled));
}

TEST(Calibrate, ScalesGoThroughThePackedFile) {
  const Model model = calibrate(build_zoo_model("resnet20", 3), test::normals("images", 2 * 3072));
  const Model back = unpack_model(pack_model(model), "net.bw");
  EXPECT_EQ(back, model);
  EXPECT_EQ(activation_scales(back.graph), activation_scales(model.graph));
  EXPECT_EQ(with_activation_scales(without_activation_scales(model.graph), activation_scales(model.graph)), model.graph);
  EXPECT_EQ(without_activation_scales(model.graph), build_zoo_model("resnet20", 3).graph);
}

TEST(Calibrate, RefusesWhatMakesNoSense) {
  const Model model = identity_model();
  const std::vector<float> images(4, 1.0F);
  expect_error(ErrorCode::usage, "small: calibration needs images (found none, need 1 or more); give some.",
               [&] { (void)calibrate(model, {}); });
  expect_error(ErrorCode::invalid_input, "small: the images are not whole (found 3 values, need a multiple of 4); pass whole images.",
               [&] { (void)calibrate(model, std::span(images).first(3)); });
  expect_error(ErrorCode::usage, "small: the percentile makes no sense (found 0, need above 0 and at most 100); correct it.",
               [&] { (void)calibrate(model, images, {.rule = CalibrationRule::percentile, .percentile = 0.0}); });
  expect_error(ErrorCode::usage, "calibration: unknown rule (found \"best\", need one of: minmax, percentile, mse); choose one.",
               [] { (void)parse_calibration_rule("best"); });
  const std::vector<float> bad(4, std::nanf(""));
  expect_error(ErrorCode::numerical,
               "small: value \"input\" is not finite on these images (found nan, need a finite number); check images and weights.",
               [&] { (void)calibrate(model, bad); });
}

TEST(ActivationScales, BadOnesAreRefused) {
  const auto with = [](std::size_t node, std::string_view key, Attribute value) {
    Model model = identity_model();
    model.graph.nodes[node].attributes.insert_or_assign(std::string(key), std::move(value));
    return model;
  };
  expect_error(ErrorCode::invalid_input,
               "small: node \"Relu1\": attribute \"output_scale\" is no scale (found 0, need a finite number above 0); calibrate again.",
               [&] { validate(with(1, kOutputScaleAttribute, 0.0F)); });
  expect_error(ErrorCode::invalid_input,
               "small: node \"Relu1\": attribute \"output_scale\" is no scale (found -1, need a finite number above 0); calibrate again.",
               [&] { validate(with(1, kOutputScaleAttribute, -1.0F)); });
  expect_error(
      ErrorCode::invalid_input,
      "small: node \"Relu1\": attribute \"input_scale\" is about no input (found it, need a node that reads an input of the graph); "
      "remove it.",
      [&] { validate(with(1, kInputScaleAttribute, 1.0F)); });
  Model twice = identity_model();
  twice.graph.nodes[0].attributes.insert_or_assign(std::string(kInputScaleAttribute), 1.0F);
  validate(twice);
  twice.graph.nodes.push_back({.name = "again", .op = Op::Relu, .inputs = {"input"}, .outputs = {"again"}, .attributes = {}});
  twice.graph.nodes.back().attributes.insert_or_assign(std::string(kInputScaleAttribute), 2.0F);
  expect_error(ErrorCode::invalid_input,
               "small: node \"again\": \"input\" has two scales (found 2, need 1 as another node says); calibrate again.",
               [&] { validate(twice); });
}

}  // namespace
}  // namespace bitwright
