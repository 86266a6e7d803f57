// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/reference.h"

#include "tests/support/expect_error.h"
#include "tests/unit/runtime/small_models.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

namespace bitwright {
namespace {

using test::GraphMaker;
using Attributes = GraphMaker::Attributes;
using Ints = GraphMaker::Ints;
using ::testing::ElementsAre;

Model one_node(const Shape& image, Op op, std::vector<std::pair<std::string, FloatTensor>> weights, const Attributes& attributes) {
  GraphMaker maker(image);
  std::vector<std::string> inputs = {"input"};
  for (const auto& [name, tensor] : weights) inputs.push_back(name);
  const std::string out = maker.node(op, inputs, attributes);
  Model model = std::move(maker).finish(out);
  for (auto& [name, tensor] : weights) model.weights.emplace(name, tensor);
  return model;
}

// Worked by hand, in numbers that float32 holds.
TEST(Reference, ConvByHand) {
  const Model model = one_node(Shape{1, 2, 3}, Op::Conv, {{"w", {Shape{1, 1, 2, 2}, {1, 2, 3, 4}}}, {"b", {Shape{1}, {0.5F}}}},
                               {{"pads", Ints{0, 1, 0, 0}}});
  // columns: pad, 1 2 3 / pad, 4 5 6
  EXPECT_THAT(run_reference(model, std::vector<float>{1, 2, 3, 4, 5, 6}, 1), ElementsAre(18.5, 37.5, 47.5));
}

TEST(Reference, GroupedStridedDilatedConvByHand) {
  const Model model = one_node(Shape{2, 3, 3}, Op::Conv, {{"w", {Shape{2, 1, 2, 2}, {1, 1, 1, 1, 1, 0, 0, -1}}}},
                               {{"group", std::int64_t{2}}, {"dilations", Ints{2, 2}}, {"strides", Ints{5, 5}}});
  std::vector<float> input(18);
  std::iota(input.begin(), input.end(), 0.0F);
  EXPECT_THAT(run_reference(model, input, 1), ElementsAre(0 + 2 + 6 + 8, 9 - 17));
}

TEST(Reference, GemmByHand) {
  const Model model =
      one_node(Shape{3}, Op::Gemm, {{"w", {Shape{2, 3}, {1, 2, 3, -1, 0, 1}}}, {"b", {Shape{2}, {10, 20}}}}, {{"transB", std::int64_t{1}}});
  EXPECT_THAT(run_reference(model, std::vector<float>{1, 1, 2, 0, 1, 0}, 2), ElementsAre(19, 21, 12, 20));
}

TEST(Reference, BatchNormalizationByHand) {
  const FloatTensor half{Shape{1}, {0.5F}};
  const Model model =
      one_node(Shape{1, 1, 2}, Op::BatchNormalization,
               {{"s", half}, {"t", {Shape{1}, {3}}}, {"m", {Shape{1}, {1}}}, {"v", {Shape{1}, {0.1875F}}}}, {{"epsilon", 0.0625F}});
  EXPECT_THAT(run_reference(model, std::vector<float>{1, 5}, 1), ElementsAre(3, 7));
}

TEST(Reference, PoolsByHand) {
  const std::vector<float> image = {1, -2, 3, 4, 5, 6, 7, 8, -9};
  const Attributes window = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"ceil_mode", std::int64_t{1}}};
  EXPECT_THAT(run_reference(one_node(Shape{1, 3, 3}, Op::MaxPool, {}, window), image, 1), ElementsAre(5, 6, 8, -9));
  EXPECT_THAT(run_reference(one_node(Shape{1, 3, 3}, Op::AveragePool, {}, window), image, 1), ElementsAre(2, 4.5, 7.5, -9));
  const Attributes padded = {
      {"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 0, 0}}, {"count_include_pad", std::int64_t{1}}};
  EXPECT_THAT(run_reference(one_node(Shape{1, 3, 3}, Op::AveragePool, {}, padded), image, 1), ElementsAre(0.25, 0.25, 2.75, 2.5));
  EXPECT_THAT(run_reference(one_node(Shape{1, 3, 3}, Op::GlobalAveragePool, {}, {}), image, 1), ElementsAre(23.0 / 9.0));
}

TEST(Reference, MovesByHand) {
  const std::vector<float> image = {1, 2, 3, 4, 5, 6};
  EXPECT_THAT(
      run_reference(one_node(Shape{1, 2, 3}, Op::Slice, {}, {{"starts", Ints{-1}}, {"ends", Ints{9}}, {"axes", Ints{3}}}), image, 1),
      ElementsAre(3, 6));
  EXPECT_THAT(run_reference(one_node(Shape{1, 2, 3}, Op::Pad, {}, {{"pads", Ints{0, 0, 0, 1, 0, 0, 0, 0}}, {"value", 9.0F}}), image, 1),
              ElementsAre(9, 1, 2, 3, 9, 4, 5, 6));
  EXPECT_THAT(run_reference(one_node(Shape{1, 2, 3}, Op::Flatten, {}, {}), image, 1), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(run_reference(one_node(Shape{2}, Op::Relu, {}, {}), std::vector<float>{-1, 2}, 1), ElementsAre(0, 2));
  EXPECT_THAT(run_reference(one_node(Shape{2}, Op::Dropout, {}, {}), std::vector<float>{-1, 2}, 1), ElementsAre(-1, 2));
}

TEST(Reference, SoftmaxByHandAlongAnyAxis) {
  const Model last = one_node(Shape{2}, Op::Softmax, {}, {});
  // e^0 / (e^0 + e^1) correctly rounded from its known value; double's exp and quotient err by a few 2^-53.
  const std::vector<double> y = run_reference(last, std::vector<float>{1000, 1001}, 1);
  EXPECT_NEAR(y[0], 0.26894142136999512, 8 * 0x1p-53);
  EXPECT_NEAR(y[0] + y[1], 1.0, 8 * 0x1p-53);
  const Model middle = one_node(Shape{2, 2}, Op::Softmax, {}, {{"axis", std::int64_t{1}}});
  const std::vector<double> z = run_reference(middle, std::vector<float>{0, 5, 1, 5}, 1);
  EXPECT_NEAR(z[0], 0.26894142136999512, 8 * 0x1p-53);
  EXPECT_EQ(z[1], 0.5);
}

TEST(Reference, AnExactInputHasNoBoundUntilSomethingRounds) {
  std::vector<double> bound;
  (void)run_reference(one_node(Shape{2}, Op::Relu, {}, {}), std::vector<float>{-1, 2}, 1, &bound);
  EXPECT_THAT(bound, ElementsAre(0, 0));
}

// (R5) for one product and a bias: gamma(2) (|w x| + |b|), and an underflow.
TEST(ReferenceBound, OfOneProductIsTheFormula) {
  const Model model = one_node(Shape{1}, Op::Gemm, {{"w", {Shape{1, 1}, {3}}}, {"b", {Shape{1}, {-5}}}}, {{"transB", std::int64_t{1}}});
  std::vector<double> bound;
  (void)run_reference(model, std::vector<float>{-2}, 1, &bound);
  const double nu = 2.0 * (0x1p-24 + 0x1p-53);
  // 0x1p-29 of slack: (R8) adds a factor 1 + 2^-30 and double rounds a handful of times.
  EXPECT_GE(bound[0], nu / (1.0 - nu) * 11.0);
  EXPECT_LE(bound[0], nu / (1.0 - nu) * 11.0 * (1.0 + 0x1p-29));
}

// Sums in adversarial orders must stay within the bound, and some must come near: the bound is neither wrong nor idle.
TEST(ReferenceBound, HoldsForEveryOrderOfSummationAndIsNotIdle) {
  constexpr std::int64_t kCount = 64;
  std::vector<float> weights = test::normals("order.w", kCount);
  const std::vector<float> x = test::normals("order.x", kCount);
  const Model model =
      one_node(Shape{kCount}, Op::Gemm, {{"w", {Shape{1, kCount}, weights}}, {"b", {Shape{1}, {0.125F}}}}, {{"transB", std::int64_t{1}}});
  std::vector<double> bound;
  const double reference = run_reference(model, x, 1, &bound).front();
  std::vector<std::size_t> order(kCount);
  std::iota(order.begin(), order.end(), std::size_t{0});
  double worst = 0.0;
  const auto check = [&] {
    float sum = 0.125F;
    for (const std::size_t i : order) sum += weights[i] * x[i];
    worst = std::max(worst, std::abs(static_cast<double>(sum) - reference));
  };
  check();
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return weights[a] * x[a] > weights[b] * x[b]; });
  check();
  std::reverse(order.begin(), order.end());
  check();
  const Rng rng(1, "orders");
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[rng.at_step(trial).below(i, i + 1)]);
    check();
  }
  EXPECT_LE(worst, bound.front());
  EXPECT_GT(worst, 0.0);
  EXPECT_LT(bound.front(), 2e-3 * std::abs(reference) + 1e-3);
}

// Inherited error: perturbing the input of a layer within its own bound moves the output by no more than the bound of the whole.
TEST(ReferenceBound, GrowsThroughLayersAtLeastAsTheErrorCan) {
  GraphMaker maker(Shape{8});
  const std::string hidden = maker.node(Op::Relu, {maker.gemm("input", 8, 8)});
  const Model first = [&] {
    GraphMaker copy = maker;
    return std::move(copy).finish(hidden);
  }();
  const std::string out = maker.gemm(hidden, 8, 1);
  const Model both = std::move(maker).finish(out);
  const std::vector<float> x = test::normals("x", 8);
  std::vector<double> hidden_bound;
  std::vector<double> bound;
  (void)run_reference(first, x, 1, &hidden_bound);
  (void)run_reference(both, x, 1, &bound);
  const std::vector<float> w = std::get<FloatTensor>(both.weights.at(both.graph.nodes[2].inputs[1])).values;
  double moved = 0.0;
  for (std::size_t i = 0; i < 8; ++i) moved += std::abs(static_cast<double>(w[i])) * hidden_bound[i];
  EXPECT_GT(bound.front(), moved);
}

TEST(Reference, InputMustFit) {
  test::expect_error(ErrorCode::invalid_input,
                     "small: the input has the wrong number of values (found 3, need 4 for [2, 2]); pass a whole batch.",
                     [] { (void)run_reference(one_node(Shape{2}, Op::Relu, {}, {}), std::vector<float>(3), 2); });
}

}  // namespace
}  // namespace bitwright
