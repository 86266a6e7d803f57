// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/slice_range.h"
#include "bitwright/model/window.h"
#include "tests/support/expect_error.h"
#include "tests/unit/model/shape_cases.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

using Ints = std::vector<std::int64_t>;
using test::expect_error;
using test::infer;
using test::node_of;

// The window rule against counting: slide the window and count the positions it may take.
std::int64_t count_positions(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t begin, std::int64_t end,
                             bool ceil_mode) {
  std::int64_t count = 0;
  for (std::int64_t start = -begin;; start += stride) {
    const bool fits = start + kernel <= in + end;
    // In ceil mode a window may hang over the end, once, when it begins inside the input or its leading pad.
    const bool hangs_over = ceil_mode && start < in && start - stride + kernel < in + end;
    if (!fits && !(count > 0 && hangs_over)) return count;
    ++count;
  }
}

TEST(Window, OutputExtentEqualsCountedPositions) {
  int checked = 0;
  for (std::int64_t in = 1; in <= 12; ++in) {
    for (std::int64_t kernel = 1; kernel <= 5; ++kernel) {
      for (std::int64_t stride = 1; stride <= 4; ++stride) {
        for (std::int64_t begin = 0; begin < kernel; ++begin) {
          for (std::int64_t end = 0; end < kernel; ++end) {
            if (in + begin + end < kernel) continue;
            for (const std::int64_t ceil_mode : {0, 1}) {
              const Node node = node_of(Op::MaxPool, {{"kernel_shape", Ints{kernel, 1}},
                                                      {"strides", Ints{stride, 1}},
                                                      {"pads", Ints{begin, 0, end, 0}},
                                                      {"ceil_mode", ceil_mode}});
              const Window window = read_window(node);
              ASSERT_EQ(window_output_extent(node, window, 0, in), count_positions(in, kernel, stride, begin, end, ceil_mode == 1))
                  << "in " << in << " kernel " << kernel << " stride " << stride << " pads " << begin << ' ' << end << " ceil "
                  << ceil_mode;
              ++checked;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(checked, 3000);
}

TEST(Window, DilationSpreadsTheKernel) {
  // Taps at 0, 3, 6: reach 7, so 10 rows give 4 positions.
  const Node node = node_of(Op::Conv, {{"kernel_shape", Ints{3, 1}}, {"dilations", Ints{3, 1}}});
  EXPECT_EQ(window_output_extent(node, read_window(node), 0, 10), 4);
}

TEST(Window, ConvTakesItsKernelFromTheWeight) {
  const Shape weight{8, 3, 5, 7};
  EXPECT_EQ(read_window(node_of(Op::Conv, {}), &weight), (Window{.kernel = {5, 7}}));
}

TEST(Window, PadsAreBeginsThenEnds) {
  const Window window = read_window(node_of(Op::MaxPool, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{1, 2, 3, 4}}}));
  EXPECT_EQ(window.pads_begin, (std::array<std::int64_t, 2>{1, 2}));
  EXPECT_EQ(window.pads_end, (std::array<std::int64_t, 2>{3, 4}));
}

TEST(Window, RefusesWhatMakesNoSense) {
  const auto refuses = [](ErrorCode code, const std::string& message, std::map<std::string, Attribute> attributes) {
    expect_error(code, message, [&] { (void)read_window(node_of(Op::MaxPool, std::move(attributes))); });
  };
  refuses(ErrorCode::invalid_input,
          "node \"n\": attribute \"kernel_shape\" has the wrong number of values (found 0, need 2); check the graph.", {});
  refuses(ErrorCode::invalid_input, "node \"n\": attribute \"strides\" is out of range (found 0, need 1 to 2147483647); check the graph.",
          {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{0, 1}}});
  refuses(ErrorCode::invalid_input, "node \"n\": attribute \"pads\" is out of range (found -1, need 0 to 2147483647); check the graph.",
          {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{0, -1, 0, 0}}});
  refuses(ErrorCode::unsupported, "node \"n\": auto_pad is not supported (found SAME_UPPER, need NOTSET); write the pads out.",
          {{"kernel_shape", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}});
  refuses(ErrorCode::unsupported, "node \"n\": ceil_mode is not supported (found 2, need 0 or 1); check the graph.",
          {{"kernel_shape", Ints{2, 2}}, {"ceil_mode", std::int64_t{2}}});
}

TEST(ConvRule, ShapesGroupsAndMessages) {
  const auto conv = [](std::map<std::string, Attribute> attributes) { return node_of(Op::Conv, std::move(attributes), 3); };
  EXPECT_EQ(infer(conv({{"strides", Ints{2, 1}}, {"pads", Ints{1, 0, 1, 0}}}), {{2, 3, 9, 8}, {16, 3, 3, 5}, {16}}), (Shape{2, 16, 5, 4}));
  EXPECT_EQ(infer(conv({{"group", std::int64_t{3}}}), {{1, 6, 4, 4}, {9, 2, 1, 1}, {9}}), (Shape{1, 9, 4, 4}));
  expect_error(ErrorCode::invalid_input,
               "weight \"x1\" does not fit node \"n\" (found [20, 3, 5, 5], need [?, 1, ?, ?]); give weights trained for this graph.", [&] {
                 (void)infer(conv({}), {{1, 1, 28, 28}, {20, 3, 5, 5}, {20}});
               });
  expect_error(ErrorCode::invalid_input,
               "weight \"x1\" does not fit node \"n\" (found [20, 1, 3, 3], need [?, 1, 5, 5]); give weights trained for this graph.", [&] {
                 (void)infer(conv({{"kernel_shape", Ints{5, 5}}}), {{1, 1, 28, 28}, {20, 1, 3, 3}, {20}});
               });
  expect_error(ErrorCode::invalid_input,
               "node \"n\": attribute \"group\" does not divide the channels (found 4, need a divisor of 6); check the graph.", [&] {
                 (void)infer(conv({{"group", std::int64_t{4}}}), {{1, 6, 4, 4}, {8, 2, 1, 1}, {8}});
               });
  expect_error(ErrorCode::invalid_input,
               "node \"n\": weight \"x1\" has output channels that do not divide into groups (found [8, 2, 1, 1], need a multiple of 3); "
               "give weights "
               "trained for this graph.",
               [&] {
                 (void)infer(conv({{"group", std::int64_t{3}}}), {{1, 6, 4, 4}, {8, 2, 1, 1}, {8}});
               });
  expect_error(ErrorCode::invalid_input,
               "node \"n\": input \"x0\" has the wrong rank for Conv (found [1, 6], need rank 4); check the graph.", [&] {
                 (void)infer(conv({}), {{1, 6}, {8, 6, 1, 1}, {8}});
               });
  expect_error(ErrorCode::invalid_input,
               "node \"n\": the window is larger than its padded input along width (found window 5, need at most 4); use a larger input.",
               [&] {
                 (void)infer(conv({}), {{1, 6, 4, 4}, {8, 6, 4, 5}, {8}});
               });
}

TEST(ConvRule, TheKernelAttributeIsInTheMessageWhenStated) {
  expect_error(ErrorCode::invalid_input,
               "weight \"x1\" does not fit node \"n\" (found [20, 3, 5, 5], need [?, 1, 5, 5]); give weights trained for this graph.", [] {
                 (void)infer(node_of(Op::Conv, {{"kernel_shape", Ints{5, 5}}}, 2), {{1, 1, 28, 28}, {20, 3, 5, 5}});
               });
}

TEST(GemmRule, OnlyTheFullyConnectedForm) {
  const auto gemm = [](std::map<std::string, Attribute> attributes) {
    return infer(node_of(Op::Gemm, std::move(attributes), 3), {{4, 6}, {5, 6}, {5}});
  };
  EXPECT_EQ(gemm({{"transB", std::int64_t{1}}, {"alpha", 1.0F}, {"beta", 1.0F}, {"transA", std::int64_t{0}}}), (Shape{4, 5}));
  expect_error(ErrorCode::unsupported, "node \"n\": Gemm with this \"transB\" is not supported (found 0, need 1); rewrite the node.",
               [&] { (void)gemm({}); });
  expect_error(ErrorCode::unsupported,
               "node \"n\": Gemm with this \"alpha\" is not supported (found 0.5, need 1); multiply it into the weights.", [&] {
                 (void)gemm({{"transB", std::int64_t{1}}, {"alpha", 0.5F}});
               });
  expect_error(ErrorCode::unsupported, "node \"n\": Gemm with this \"transA\" is not supported (found 1, need 0); rewrite the node.", [&] {
    (void)gemm({{"transB", std::int64_t{1}}, {"transA", std::int64_t{1}}});
  });
}

TEST(PoolRules, PadsMustLeaveAPixelInTheWindow) {
  for (const Op op : {Op::MaxPool, Op::AveragePool}) {
    expect_error(ErrorCode::invalid_input,
                 "node \"n\": a pad is as large as the window (found pads 2 and 0, need less than 2); check the graph.", [&] {
                   (void)infer(node_of(op, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{2, 0, 0, 0}}}), {{1, 1, 4, 4}});
                 });
  }
  expect_error(ErrorCode::unsupported, "node \"n\": a dilated mean is not supported (found dilation 2, need 1); rewrite the node.", [] {
    (void)infer(node_of(Op::AveragePool, {{"kernel_shape", Ints{2, 2}}, {"dilations", Ints{1, 2}}}), {{1, 1, 4, 4}});
  });
  const auto dilated = node_of(Op::MaxPool, {{"kernel_shape", Ints{2, 2}}, {"dilations", Ints{1, 3}}, {"pads", Ints{0, 1, 0, 1}}});
  EXPECT_EQ(infer(dilated, {{1, 1, 4, 4}}), (Shape{1, 1, 3, 3}));
  expect_error(ErrorCode::unsupported, "node \"n\": the dilation is larger than the image (found 3, need at most 2); rewrite the node.",
               [&] {
                 (void)infer(dilated, {{1, 1, 4, 2}});
               });
  expect_error(
      ErrorCode::invalid_input, "node \"n\": attribute \"count_include_pad\" is out of range (found 2, need 0 or 1); check the graph.", [] {
        (void)infer(node_of(Op::AveragePool, {{"kernel_shape", Ints{2, 2}}, {"count_include_pad", std::int64_t{2}}}), {{1, 1, 4, 4}});
      });
}

TEST(BatchNormalizationRule, WantsOneValuePerChannel) {
  const Node node = node_of(Op::BatchNormalization, {}, 5);
  EXPECT_EQ(infer(node, {{2, 3, 4, 4}, {3}, {3}, {3}, {3}}), (Shape{2, 3, 4, 4}));
  EXPECT_EQ(infer(node, {{2, 3}, {3}, {3}, {3}, {3}}), (Shape{2, 3}));
  for (std::size_t wrong = 1; wrong < 5; ++wrong) {
    std::vector<Shape> inputs = {{2, 3}, {3}, {3}, {3}, {3}};
    inputs[wrong] = Shape{4};
    expect_error(
        ErrorCode::invalid_input,
        "weight \"x" + std::to_string(wrong) + "\" does not fit node \"n\" (found [4], need [3]); give weights trained for this graph.",
        [&] { (void)infer(node, inputs); });
  }
  expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"epsilon\" is out of range (found -1, need 0 or more); check the graph.",
               [] {
                 (void)infer(node_of(Op::BatchNormalization, {{"epsilon", -1.0F}}, 5), {{2, 3}, {3}, {3}, {3}, {3}});
               });
}

TEST(FlattenRule, SplitsAtTheAxis) {
  const Shape src{2, 3, 4, 5};
  const std::map<std::int64_t, Shape> need = {{0, {1, 120}}, {1, {2, 60}}, {2, {6, 20}}, {4, {120, 1}}, {-1, {24, 5}}, {-4, {1, 120}}};
  for (const auto& [axis, shape] : need) EXPECT_EQ(infer(node_of(Op::Flatten, {{"axis", axis}}), {src}), shape) << axis;
  EXPECT_EQ(infer(node_of(Op::Flatten, {}), {src}), (Shape{2, 60}));
  expect_error(ErrorCode::invalid_input, "node \"n\": axis is outside the tensor (found 5, need -4 to 4); check the graph.", [&] {
    (void)infer(node_of(Op::Flatten, {{"axis", std::int64_t{5}}}), {src});
  });
}

TEST(SoftmaxRule, WantsAnAxisOfTheTensor) {
  EXPECT_EQ(infer(node_of(Op::Softmax, {{"axis", std::int64_t{1}}}), {{2, 10}}), (Shape{2, 10}));
  expect_error(ErrorCode::invalid_input, "node \"n\": axis is outside the tensor (found 2, need -2 to 1); check the graph.", [] {
    (void)infer(node_of(Op::Softmax, {{"axis", std::int64_t{2}}}), {{2, 10}});
  });
}

TEST(DropoutRule, WantsAProbability) {
  EXPECT_EQ(infer(node_of(Op::Dropout, {{"ratio", 0.0F}}), {{2, 10}}), (Shape{2, 10}));
  for (const float ratio : {-0.5F, 1.0F}) EXPECT_THROW((void)infer(node_of(Op::Dropout, {{"ratio", ratio}}), {{2, 10}}), Error) << ratio;
}

TEST(PadRule, AddsBothSides) {
  EXPECT_EQ(infer(node_of(Op::Pad, {{"pads", Ints{0, 4, 0, 1, 0, 4, 2, 0}}}), {{1, 8, 5, 5}}), (Shape{1, 16, 7, 6}));
  expect_error(ErrorCode::invalid_input,
               "node \"n\": attribute \"pads\" has the wrong number of values (found 2, need 8); check the graph.", [] {
                 (void)infer(node_of(Op::Pad, {{"pads", Ints{1, 1}}}), {{1, 8, 5, 5}});
               });
  const auto padded = [](const char* mode, Ints pads) {
    return node_of(Op::Pad, {{"pads", std::move(pads)}, {"mode", std::string(mode)}});
  };
  EXPECT_EQ(infer(padded("reflect", {3, 1}), {{4}}), Shape{8});
  EXPECT_EQ(infer(padded("edge", {5, 7}), {{4}}), Shape{16});
  expect_error(ErrorCode::unsupported, "node \"n\": this pad is not supported (found 4, need 0 to 3); use Slice to crop.", [&] {
    (void)infer(padded("reflect", {0, 4}), {{4}});
  });
  expect_error(ErrorCode::unsupported,
               "node \"n\": this padding mode is not supported (found wrap, need constant, reflect or edge); rewrite the node.", [&] {
                 (void)infer(padded("wrap", {0, 0}), {{4}});
               });
  expect_error(ErrorCode::unsupported, "node \"n\": this pad is not supported (found -1, need 0 to 2147483647); use Slice to crop.", [] {
    (void)infer(node_of(Op::Pad, {{"pads", Ints{-1, 0}}}), {{4}});
  });
}

// Slice against the rule spelled out on an index list.
TEST(SliceRange, KeepsWhatAPythonSliceKeeps) {
  const std::int64_t dim = 7;
  int checked = 0;
  for (std::int64_t start = -9; start <= 9; ++start) {
    for (std::int64_t end = -9; end <= 9; ++end) {
      for (std::int64_t step = 1; step <= 4; ++step) {
        std::vector<std::int64_t> kept;
        const std::int64_t first = start < 0 ? start + dim : start;
        const std::int64_t last = end < 0 ? end + dim : end;
        for (std::int64_t i = std::max<std::int64_t>(first, 0); i < std::min(last, dim); i += step) kept.push_back(i);
        const Node node = node_of(Op::Slice, {{"starts", Ints{start}}, {"ends", Ints{end}}, {"axes", Ints{-1}}, {"steps", Ints{step}}});
        if (kept.empty()) {
          EXPECT_THROW((void)slice_ranges(node, Shape{2, dim}), Error);
          continue;
        }
        const std::vector<SliceRange> ranges = slice_ranges(node, Shape{2, dim});
        EXPECT_EQ(ranges[0], (SliceRange{.start = 0, .step = 1, .count = 2}));
        EXPECT_EQ(ranges[1], (SliceRange{.start = kept.front(), .step = step, .count = static_cast<std::int64_t>(kept.size())}));
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 300);
}

TEST(SliceRange, ClampsToTheEndWithoutOverflow) {
  const Node node = node_of(Op::Slice, {{"starts", Ints{std::numeric_limits<std::int64_t>::min()}},
                                        {"ends", Ints{std::numeric_limits<std::int64_t>::max()}},
                                        {"axes", Ints{0}},
                                        {"steps", Ints{std::numeric_limits<std::int64_t>::max()}}});
  EXPECT_EQ(slice_ranges(node, Shape{5})[0].count, 1);
}

TEST(SliceRange, RefusesWhatMakesNoSense) {
  const auto refuses = [](ErrorCode code, const std::string& message, std::map<std::string, Attribute> attributes) {
    expect_error(code, message, [&] { (void)slice_ranges(node_of(Op::Slice, std::move(attributes)), Shape{2, 6}); });
  };
  refuses(
      ErrorCode::invalid_input,
      "node \"n\": Slice has lists of different lengths (found starts 1, ends 2, axes 1, steps 1, need equal and not 0); check the graph.",
      {{"starts", Ints{0}}, {"ends", Ints{1, 2}}});
  refuses(ErrorCode::invalid_input, "node \"n\": Slice names an axis twice (found axis 1, need each once); check the graph.",
          {{"starts", Ints{0, 0}}, {"ends", Ints{1, 1}}, {"axes", Ints{1, -1}}});
  refuses(ErrorCode::unsupported, "node \"n\": this Slice step is not supported (found -1, need 1 or more); rewrite the node.",
          {{"starts", Ints{5}}, {"ends", Ints{0}}, {"axes", Ints{1}}, {"steps", Ints{-1}}});
  refuses(ErrorCode::invalid_input,
          "node \"n\": Slice keeps nothing of axis 1 (found 4 to 2 of 6, need at least one element); check the graph.",
          {{"starts", Ints{4}}, {"ends", Ints{2}}, {"axes", Ints{1}}});
}

}  // namespace
}  // namespace bitwright
