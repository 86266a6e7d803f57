// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/conv_shifted/conv_shifted.h"

#include "bitwright/core/rng.h"
#include "tests/support/assert.h"

#include <gmock/gmock.h>

#include <cmath>
#include <memory>

namespace bitwright {
namespace {

std::vector<float> normals(std::string_view key, std::int64_t count) {
  const Rng rng(13, key);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
  return values;
}

struct Problem {
  ConvShiftedShape shape;
  std::vector<float> weights, bias, src;

  explicit Problem(const ConvShiftedShape& s)
      : shape(s),
        weights(normals("weights", s.outputs * s.channels * s.kernel_height * s.kernel_width)),
        bias(normals("bias", s.outputs)),
        src(normals("src", s.channels * s.height * s.width)) {}

  // The image lies at the very end of its own heap block, so that a sanitizer sees a read beyond it; dst is followed by a guard.
  [[nodiscard]] std::vector<float> run(ConvShiftedFunction function, Activation activation) const {
    const ConvShiftedWeights packed(shape, weights);
    const auto image = std::make_unique<float[]>(src.size());
    std::copy(src.begin(), src.end(), image.get());
    std::vector<float> scratch(static_cast<std::size_t>(shape.scratch_count()), std::nanf(""));
    std::vector<float> dst(static_cast<std::size_t>(shape.outputs * shape.out_height * shape.out_width + 16), 99.0F);
    function({.shape = &shape,
              .weights = &packed,
              .bias = bias.data(),
              .activation = activation,
              .src = image.get(),
              .scratch = scratch.data(),
              .dst = dst.data()});
    return dst;
  }
};

ConvShiftedShape shape_of(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t outputs, std::int64_t kernel_height,
                          std::int64_t kernel_width, std::int64_t pad = 0, std::int64_t dilation_y = 1, std::int64_t dilation_x = 1) {
  return {.channels = channels,
          .height = height,
          .width = width,
          .outputs = outputs,
          .kernel_height = kernel_height,
          .kernel_width = kernel_width,
          .dilation_y = dilation_y,
          .dilation_x = dilation_x,
          .pad_top = pad,
          .pad_left = pad,
          .out_height = height + 2 * pad - dilation_y * (kernel_height - 1),
          .out_width = width + 2 * pad - dilation_x * (kernel_width - 1)};
}

const ConvShiftedShape kShapes[] = {
    shape_of(1, 28, 28, 20, 5, 5),         // LeNet's first
    shape_of(20, 12, 12, 50, 5, 5),        // LeNet's second
    shape_of(3, 9, 9, 7, 3, 3, 1),         // padded
    shape_of(2, 5, 17, 6, 1, 1),           // pointwise
    shape_of(5, 11, 6, 9, 3, 2, 2, 2, 3),  // dilated, padded, nothing square
    shape_of(1, 4, 4, 1, 3, 3, 3),         // more padding than image
    shape_of(4, 1, 40, 13, 1, 7, 0),       // one row
};

class EveryConvShifted : public ::testing::TestWithParam<ConvShiftedKernel> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam().isa)) GTEST_SKIP() << "this processor has no " << isa_name(GetParam().isa);
  }
};

// |dst - exact| <= gamma(taps + 1) (|bias| + sum |weight src|) (docs/runtime.md, R5), with 2^-24 + 2^-53 for u: the loops in double round
// too.
TEST_P(EveryConvShifted, EqualsTheEquationWithinTheBound) {
  for (const ConvShiftedShape& s : kShapes) {
    const Problem problem(s);
    for (const Activation activation : {Activation::none, Activation::relu}) {
      const std::vector<float> dst = problem.run(GetParam().function, activation);
      const double nu = static_cast<double>(s.channels * s.kernel_height * s.kernel_width + 1) * (0x1p-24 + 0x1p-53);
      std::size_t at = 0;
      for (std::int64_t o = 0; o < s.outputs; ++o) {
        for (std::int64_t y = 0; y < s.out_height; ++y) {
          for (std::int64_t x = 0; x < s.out_width; ++x, ++at) {
            auto sum = static_cast<double>(problem.bias[static_cast<std::size_t>(o)]);
            double magnitude = std::abs(sum);
            for (std::int64_t c = 0; c < s.channels; ++c) {
              for (std::int64_t i = 0; i < s.kernel_height; ++i) {
                for (std::int64_t j = 0; j < s.kernel_width; ++j) {
                  const std::int64_t row = y + i * s.dilation_y - s.pad_top;
                  const std::int64_t column = x + j * s.dilation_x - s.pad_left;
                  if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
                  const double product =
                      static_cast<double>(
                          problem.weights[static_cast<std::size_t>(((o * s.channels + c) * s.kernel_height + i) * s.kernel_width + j)]) *
                      static_cast<double>(problem.src[static_cast<std::size_t>((c * s.height + row) * s.width + column)]);
                  sum += product;
                  magnitude += std::abs(product);
                }
              }
            }
            const double wanted = activation == Activation::relu ? std::max(sum, 0.0) : sum;
            ASSERT_LE(std::abs(static_cast<double>(dst[at]) - wanted), nu / (1.0 - nu) * magnitude)
                << "output " << o << ", " << y << ", " << x;
          }
        }
      }
      for (std::size_t beyond = at; beyond < dst.size(); ++beyond) ASSERT_EQ(dst[beyond], 99.0F) << "written beyond the outputs";
    }
  }
}

TEST_P(EveryConvShifted, ExactNumbersGiveTheSameBitsOnEveryInstructionSet) {
  // Small integers: every product and sum is exact, so no order or fusing can show.
  for (const ConvShiftedShape& s : kShapes) {
    Problem problem(s);
    for (std::vector<float>* values : {&problem.weights, &problem.bias, &problem.src}) {
      for (float& value : *values) value = std::round(4.0F * value);
    }
    EXPECT_EQ(problem.run(GetParam().function, Activation::none), problem.run(conv_shifted_kernels().front().function, Activation::none));
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryConvShifted, ::testing::ValuesIn(conv_shifted_kernels().begin(), conv_shifted_kernels().end()),
                         [](const auto& param_info) { return std::string(isa_name(param_info.param.isa)); });

TEST(ConvShiftedWeights, TileLeavesTheFewestOutputsUnused) {
  for (const auto& [outputs, tile] :
       {std::pair<std::int64_t, std::int64_t>{20, 5}, {50, 5}, {6, 6}, {7, 4}, {8, 4}, {12, 6}, {13, 5}, {1, 4}}) {
    const ConvShiftedShape shape = shape_of(1, 4, 4, outputs, 1, 1);
    EXPECT_EQ(ConvShiftedWeights(shape, std::vector<float>(static_cast<std::size_t>(outputs))).tile(), tile) << outputs;
  }
}

TEST(ConvShiftedWeights, MustHaveTheShapesNumberOfValues) {
  const test::ThrowingAsserts asserts;
  EXPECT_THROW(ConvShiftedWeights(shape_of(1, 4, 4, 2, 1, 1), std::vector<float>(3)), test::AssertionFailure);
}

TEST(SelectConvShifted, RefusesWithValues) {
  using ::testing::ElementsAre;
  const Isa best = available_isas().back();
  const ConvShiftedQuery good{.outputs = 20, .pixels = 576};
  EXPECT_EQ(
      select_conv_shifted({.batch = 9, .threads = 2, .group = 3, .stride_y = 1, .stride_x = 2, .outputs = 32, .pixels = 9}, best).refusals,
      (std::vector<std::string>{"conv_shifted: batch is 9, this kernel needs <= 8",
                                "conv_shifted: the session has 2 threads, this kernel needs 1",
                                "conv_shifted: group is 3, this kernel needs 1", "conv_shifted: stride is 1 x 2, this kernel needs 1 x 1",
                                "conv_shifted: an output has 9 pixels, this kernel needs >= 16",
                                "conv_shifted: 32 output channels fill the vectors of other kernels, this one is for those that do not"}));
  const ConvShiftedChoice none = select_conv_shifted(good, Isa::scalar);
  EXPECT_EQ(none.kernel, nullptr);
  EXPECT_EQ(none.refusals.size(), conv_shifted_kernels().size());
  for (const ConvShiftedKernel& kernel : conv_shifted_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    ASSERT_NE(select_conv_shifted(good, kernel.isa).kernel, nullptr);
    EXPECT_EQ(select_conv_shifted(good, kernel.isa).kernel->name, "conv_shifted:" + std::string(isa_name(kernel.isa)));
  }
}

}  // namespace
}  // namespace bitwright
