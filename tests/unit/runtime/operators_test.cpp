// SPDX-License-Identifier: Apache-2.0
// Every operator of ops.inc in a session against the reference, over its parameters; the derived bound is the only tolerance.
#include "bitwright/core/error.h"
#include "tests/support/operator_cases.h"
#include "tests/unit/runtime/small_models.h"

#include <gmock/gmock.h>

#include <set>

namespace bitwright {
namespace {

using test::expect_within_bound;
using test::GraphMaker;
using test::quantized;
using Attributes = GraphMaker::Attributes;
using Ints = GraphMaker::Ints;

struct ConvCase {
  std::int64_t channels;
  std::int64_t outputs;
  std::int64_t group;
  Ints kernel;
  Ints strides;
  Ints pads;
  Ints dilations;
};

class ConvSweep : public ::testing::TestWithParam<ConvCase> {};

TEST_P(ConvSweep, WithinBound) {
  const ConvCase& c = GetParam();
  for (const Shape& image : {Shape{c.channels, 12, 12}, Shape{c.channels, 9, 14}}) {
    GraphMaker maker(image);
    const std::string out = maker.conv("input", Shape{c.outputs, c.channels / c.group, c.kernel[0], c.kernel[1]},
                                       {{"group", c.group}, {"strides", c.strides}, {"pads", c.pads}, {"dilations", c.dilations}});
    const Model model = std::move(maker).finish(out);
    for (const std::int64_t batch : {1, 3}) expect_within_bound(model, {.threads = 1, .batch = batch});
    expect_within_bound(quantized(model, NumberFormat::parse("pow2:4")), {.threads = 1, .batch = 1});
  }
}

INSTANTIATE_TEST_SUITE_P(Conv, ConvSweep,
                         ::testing::Values(ConvCase{1, 20, 1, {5, 5}, {1, 1}, {0, 0, 0, 0}, {1, 1}},    // LeNet's first
                                           ConvCase{3, 16, 1, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}},    // ResNet's first
                                           ConvCase{16, 32, 1, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}},   // strided
                                           ConvCase{20, 50, 1, {5, 5}, {1, 1}, {0, 0, 0, 0}, {1, 1}},   // channels that fill no vector
                                           ConvCase{16, 16, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}},   // pointwise
                                           ConvCase{8, 12, 4, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}},    // grouped
                                           ConvCase{16, 16, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}},  // depthwise
                                           ConvCase{6, 7, 1, {3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2}},     // dilated
                                           ConvCase{5, 6, 1, {3, 2}, {2, 1}, {0, 1, 2, 0}, {1, 3}}));   // nothing symmetric

TEST(ConvOperator, WithoutBias) {
  GraphMaker maker(Shape{3, 8, 8});
  const std::string out = maker.node(Op::Conv, {"input", maker.weight("w", Shape{4, 3, 3, 3})});
  expect_within_bound(std::move(maker).finish(out), {.threads = 1, .batch = 2});
}

TEST(GemmOperator, EveryFormatAndBatch) {
  for (const bool with_bias : {true, false}) {
    GraphMaker maker(Shape{37});
    const std::string out = with_bias ? maker.gemm("input", 37, 21)
                                      : maker.node(Op::Gemm, {"input", maker.weight("w", Shape{21, 37})}, {{"transB", std::int64_t{1}}});
    const Model model = std::move(maker).finish(out);
    for (const std::int64_t batch : {1, 5, 8, 9}) {
      expect_within_bound(model, {.threads = 1, .batch = batch});
      for (const char* format : {"pow2:2", "pow2:3", "pow2:4", "pow2:5", "pow2:6", "ternary", "ternary:2bit", "uniform:1", "uniform:5",
                                 "uniform:6", "uniform:3/64", "codebook:2", "codebook:27", "fixed<1,4>", "fixed<2,4>"}) {
        SCOPED_TRACE(format);
        expect_within_bound(quantized(model, NumberFormat::parse(format)), {.threads = 1, .batch = batch});
      }
    }
  }
}

TEST(GemmOperator, PackedWithEveryTail) {
  for (const bool normalized : {false, true}) {
    for (const bool residual : {false, true}) {
      for (const bool relu : {false, true}) {
        GraphMaker maker(Shape{300});
        std::string value = maker.gemm("input", 300, 300);
        if (normalized) value = maker.batch_normalization(value, 300);
        if (residual) value = maker.node(Op::Add, {value, "input"});
        if (relu) value = maker.node(Op::Relu, {value});
        const Model model = quantized(std::move(maker).finish(value), NumberFormat::parse("pow2:5"));
        for (const int threads : {1, 2}) expect_within_bound(model, {.threads = threads, .batch = 3});
        const Session session(model, {.threads = 1, .batch = 3});
        EXPECT_THAT(test::report_of(session, "Gemm0").kernel, ::testing::StartsWith("gemv_packed:"));
        for (std::size_t i = 1; i < model.graph.nodes.size(); ++i) {
          EXPECT_EQ(test::report_of(session, model.graph.nodes[i].name).kernel, "fused into Gemm0");
        }
      }
    }
  }
}

TEST(PoolOperators, EveryWindow) {
  struct Case {
    Ints kernel;
    Ints strides;
    Ints pads;
    std::int64_t ceil_mode;
  };
  for (const Case& c : {Case{{2, 2}, {2, 2}, {0, 0, 0, 0}, 0}, Case{{3, 2}, {2, 1}, {0, 0, 0, 0}, 0}, Case{{1, 3}, {1, 2}, {0, 0, 0, 0}, 0},
                        Case{{3, 3}, {2, 2}, {0, 0, 0, 0}, 1}, Case{{3, 3}, {2, 2}, {1, 1, 1, 1}, 0}, Case{{3, 2}, {1, 3}, {2, 0, 1, 1}, 1},
                        Case{{2, 2}, {3, 3}, {1, 1, 0, 0}, 1}}) {
    for (const Shape& image : {Shape{5, 8, 8}, Shape{17, 7, 9}}) {
      const Attributes window = {{"kernel_shape", c.kernel}, {"strides", c.strides}, {"pads", c.pads}, {"ceil_mode", c.ceil_mode}};
      GraphMaker largest(image);
      const std::string a = largest.node(Op::MaxPool, {"input"}, window);
      expect_within_bound(std::move(largest).finish(a), {.threads = 1, .batch = 2});
      for (const std::int64_t count_padding : {0, 1}) {
        GraphMaker mean(image);
        Attributes attributes = window;
        attributes["count_include_pad"] = count_padding;
        const std::string b = mean.node(Op::AveragePool, {"input"}, attributes);
        expect_within_bound(std::move(mean).finish(b), {.threads = 1, .batch = 2});
      }
    }
  }
}

TEST(PoolOperators, MaximumOfNegativeValuesIgnoresThePadding) {
  GraphMaker maker(Shape{1, 2, 2});
  const std::string out =
      maker.node(Op::MaxPool, {"input"}, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{2, 2}}});
  Session session(std::move(maker).finish(out));
  EXPECT_EQ(test::run_session(session, {-1, -2, -3, -4}), (std::vector<float>{-1, -2, -3, -4}));
}

TEST(PoolOperators, GlobalAverage) {
  GraphMaker maker(Shape{19, 5, 7});
  const std::string out = maker.node(Op::GlobalAveragePool, {"input"});
  expect_within_bound(std::move(maker).finish(out), {.threads = 1, .batch = 3});
}

TEST(SingleOperators, EachWithinBound) {
  const auto check = [](const Shape& image, Op op, const Attributes& attributes) {
    GraphMaker maker(image);
    const std::string out = maker.node(op, {"input"}, attributes);
    expect_within_bound(std::move(maker).finish(out), {.threads = 1, .batch = 2});
  };
  check(Shape{3, 5, 4}, Op::Relu, {});
  check(Shape{6}, Op::Relu, {});
  check(Shape{3, 5, 4}, Op::Dropout, {});
  check(Shape{3, 5, 4}, Op::Flatten, {});
  check(Shape{3, 5, 4}, Op::Flatten, {{"axis", std::int64_t{-3}}});
  check(Shape{3, 5, 4}, Op::Pad, {{"pads", Ints{0, 1, 2, 0, 0, 3, 0, 1}}, {"value", -2.5F}});
  check(Shape{3, 5, 4}, Op::Slice, {{"starts", Ints{1, 0}}, {"ends", Ints{3, 5}}, {"axes", Ints{1, 2}}, {"steps", Ints{1, 2}}});
  check(Shape{3, 5, 4}, Op::Slice, {{"starts", Ints{-2}}, {"ends", Ints{1000}}, {"axes", Ints{-1}}});
  for (const std::int64_t axis : {-1, 1, 2}) check(Shape{7, 5, 4}, Op::Softmax, {{"axis", axis}});
  check(Shape{10}, Op::Softmax, {});
}

TEST(SingleOperators, BatchNormalizationOnItsOwnAndWithRelu) {
  for (const bool relu : {false, true}) {
    for (const Shape& image : {Shape{6, 4, 5}, Shape{16, 3, 3}}) {
      GraphMaker maker(image);
      std::string value = maker.batch_normalization("input", image[0]);
      if (relu) value = maker.node(Op::Relu, {value});
      expect_within_bound(std::move(maker).finish(value), {.threads = 1, .batch = 2});
    }
  }
}

TEST(AddOperator, OnItsOwnWithReluAndWithItself) {
  for (const bool relu : {false, true}) {
    GraphMaker maker(Shape{5, 4, 4});
    const std::string a = maker.node(Op::Relu, {"input"});
    std::string value = maker.node(Op::Add, {a, "input"});
    value = maker.node(Op::Add, {value, value});
    if (relu) value = maker.node(Op::Relu, {value});
    expect_within_bound(std::move(maker).finish(value), {.threads = 1, .batch = 2});
  }
}

// The ways a residual can lie: dying here, still needed, made before or after, the product's own source, in another layout.
TEST(ResidualBlocks, EveryWayToJoin) {
  const Attributes same = {{"pads", Ints{1, 1, 1, 1}}};
  const auto check = [](GraphMaker maker, const std::string& out) {
    const Model model = std::move(maker).finish(out);
    for (const std::int64_t batch : {1, 2}) {
      expect_within_bound(model, {.threads = 1, .batch = batch});
      expect_within_bound(quantized(model, NumberFormat::parse("pow2:3")), {.threads = 1, .batch = batch});
    }
  };
  {
    SCOPED_TRACE("identity shortcut that dies");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string x = maker.node(Op::Relu, {"input"});
    const std::string b = maker.conv(maker.node(Op::Relu, {maker.conv(x, Shape{16, 16, 3, 3}, same)}), Shape{16, 16, 3, 3}, same);
    const std::string out = maker.node(Op::Relu, {maker.node(Op::Add, {x, maker.batch_normalization(b, 16)})});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("the shortcut is read again later");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string x = maker.node(Op::Relu, {"input"});
    const std::string sum = maker.node(Op::Add, {maker.conv(x, Shape{16, 16, 3, 3}, same), x});
    const std::string out = maker.node(Op::Add, {sum, x});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("the shortcut is the product's own source");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string out = maker.node(Op::Add, {maker.conv("input", Shape{16, 16, 3, 3}, same), "input"});
    check(std::move(maker), out);
  }
  {
    // Made by a convolution, so it lies in the layout that the next one writes and nothing but its other reader keeps it from being
    // overwritten.
    SCOPED_TRACE("the shortcut is a convolution's and is read again later");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string x = maker.conv("input", Shape{16, 16, 3, 3}, same);
    const std::string sum = maker.node(Op::Add, {maker.conv("input", Shape{16, 16, 3, 3}, same), x});
    const std::string out = maker.node(Op::Add, {maker.conv(x, Shape{16, 16, 3, 3}, same), sum});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("the shortcut is a convolution's and the product's own source");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string x = maker.conv("input", Shape{16, 16, 3, 3}, same);
    const std::string out = maker.node(Op::Add, {maker.conv(x, Shape{16, 16, 3, 3}, same), x});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("another value lies in the shortcut's buffer");
    GraphMaker maker(Shape{24});
    const std::string x = maker.gemm("input", 24, 24);
    const std::string view = maker.node(Op::Flatten, {x});
    const std::string sum = maker.node(Op::Add, {maker.gemm("input", 24, 24), x});
    const std::string out = maker.node(Op::Add, {sum, view});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("two products join");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string a = maker.batch_normalization(maker.conv("input", Shape{8, 16, 3, 3}, same), 8);
    const std::string b = maker.batch_normalization(maker.conv("input", Shape{8, 16, 1, 1}), 8);
    const std::string out = maker.node(Op::Relu, {maker.node(Op::Add, {a, b})});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("sliced and padded shortcut, written after the product");
    GraphMaker maker(Shape{16, 6, 6});
    const std::string a = maker.conv("input", Shape{32, 16, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{2, 2}}});
    const std::string sliced =
        maker.node(Op::Slice, {"input"}, {{"starts", Ints{0, 0}}, {"ends", Ints{6, 6}}, {"axes", Ints{2, 3}}, {"steps", Ints{2, 2}}});
    const std::string padded = maker.node(Op::Pad, {sliced}, {{"pads", Ints{0, 8, 0, 0, 0, 8, 0, 0}}});
    const std::string out = maker.node(Op::Relu, {maker.node(Op::Add, {a, padded})});
    check(std::move(maker), out);
  }
  {
    SCOPED_TRACE("a product with two readers is not fused away");
    GraphMaker maker(Shape{4, 6, 6});
    const std::string a = maker.conv("input", Shape{4, 4, 3, 3}, same);
    const std::string out = maker.node(Op::Add, {maker.node(Op::Relu, {a}), a});
    check(std::move(maker), out);
  }
}

TEST(RandomGraphs, ChainsOfThreeOperators) {
  const Rng rng(5, "random_graphs");
  for (std::uint64_t graph = 0; graph < 60; ++graph) {
    SCOPED_TRACE(graph);
    Shape shape{static_cast<std::int64_t>(1 + rng.split("channels").below(graph, 20)), 8, 8};
    GraphMaker maker(shape);
    std::string value = "input";
    for (std::uint64_t step = 0; step < 3; ++step) {
      switch (rng.split("operator").below(graph * 3 + step, 6)) {
        case 0: {
          const auto outputs = static_cast<std::int64_t>(1 + rng.split("outputs").below(graph * 3 + step, 20));
          value = maker.conv(value, Shape{outputs, shape[0], 3, 3}, {{"pads", Ints{1, 1, 1, 1}}});
          shape = Shape{outputs, shape[1], shape[2]};
          break;
        }
        case 1: value = maker.batch_normalization(value, shape[0]); break;
        case 2: value = maker.node(Op::Relu, {value}); break;
        case 3: value = maker.node(Op::MaxPool, {value}, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{0, 0, 1, 1}}}); break;
        case 4: value = maker.node(Op::Add, {value, value}); break;
        default: value = maker.node(Op::AveragePool, {value}, {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}}); break;
      }
    }
    expect_within_bound(std::move(maker).finish(value), {.threads = 1, .batch = 2});
    if (HasFatalFailure()) return;
  }
}

TEST(Operators, EveryLineOfTheRegistryIsExercisedHere) {
  std::set<std::string_view> exercised = {
      "Add",   "AveragePool", "BatchNormalization", "Conv", "Dropout", "Flatten", "Gemm", "GlobalAveragePool", "MaxPool", "Pad", "Relu",
      "Slice", "Softmax"};
  for (const test::OperatorCase& each : test::operator_cases()) {  // operator_sweep_test.cpp
    for (const Node& node : each.model.graph.nodes) exercised.insert(op_entry(node.op).name);
  }
  for (const OpEntry& entry : op_registry())
    EXPECT_TRUE(exercised.contains(entry.name)) << entry.name << " needs a case here or in operator_cases.h";
}

TEST(Operators, WhatOneDnnCannotRunIsUnsupportedAndNamesTheNode) {
  GraphMaker maker(Shape{1});
  const std::string out = maker.node(Op::Add, {"input", "input"});
  Model model = std::move(maker).finish(out);
  model.graph.inputs.front().shape = Shape{Shape::kDynamic, 1, 1, 1, 1, 1, 1, 1};
  model.graph.nodes.front() = {
      .name = "norm", .op = Op::BatchNormalization, .inputs = {"input", "s", "s", "s", "s"}, .outputs = {out}, .attributes = {}};
  model.weights.emplace("s", FloatTensor{.shape = Shape{1}, .values = {1.0F}});
  try {
    const Session session(model);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_THAT(
        error.message(),
        ::testing::StartsWith("node \"norm\": oneDNN cannot run this BatchNormalization (found input [1, 1, 1, 1, 1, 1, 1, 1], s [1]"));
  }
}

}  // namespace
}  // namespace bitwright
