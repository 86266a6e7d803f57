// SPDX-License-Identifier: Apache-2.0
// Every fixed-point kernel of this build against the references, bit for bit, with codes at the ends of their formats.
#include "bitwright/kernels/fixed_point/fixed_point.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace bitwright {
namespace {

constexpr std::int32_t kLeast16 = std::numeric_limits<std::int16_t>::min();

std::vector<const FixedPointKernel*> kernels_here() {
  std::vector<const FixedPointKernel*> kernels;
  for (const FixedPointKernel& kernel : fixed_point_kernels()) {
    if (isa_available(kernel.isa)) kernels.push_back(&kernel);
  }
  return kernels;
}

// Codes of `bits` bits; every third at an end of the format, so that sums come near their bounds.
template <typename T>
std::vector<T> draw_codes(std::int64_t count, int bits, std::string_view name) {
  const Rng rng(3, name);
  std::vector<T> codes(static_cast<std::size_t>(count));
  const std::int64_t half = std::int64_t{1} << (bits - 1);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto any = static_cast<std::int64_t>(rng.below(2 * i, static_cast<std::uint64_t>(2 * half))) - half;
    const std::uint64_t end = rng.below(2 * i + 1, 6);
    codes[i] = static_cast<T>(end == 0 ? -half : (end == 1 ? half - 1 : any));
  }
  return codes;
}

struct AlignedBytes {
  explicit AlignedBytes(std::int64_t bytes) : storage(static_cast<std::size_t>(bytes) + 64) {}
  std::byte* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(storage.data());
    return storage.data() + (64 - at % 64) % 64;
  }
  std::vector<std::byte> storage;
};

struct Bits {
  int a;
  int b;
};
constexpr Bits kBits[] = {{16, 16}, {16, 20}, {16, 22}, {16, 24}, {8, 8}, {12, 12}, {8, 16}, {16, 2}, {2, 24}};

std::vector<std::int16_t> pack(const FixedPointKernel& kernel, const FixedCodes& codes, std::int64_t columns, std::int64_t column_stride,
                               std::int64_t depth, std::int64_t depth_stride, const FixedDigits& digits) {
  std::vector<std::int16_t> packed(static_cast<std::size_t>(fixed_packed_count(columns, depth, digits)), std::int16_t{-1});
  fixed_pack(kernel, {.codes = codes,
                      .columns = columns,
                      .column_stride = column_stride,
                      .depth = depth,
                      .depth_stride = depth_stride,
                      .digits = digits,
                      .dst = packed.data()});
  return packed;
}

struct Extents {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
};
constexpr Extents kExtents[] = {{1, 1, 1}, {6, 32, 2}, {7, 33, 63}, {3, 31, 64}, {13, 70, 129}, {2, 5, 1030}, {5, 10, 511}, {4, 64, 510}};

class FixedPointKernels : public ::testing::TestWithParam<const FixedPointKernel*> {};

TEST_P(FixedPointKernels, ProductsAreExact) {
  for (const Bits bits : kBits) {
    for (const Extents& extents : kExtents) {
      const FixedDigits digits = fixed_digits(bits.a, bits.b);
      const auto a = draw_codes<std::int16_t>(extents.rows * extents.depth, bits.a, "a");
      const auto b = draw_codes<std::int32_t>(extents.columns * extents.depth, bits.b, "b");
      const std::vector<std::int16_t> narrow(b.begin(), b.end());
      for (const bool is_transposed : {false, true}) {
        // The same numbers as [columns, depth] or as [depth, columns].
        const std::int64_t column_stride = is_transposed ? 1 : extents.depth;
        const std::int64_t depth_stride = is_transposed ? extents.columns : 1;
        std::vector<std::int64_t> expected(static_cast<std::size_t>(extents.rows * extents.columns), 5);
        std::vector<std::int64_t> dst = expected;
        FixedProductCall call{.a = a.data(),
                              .a_stride = extents.depth,
                              .rows = extents.rows,
                              .packed = nullptr,
                              .columns = extents.columns,
                              .depth = extents.depth,
                              .digits = digits,
                              .first_column = 0,
                              .last_column = extents.columns};
        fixed_product_reference(call, {.wide = b.data()}, column_stride, depth_stride, expected.data(), extents.columns);
        const auto packed = pack(*GetParam(), {.wide = b.data()}, extents.columns, column_stride, extents.depth, depth_stride, digits);
        call.packed = packed.data();
        fixed_product(*GetParam(), call, dst.data(), extents.columns);
        ASSERT_EQ(dst, expected) << bits.a << " x " << bits.b << " bits, depth " << extents.depth;
        if (bits.b <= 16) {
          ASSERT_EQ(pack(*GetParam(), {.narrow = narrow.data()}, extents.columns, column_stride, extents.depth, depth_stride, digits),
                    packed);
        }
      }
    }
  }
}

TEST_P(FixedPointKernels, TheLargestMagnitudesDoNotOverflow) {
  constexpr std::int64_t kDepth = 131072;
  for (const int b_bits : {16, 20, 22, 24}) {
    const std::int32_t least = -(1 << (b_bits - 1));
    for (const std::int32_t code : {least, -least - 1}) {
      const FixedDigits digits = fixed_digits(16, b_bits);
      const std::vector<std::int16_t> a(kDepth, static_cast<std::int16_t>(kLeast16));
      const std::vector<std::int32_t> b(kDepth, code);
      const auto packed = pack(*GetParam(), {.wide = b.data()}, 1, kDepth, kDepth, 1, digits);
      std::int64_t sum = 0;
      fixed_product(*GetParam(),
                    {.a = a.data(),
                     .a_stride = kDepth,
                     .rows = 1,
                     .packed = packed.data(),
                     .columns = 1,
                     .depth = kDepth,
                     .digits = digits,
                     .first_column = 0,
                     .last_column = 1},
                    &sum, 1);
      ASSERT_EQ(sum, kDepth * kLeast16 * std::int64_t{code}) << b_bits;
    }
  }
}

TEST_P(FixedPointKernels, DenseLayersAreRoundedOnce) {
  const Rng rng(8, "draws", 3);
  for (const auto rounding : {FixedRounding::nearest_down, FixedRounding::stochastic}) {
    for (const int shift : {-3, 0, 1, 14, 31, 33, 40}) {
      constexpr std::int64_t kRows = 51;
      constexpr std::int64_t kColumns = 70;
      constexpr std::int64_t kDepth = 37;
      const auto a = draw_codes<std::int16_t>(kRows * kDepth, 16, "a");
      const auto b = draw_codes<std::int16_t>(kColumns * kDepth, 16, "b");
      std::vector<std::int64_t> bias(kColumns);
      for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<std::int64_t>(rng.bits32(i)) - 2000000000;
      const FixedDigits digits = fixed_digits(16, 16);
      const auto packed = pack(*GetParam(), {.narrow = b.data()}, kColumns, kDepth, kDepth, 1, digits);
      const FixedEpilogue epilogue{.bias = bias.data(),
                                   .activation = FixedEpilogue::Activation::relu,
                                   .change = {.shift = shift, .word_bits = 13, .rounding = rounding, .rng = &rng}};
      FixedProductCall call{.a = a.data(),
                            .a_stride = kDepth,
                            .rows = kRows,
                            .packed = packed.data(),
                            .columns = kColumns,
                            .depth = kDepth,
                            .digits = digits,
                            .first_column = 0,
                            .last_column = kColumns};
      std::vector<std::int16_t> expected(kRows * kColumns);
      std::vector<std::uint8_t> expected_positive(expected.size());
      const std::int64_t saturated =
          fixed_dense_reference(call, {.narrow = b.data()}, kDepth, 1, epilogue,
                                {.codes = expected.data(), .positive = expected_positive.data(), .first_index = 3});
      // In two slices of columns and two of rows: no result depends on that.
      std::vector<std::int16_t> codes(expected.size());
      std::vector<std::uint8_t> positive(expected.size(), 7);
      AlignedBytes scratch(fixed_dense_scratch_bytes(kColumns));
      std::int64_t found = 0;
      for (const std::int64_t first_row : {0, 7}) {
        call.a = a.data() + first_row * kDepth;
        call.rows = first_row == 0 ? 7 : kRows - 7;
        for (const std::int64_t first_column : {0, 32}) {
          call.first_column = first_column;
          call.last_column = first_column == 0 ? 32 : kColumns;
          found += fixed_dense(*GetParam(), call, epilogue,
                               {.codes = codes.data() + first_row * kColumns,
                                .positive = positive.data() + first_row * kColumns,
                                .first_index = 3 + static_cast<std::uint64_t>(first_row * kColumns)},
                               scratch.data());
        }
      }
      ASSERT_EQ(codes, expected) << shift;
      ASSERT_EQ(positive, expected_positive) << shift;
      ASSERT_EQ(found, saturated) << shift;
    }
  }
}

std::vector<FixedConvShape> layers() {
  std::vector<FixedConvShape> layers = {
      {.channels = 3, .height = 9, .width = 8, .outputs = 34, .kernel_height = 5, .kernel_width = 5, .pad_top = 2, .pad_left = 2},
      {.channels = 4,
       .height = 7,
       .width = 7,
       .outputs = 5,
       .kernel_height = 3,
       .kernel_width = 3,
       .stride_y = 2,
       .stride_x = 2,
       .pad_top = 1,
       .pad_left = 1},
      {.channels = 17, .height = 6, .width = 5, .outputs = 7, .kernel_height = 1, .kernel_width = 1},
      {.channels = 2,
       .height = 9,
       .width = 11,
       .outputs = 3,
       .kernel_height = 3,
       .kernel_width = 2,
       .stride_y = 1,
       .stride_x = 3,
       .dilation_y = 2,
       .dilation_x = 3,
       .pad_top = 1,
       .pad_left = 4},
      {.channels = 1, .height = 4, .width = 4, .outputs = 1, .kernel_height = 2, .kernel_width = 2, .pad_top = 3, .pad_left = 3},
      {.channels = 64,
       .height = 3,
       .width = 3,
       .outputs = 40,
       .kernel_height = 3,
       .kernel_width = 3,
       .stride_y = 2,
       .pad_top = 1,
       .pad_left = 1},
  };
  for (FixedConvShape& layer : layers) {
    layer.out_height = (layer.height + 2 * layer.pad_top - (layer.kernel_height - 1) * layer.dilation_y - 1) / layer.stride_y + 1;
    layer.out_width = (layer.width + 2 * layer.pad_left - (layer.kernel_width - 1) * layer.dilation_x - 1) / layer.stride_x + 1;
  }
  return layers;
}

TEST_P(FixedPointKernels, ConvolutionsAndTheErrorsOfTheirInputsAreExact) {
  const Rng rng(8, "draws", 4);
  constexpr std::int64_t kImages = 3;
  for (const FixedConvShape& layer : layers()) {
    for (const Bits bits : {Bits{16, 16}, Bits{16, 20}, Bits{8, 8}, Bits{16, 24}}) {
      const auto weights = draw_codes<std::int32_t>(layer.outputs * layer.depth(), bits.b, "weights");
      for (const FixedConvWeights use : {FixedConvWeights::forward, FixedConvWeights::input_error}) {
        const FixedConvShape shape = use == FixedConvWeights::forward ? layer : fixed_input_error_shape(layer);
        const FixedDigits digits = fixed_digits(bits.a, bits.b);
        const std::int64_t src_stride = shape.channels * shape.height * shape.width + 5;
        const std::int64_t dst_stride = shape.outputs * shape.out_height * shape.out_width + 3;
        const auto src = draw_codes<std::int16_t>(kImages * src_stride, bits.a, "src");
        std::vector<std::int64_t> bias(static_cast<std::size_t>(shape.outputs));
        for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<std::int64_t>(rng.bits32(i)) - 2000000000;
        const FixedEpilogue epilogue{.bias = bias.data(),
                                     .change = {.shift = bits.b - 3, .word_bits = 14, .rounding = FixedRounding::stochastic, .rng = &rng}};
        FixedConvCall call{.shape = shape,
                           .src = src.data(),
                           .src_image_stride = src_stride,
                           .images = kImages,
                           .first_row = 0,
                           .last_row = shape.out_height};
        std::vector<std::int16_t> expected(static_cast<std::size_t>(kImages * dst_stride), 77);
        std::vector<std::uint8_t> expected_positive(expected.size(), 9);
        std::vector<std::int16_t> codes = expected;
        std::vector<std::uint8_t> positive = expected_positive;
        const std::int64_t saturated =
            fixed_convolve_reference(call, layer, use, {.wide = weights.data()}, epilogue,
                                     {.codes = expected.data(), .positive = expected_positive.data(), .first_index = 11}, dst_stride);
        std::vector<std::int16_t> packed(static_cast<std::size_t>(fixed_packed_conv_count(shape, digits)), std::int16_t{-1});
        fixed_pack_conv(layer, use, {.wide = weights.data()}, digits, packed.data());
        AlignedBytes scratch(fixed_convolve_scratch_bytes(shape));
        call.packed = packed.data();
        call.digits = digits;
        call.scratch = scratch.data();
        // Rows in two slices, and the images in two.
        std::int64_t found = 0;
        for (const std::int64_t first_image : {0, 1}) {
          call.images = first_image == 0 ? 1 : kImages - 1;
          call.src = src.data() + first_image * src_stride;
          const FixedResults results{.codes = codes.data() + first_image * dst_stride,
                                     .positive = positive.data() + first_image * dst_stride,
                                     .first_index = 11 + static_cast<std::uint64_t>(first_image * dst_stride)};
          for (const std::int64_t half : {0, 1}) {
            call.first_row = half * (shape.out_height / 2);
            call.last_row = half == 0 ? shape.out_height / 2 : shape.out_height;
            found += fixed_convolve(*GetParam(), call, epilogue, results, dst_stride);
          }
        }
        ASSERT_EQ(codes, expected) << layer.channels << " channels, " << bits.b << " bits";
        ASSERT_EQ(positive, expected_positive);
        ASSERT_EQ(found, saturated);
      }
    }
  }
}

TEST_P(FixedPointKernels, WeightGradientsAreExact) {
  constexpr std::int64_t kImages = 19;  // more than a group
  for (const FixedConvShape& layer : layers()) {
    for (const Bits bits : {Bits{16, 16}, Bits{8, 8}, Bits{12, 16}}) {
      const std::int64_t src_stride = layer.channels * layer.height * layer.width;
      const std::int64_t error_stride = layer.outputs * layer.out_height * layer.out_width + 1;
      const auto src = draw_codes<std::int16_t>(kImages * src_stride, bits.b, "src");
      const auto errors = draw_codes<std::int16_t>(kImages * error_stride, bits.a, "errors");
      std::vector<std::int64_t> expected(static_cast<std::size_t>(layer.outputs * layer.depth()), 3);
      std::vector<std::int64_t> gradient = expected;
      FixedWeightGradientCall call{.layer = layer,
                                   .src = src.data(),
                                   .src_image_stride = src_stride,
                                   .errors = errors.data(),
                                   .error_image_stride = error_stride,
                                   .images = kImages,
                                   .digits = fixed_digits(bits.a, bits.b),
                                   .dst = expected.data()};
      fixed_weight_gradient_reference(call);
      AlignedBytes scratch(fixed_weight_gradient_scratch_bytes(layer, call.digits));
      call.dst = gradient.data();
      call.scratch = scratch.data();
      fixed_weight_gradient(*GetParam(), call);
      ASSERT_EQ(gradient, expected) << layer.channels << " channels, " << bits.a << " bits";
    }
  }
}

// Every image and error at its lowest code: the largest sum there is, over several images.
TEST_P(FixedPointKernels, TheLargestWeightGradientDoesNotOverflow) {
  const FixedConvShape layer{.channels = 2, .height = 32, .width = 32, .outputs = 7, .out_height = 32, .out_width = 32};
  const std::vector<std::int16_t> src(8 * 2 * 1024, static_cast<std::int16_t>(kLeast16));
  const std::vector<std::int16_t> errors(8 * 7 * 1024, static_cast<std::int16_t>(kLeast16));
  const FixedDigits digits = fixed_digits(16, 16);
  AlignedBytes scratch(fixed_weight_gradient_scratch_bytes(layer, digits));
  std::vector<std::int64_t> gradient(14);
  fixed_weight_gradient(*GetParam(), {.layer = layer,
                                      .src = src.data(),
                                      .src_image_stride = 2048,
                                      .errors = errors.data(),
                                      .error_image_stride = 7168,
                                      .images = 8,
                                      .digits = digits,
                                      .dst = gradient.data(),
                                      .scratch = scratch.data()});
  EXPECT_THAT(gradient, ::testing::Each(std::int64_t{8 * 1024} << 30));
}

TEST_P(FixedPointKernels, RoundingIsTheReferenceAtEveryShiftAndOffset) {
  const Rng rng(5, "round", (std::uint64_t{1} << 32) + 7);
  constexpr std::int64_t kCount = 203;
  for (int shift = -31; shift <= 62; ++shift) {
    for (const auto rounding : {FixedRounding::nearest_down, FixedRounding::stochastic}) {
      for (const int random_bits : {8, 32, 62}) {
        for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{3}, (std::uint64_t{1} << 34) - 90}) {
          std::vector<std::int64_t> acc(kCount);
          for (std::size_t i = 0; i < acc.size(); ++i) {
            // Around the ends of the format, ties among them, and anything else.
            const std::int64_t any = static_cast<std::int64_t>(rng.bits64(i)) >> (2 + i % 50);
            const std::int64_t near = (i % 2 == 0 ? -32768 : 32767) + static_cast<std::int64_t>(i % 5) - 2;
            acc[i] = i % 3 == 0 || shift < 0 || shift > 40 ? any : (near << shift) + (shift > 0 ? std::int64_t{1} << (shift - 1) : 0);
          }
          FixedRoundCall call{.acc = acc.data(),
                              .count = kCount,
                              .first_index = first,
                              .change = {.shift = shift, .word_bits = 16, .rounding = rounding, .rng = &rng, .random_bits = random_bits}};
          std::vector<std::int16_t> expected(kCount);
          std::vector<std::int16_t> codes(kCount);
          call.dst = expected.data();
          const std::int64_t saturated = fixed_round_reference(call);
          call.dst = codes.data();
          ASSERT_EQ(fixed_round(*GetParam(), call), saturated) << shift;
          ASSERT_EQ(codes, expected) << shift << " " << random_bits << " " << first;
          if (rounding == FixedRounding::nearest_down) break;
        }
        if (rounding == FixedRounding::nearest_down) break;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryKernel, FixedPointKernels, ::testing::ValuesIn(kernels_here()),
                         [](const auto& tested) { return std::string(isa_name(tested.param->isa)); });

TEST(SelectFixedPoint, TakesTheFastestThatMayRun) {
  EXPECT_EQ(select_fixed_point(Isa::scalar).isa, Isa::scalar);
  EXPECT_EQ(select_fixed_point(available_isas().back()).isa, kernels_here().back()->isa);
}

TEST(FixedTranspose, SwapsRowsAndColumns) {
  const auto src = draw_codes<std::int16_t>(70 * 45, 16, "src");
  std::vector<std::int16_t> dst(70 * 40);
  fixed_transpose(src.data(), 70, 40, 45, dst.data());
  for (std::size_t r = 0; r < 70; ++r) {
    for (std::size_t c = 0; c < 40; ++c) ASSERT_EQ(dst[c * 70 + r], src[r * 45 + c]);
  }
}

}  // namespace
}  // namespace bitwright
