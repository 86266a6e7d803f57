// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo.h"

#include "bitwright/model/packed_file.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace bitwright {
namespace {

class ZooNetwork : public ::testing::TestWithParam<ZooEntry> {};

TEST_P(ZooNetwork, HasThePublishedParameterCount) { EXPECT_EQ(parameter_count(GetParam().build()), GetParam().parameter_count); }

TEST_P(ZooNetwork, IsValidNamedAndMapsImagesToTenLogits) {
  const Model model = GetParam().build();
  validate(model);
  EXPECT_EQ(model.graph.name, GetParam().name);
  ASSERT_EQ(model.graph.inputs.size(), 1U);
  EXPECT_EQ(model.graph.inputs[0].name, "input");
  const Shape image = GetParam().dataset == "mnist" ? Shape{Shape::kDynamic, 1, 28, 28} : Shape{Shape::kDynamic, 3, 32, 32};
  EXPECT_EQ(model.graph.inputs[0].shape, image);
  ASSERT_EQ(model.graph.outputs.size(), 1U);
  EXPECT_EQ(infer_shapes(model.graph, weight_shapes(model), 7).at(model.graph.outputs[0]), (Shape{7, 10}));
  EXPECT_EQ(model.graph.nodes.back().op, Op::Gemm);
  EXPECT_EQ(model.class_names.size(), 10U);
}

TEST_P(ZooNetwork, BuilderLeavesWeightsZeroAndNormsIdentity) {
  for (const auto& [name, weight] : GetParam().build().weights) {
    const bool is_one = name.ends_with(".running_var") || (name.find("bn") != std::string::npos && name.ends_with(".weight"));
    const std::vector<float> values = weight_values(weight);
    EXPECT_EQ(values, std::vector<float>(values.size(), is_one ? 1.0F : 0.0F)) << name;
  }
}

// The sample variance of n normal draws has a deviation of sigma^2 sqrt(2 / n); six of them on both sides fail once in 10^9 tensors, and
// the seed is fixed. The mean has sigma / sqrt(n).
TEST_P(ZooNetwork, WeightsAreHeNormal) {
  const Model model = build_zoo_model(GetParam().name, 1);
  const Model blank = GetParam().build();
  std::set<std::string> drawn;
  for (const std::string& name : quantizable_weights(model.graph)) {
    drawn.insert(name);
    const Weight& weight = model.weights.at(name);
    const std::vector<float> values = weight_values(weight);
    const auto n = static_cast<double>(values.size());
    const double fan_in = n / static_cast<double>(weight_shape(weight)[0]);
    double sum = 0.0;
    double squares = 0.0;
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    EXPECT_NEAR(squares / n * fan_in / 2.0, 1.0, 6.0 * std::sqrt(2.0 / n)) << name;
    EXPECT_NEAR(sum / n, 0.0, 6.0 * std::sqrt(2.0 / fan_in / n)) << name;
  }
  for (const auto& [name, weight] : model.weights) {
    if (drawn.contains(name)) continue;
    EXPECT_EQ(weight, blank.weights.at(name)) << name;
  }
}

TEST_P(ZooNetwork, DependsOnTheSeedOnly) {
  EXPECT_EQ(build_zoo_model(GetParam().name, 3), build_zoo_model(GetParam().name, 3));
  EXPECT_NE(build_zoo_model(GetParam().name, 3), build_zoo_model(GetParam().name, 4));
}

// The large ones: tests/unit/train/large_zoo_test.cpp.
std::vector<ZooEntry> small_networks() {
  std::vector<ZooEntry> small;
  for (const ZooEntry& entry : zoo_registry()) {
    if (entry.size == ZooSize::small) small.push_back(entry);
  }
  return small;
}

INSTANTIATE_TEST_SUITE_P(Small, ZooNetwork, ::testing::ValuesIn(small_networks()), [](const auto& instance) {
  std::string name(instance.param.name);
  std::erase(name, '-');
  return name;
});

TEST(Zoo, KnowsTheNetworksOfThePapers) {
  std::vector<std::string_view> names;
  for (const ZooEntry& entry : zoo_registry()) names.push_back(entry.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("lenet5", "mlp-1000", "gupta-mnist-cnn", "gupta-cifar-cnn", "polino-teacher",
                                                   "polino-s1", "polino-s2", "polino-s3", "resnet20", "resnet32", "resnet44", "resnet56",
                                                   "wide-resnet-28-10", "alexnet", "vgg16", "googlenet", "resnet18", "resnet34", "resnet50",
                                                   "wide-resnet-50-2", "mobilenet-v2", "squeezenet1-0", "squeezenet1-1"));
}

TEST(Zoo, SameNameAndSeedDrawTheSameTensorInAnyNetwork) {
  const Model small = build_zoo_model("resnet20", 5);
  const Model large = build_zoo_model("resnet56", 5);
  EXPECT_EQ(small.weights.at("layer1.0.conv1.weight"), large.weights.at("layer1.0.conv1.weight"));
  EXPECT_NE(weight_values(small.weights.at("layer1.0.conv1.weight")), weight_values(small.weights.at("layer1.0.conv2.weight")));
}

TEST(Zoo, Lenet5IsCaffes) {
  const Model model = build_zoo_model("lenet5", 1);
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), 2);
  const std::map<std::string, Shape> need = {{"conv1", {2, 20, 24, 24}}, {"pool1", {2, 20, 12, 12}}, {"conv2", {2, 50, 8, 8}},
                                             {"pool2", {2, 50, 4, 4}},   {"fc1", {2, 500}},          {"fc2", {2, 10}}};
  for (const auto& [name, shape] : need) EXPECT_EQ(shapes.at(name), shape) << name;
  EXPECT_EQ(std::ranges::count(model.graph.nodes, Op::Relu, &Node::op), 1);
  EXPECT_EQ(model.input_transform, (InputTransform{{0.1307F}, {0.3081F}}));
}

TEST(Zoo, GuptaCifarMapsHalve) {
  const Model model = build_zoo_model("gupta-cifar-cnn", 1);
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), 1);
  EXPECT_EQ(shapes.at("pool1"), (Shape{1, 64, 16, 16}));
  EXPECT_EQ(shapes.at("pool2"), (Shape{1, 64, 8, 8}));
  EXPECT_EQ(shapes.at("pool3"), (Shape{1, 64, 4, 4}));
  EXPECT_EQ(model.input_transform, InputTransform{});
}

TEST(Zoo, PolinosOrderIsConvReluNormPoolAndOnlyItsTeacherDropsOut) {
  const Model student = build_zoo_model("polino-s1", 1);
  const std::vector<Op> need = {Op::Conv, Op::Relu, Op::BatchNormalization, Op::Conv, Op::Relu, Op::BatchNormalization, Op::MaxPool};
  for (std::size_t i = 0; i < need.size(); ++i) EXPECT_EQ(student.graph.nodes[i].op, need[i]) << i;
  EXPECT_EQ(std::ranges::count(student.graph.nodes, Op::Dropout, &Node::op), 0);
  const ShapeMap shapes = infer_shapes(student.graph, weight_shapes(student), 1);
  EXPECT_EQ(shapes.at("pool1"), (Shape{1, 50, 16, 16}));
  EXPECT_EQ(shapes.at("pool2"), (Shape{1, 25, 8, 8}));
  const Model teacher = build_zoo_model("polino-teacher", 1);
  std::vector<float> ratios;
  for (const Node& node : teacher.graph.nodes) {
    if (node.op == Op::Dropout) ratios.push_back(node.float_attribute("ratio", 0.0F));
  }
  EXPECT_THAT(ratios, testing::ElementsAre(0.2F, 0.3F, 0.35F, 0.4F, 0.4F));
}

TEST(Zoo, Resnet20ShortcutsSliceAndPad) {
  const Model model = build_zoo_model("resnet20", 1);
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), 1);
  EXPECT_EQ(shapes.at("layer2.0.shortcut.slice"), (Shape{1, 16, 16, 16}));
  EXPECT_EQ(shapes.at("layer2.0.shortcut.pad"), (Shape{1, 32, 16, 16}));
  EXPECT_EQ(shapes.at("layer3.0.shortcut.pad"), (Shape{1, 64, 8, 8}));
  EXPECT_EQ(shapes.at("pool"), (Shape{1, 64, 1, 1}));
  EXPECT_EQ(std::ranges::count(model.graph.nodes, Op::Conv, &Node::op), 19);
  EXPECT_EQ(std::ranges::count(model.graph.nodes, Op::Pad, &Node::op), 2);
}

// Six million parameters, or images beyond 32 x 32, make a network large; what is small keeps the tests over the zoo quick.
TEST(Zoo, SizesFollowTheRule) {
  for (const ZooEntry& entry : zoo_registry()) {
    const bool is_large = entry.parameter_count > 6'000'000 || entry.dataset == "imagenet";
    EXPECT_EQ(entry.size == ZooSize::large, is_large) << entry.name;
  }
}

// Weights beyond a million values are drawn by several threads: by their index, so it does not show.
TEST(Zoo, ValuesDoNotDependOnWhoDrawsThem) {
  const Model model = build_zoo_model("polino-teacher", 4);
  const std::string name = "fc1.weight";
  const Shape& shape = weight_shape(model.weights.at(name));
  const std::vector<float> values = weight_values(model.weights.at(name));
  ASSERT_GT(values.size(), std::size_t{1} << 20);
  const Rng rng = Rng(4, "init").split(name);
  const double deviation = std::sqrt(2.0 / static_cast<double>(shape[1]));
  for (std::size_t i = 0; i < values.size(); i += 997) ASSERT_EQ(values[i], static_cast<float>(deviation * rng.normal(i))) << i;
}

TEST(Zoo, UnknownNameListsTheKnownOnes) {
  test::expect_error(ErrorCode::usage,
                     "zoo network \"resnet21\" is not known (nearest: resnet20); known networks are lenet5, mlp-1000, gupta-mnist-cnn, "
                     "gupta-cifar-cnn, polino-teacher, polino-s1, polino-s2, polino-s3, resnet20, resnet32, resnet44, resnet56, "
                     "wide-resnet-28-10, alexnet, vgg16, googlenet, resnet18, resnet34, resnet50, wide-resnet-50-2, mobilenet-v2, "
                     "squeezenet1-0, squeezenet1-1.",
                     [] { (void)build_zoo_model("resnet21", 1); });
}

}  // namespace
}  // namespace bitwright
