// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"

#include "bitwright/core/error.h"
#include "tests/support/expect_error.h"
#include "tests/unit/model/shape_cases.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

using Ints = std::vector<std::int64_t>;
using test::expect_error;
using test::infer;
using test::node_of;

TEST(Transpose, PermutesAndReversesByDefault) {
  EXPECT_EQ(infer(node_of(Op::Transpose, {{"perm", Ints{0, 2, 1}}}), {{2, 3, 4}}), (Shape{2, 4, 3}));
  EXPECT_EQ(infer(node_of(Op::Transpose, {}), {{2, 3, 4}}), (Shape{4, 3, 2}));
  for (const Ints& perm : {Ints{0, 1}, Ints{0, 1, 1}, Ints{0, 1, 3}, Ints{0, -1, 1}, Ints{0, 1, 2, 3}}) {
    expect_error(ErrorCode::invalid_input,
                 "node \"n\": attribute \"perm\" is no permutation (found " + fmt::format("[{}]", fmt::join(perm, ", ")) +
                     ", need each of 3 axes once); check the graph.",
                 [&] {
                   (void)transposed_axes(node_of(Op::Transpose, {{"perm", perm}}), 3);
                 });
  }
  EXPECT_THROW((void)transposed_axes(node_of(Op::Transpose, {{"perm", Ints{}}}), 3), Error);
}

TEST(Reshape, CopiesFillsAndKeepsTheBatchOpen) {
  const auto reshape = [](Ints shape) { return reshaped(node_of(Op::Reshape, {{"shape", std::move(shape)}}), Shape{2, 6, 4}); };
  EXPECT_EQ(reshape({0, -1}), (Shape{2, 24}));
  EXPECT_EQ(reshape({-1, 4}), (Shape{12, 4}));
  EXPECT_EQ(reshape({0, 0, 2, -1}), (Shape{2, 6, 2, 2}));
  EXPECT_EQ(reshape({0, 24}), (Shape{2, 24}));
  const auto misfit = [&](Ints shape, const std::string& text) {
    expect_error(ErrorCode::invalid_input,
                 "node \"n\": attribute \"shape\" does not fit (found " + text + ", need the 48 elements of [2, 6, 4]); check the graph.",
                 [&] { (void)reshape(shape); });
  };
  misfit({0, 23}, "[0, 23]");
  misfit({0, 5, -1}, "[0, 5, -1]");
  misfit({0, -1, -1}, "[0, -1, -1]");
  misfit({0, 12}, "[0, 12]");
  misfit({0, 1, 1, 0}, "[0, 1, 1, 0]");
  misfit({0, -2}, "[0, -2]");
  misfit({0, std::int64_t{1} << 62, std::int64_t{1} << 62}, "[0, 4611686018427387904, 4611686018427387904]");
  expect_error(ErrorCode::unsupported,
               "node \"n\": a fixed first extent is not supported (found [2, 24], need 0 or -1, the batch's); export with a dynamic batch.",
               [&] {
                 (void)reshape({2, 24});
               });
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"shape\" is missing or empty (need one extent or more); check the graph.",
               [&] { (void)reshape({}); });
}

TEST(Gather, CountsNegativeIndicesFromTheBack) {
  const auto gather = [](Ints indices) { return node_of(Op::Gather, {{"axis", std::int64_t{1}}, {"indices", std::move(indices)}}); };
  EXPECT_EQ(gathered_indices(gather({0, -1, 2}), 4), (Ints{0, 3, 2}));
  EXPECT_EQ(infer(gather({0, -1, 2}), {{2, 4, 5}}), (Shape{2, 3, 5}));
  expect_error(ErrorCode::invalid_input, "node \"n\": an index is outside the axis (found 4, need -4 to 3); check the graph.", [&] {
    (void)infer(gather({4}), {{2, 4, 5}});
  });
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"indices\" is missing or empty (need one index or more); check the graph.",
               [&] {
                 (void)infer(gather({}), {{2, 4, 5}});
               });
}

TEST(ReduceMean, KeepsOrDropsAxes) {
  const auto mean = [](std::map<std::string, Attribute> attributes) { return node_of(Op::ReduceMean, std::move(attributes)); };
  EXPECT_EQ(infer(mean({{"axes", Ints{-1, 1}}}), {{2, 3, 4}}), (Shape{2, 1, 1}));
  EXPECT_EQ(infer(mean({{"axes", Ints{1}}, {"keepdims", std::int64_t{0}}}), {{2, 3, 4}}), (Shape{2, 4}));
  EXPECT_EQ(infer(mean({}), {{2, 3}}), (Shape{1, 1}));
  expect_error(ErrorCode::invalid_input, "node \"n\": ReduceMean names an axis twice (found axis 1, need each once); check the graph.",
               [&] {
                 (void)infer(mean({{"axes", Ints{1, -2}}}), {{2, 3, 4}});
               });
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"keepdims\" is out of range (found 2, need 0 or 1); check the graph.",
               [&] {
                 (void)infer(mean({{"keepdims", std::int64_t{2}}}), {{2, 3, 4}});
               });
}

TEST(PaddedSources, ReflectWithoutTheBorderAndRepeatTheEdge) {
  EXPECT_EQ(padded_sources(node_of(Op::Pad, {{"mode", std::string("reflect")}, {"pads", Ints{3, 2}}}), Shape{4}),
            (std::vector<Ints>{{3, 2, 1, 0, 1, 2, 3, 2, 1}}));
  EXPECT_EQ(padded_sources(node_of(Op::Pad, {{"mode", std::string("edge")}, {"pads", Ints{0, 2, 1, 0}}}), Shape{2, 3}),
            (std::vector<Ints>{{0, 1, 1}, {0, 0, 0, 1, 2}}));
}

TEST(Concat, AddsExtentsAlongItsAxis) {
  const auto concat = [](std::int64_t axis, std::size_t inputs) { return node_of(Op::Concat, {{"axis", axis}}, inputs); };
  EXPECT_EQ(infer(concat(1, 3), {{2, 3, 4}, {2, 1, 4}, {2, 5, 4}}), (Shape{2, 9, 4}));
  EXPECT_EQ(infer(concat(-1, 1), {{2, 3, 4}}), (Shape{2, 3, 4}));
  expect_error(
      ErrorCode::invalid_input,
      "node \"n\": inputs \"x0\" and \"x1\" do not join along axis 1 (found [2, 3, 4] and [2, 3, 5], need equal other extents); check "
      "the graph.",
      [&] {
        (void)infer(concat(1, 2), {{2, 3, 4}, {2, 3, 5}});
      });
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"axis\" is missing (need the axis to join); check the graph.", [] {
    (void)infer(node_of(Op::Concat, {}, 2), {{2, 3}, {2, 3}});
  });
  EXPECT_THROW((void)infer(concat(0, 2), {{2, 3}, {}}), Error);
}

TEST(BinaryRules, Broadcast) {
  for (const Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Pow}) {
    EXPECT_EQ(infer(node_of(op, {}, 2), {{2, 3, 4}, {3, 1}}), (Shape{2, 3, 4}));
    EXPECT_EQ(infer(node_of(op, {}, 2), {{3, 1}, {2, 1, 4}}), (Shape{2, 3, 4}));
    expect_error(ErrorCode::invalid_input,
                 "node \"n\": inputs \"x0\" and \"x1\" do not broadcast (found [2, 3] and [2], need equal extents or 1); check the graph.",
                 [op] {
                   (void)infer(node_of(op, {}, 2), {{2, 3}, {2}});
                 });
  }
  EXPECT_EQ(infer(node_of(Op::PRelu, {}, 2), {{2, 3, 4}, {3, 1}}), (Shape{2, 3, 4}));
  expect_error(ErrorCode::invalid_input,
               "node \"n\": slope \"x1\" does not broadcast to its input (found [2, 3], need at most [1, 3]); check the graph.", [] {
                 (void)infer(node_of(Op::PRelu, {}, 2), {{1, 3}, {2, 3}});
               });
}

TEST(UnaryRules, KeepTheShapeAndRefuseStrangeAttributes) {
  for (const Op op : {Op::Abs, Op::Clip, Op::Elu, Op::Erf, Op::Exp, Op::Gelu, Op::HardSigmoid, Op::HardSwish, Op::LeakyRelu, Op::Neg,
                      Op::Relu, Op::Sigmoid, Op::Sqrt, Op::Tanh}) {
    EXPECT_EQ(infer(node_of(op, {}), {{2, 3, 4}}), (Shape{2, 3, 4}));
    EXPECT_THROW((void)infer(node_of(op, {{"colour", 1.0F}}), {{2, 3}}), Error) << op_entry(op).name;
  }
}

TEST(MatMulRule, LeadingAxesBroadcast) {
  const Node node = node_of(Op::MatMul, {}, 2);
  EXPECT_EQ(infer(node, {{2, 5, 3}, {3, 4}}), (Shape{2, 5, 4}));
  EXPECT_EQ(infer(node, {{2, 1, 5, 3}, {7, 3, 4}}), (Shape{2, 7, 5, 4}));
  for (const std::vector<Shape>& shapes : {std::vector<Shape>{{2, 5, 3}, {4, 3}}, std::vector<Shape>{{2, 5, 3}, {3, 3, 4}}}) {
    expect_error(ErrorCode::invalid_input,
                 "node \"n\": \"x0\" and \"x1\" do not multiply (found " + shapes[0].to_string() + " and " + shapes[1].to_string() +
                     ", need [.., m, k] and [.., k, n]); check the graph.",
                 [&] { (void)infer(node, shapes); });
  }
  EXPECT_THROW((void)infer(node, {{3}, {3, 4}}), Error);
}

TEST(NormalizationRules, ShapesAndFactors) {
  const auto norm = [](std::map<std::string, Attribute> attributes) { return node_of(Op::LayerNormalization, std::move(attributes), 3); };
  EXPECT_EQ(infer(norm({}), {{2, 3, 4}, {4}, {4}}), (Shape{2, 3, 4}));
  EXPECT_EQ(infer(norm({{"axis", std::int64_t{1}}}), {{2, 3, 4}, {3, 4}, {3, 4}}), (Shape{2, 3, 4}));
  expect_error(ErrorCode::invalid_input,
               "weight \"x1\" does not fit node \"n\" (found [3], need [4]); give weights trained for this graph.", [&] {
                 (void)infer(norm({}), {{2, 3, 4}, {3}, {4}});
               });
  expect_error(ErrorCode::unsupported,
               "node \"n\": LayerNormalization over the batch is not supported (found axis 0, need 1 or more); rewrite the node.", [&] {
                 (void)infer(norm({{"axis", std::int64_t{0}}}), {{2, 3}, {2, 3}, {2, 3}});
               });
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"epsilon\" is out of range (found 0, need above 0); check the graph.",
               [&] {
                 (void)infer(norm({{"epsilon", 0.0F}}), {{2, 3}, {3}, {3}});
               });
  EXPECT_EQ(infer(node_of(Op::LRN, {{"size", std::int64_t{5}}}), {{2, 3, 4, 4}}), (Shape{2, 3, 4, 4}));
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"size\" is out of range (found 0, need 1 or more); check the graph.", [] {
    (void)infer(node_of(Op::LRN, {}), {{2, 3, 4, 4}});
  });
  expect_error(
      ErrorCode::unsupported,
      "node \"n\": LRN with these factors is not supported (found alpha 0.5, beta 0.75, bias 0, need 0 or more, bias above 0); check "
      "the graph.",
      [] {
        (void)infer(node_of(Op::LRN, {{"size", std::int64_t{5}}, {"alpha", 0.5F}, {"bias", 0.0F}}), {{2, 3, 4, 4}});
      });
}

}  // namespace
}  // namespace bitwright
