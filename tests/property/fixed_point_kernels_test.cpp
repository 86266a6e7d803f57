// SPDX-License-Identifier: Apache-2.0
// Laws of the fixed-point kernels for any shape, width and slice: every instruction set gives the reference's bits, and rounding is what
// `convert_acc` of formats says.
#include "bitwright/formats/fixed_point.h"
#include "bitwright/kernels/fixed_point/fixed_point.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

namespace bitwright {
namespace {

std::int64_t any(std::int64_t least, std::int64_t most) { return *rc::gen::inRange<std::int64_t>(least, most + 1); }

// Codes of `bits` bits, the ends of the format often.
template <typename T>
std::vector<T> any_codes(std::int64_t count, int bits) {
  const Rng rng(static_cast<std::uint64_t>(any(0, 1 << 30)), "codes");
  const std::int64_t half = std::int64_t{1} << (bits - 1);
  std::vector<T> codes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto code = static_cast<std::int64_t>(rng.below(i, static_cast<std::uint64_t>(2 * half + half / 2 + 2))) - half;
    codes[i] = static_cast<T>(code >= half ? (code % 2 == 0 ? -half : half - 1) : code);
  }
  return codes;
}

struct AlignedBytes {
  explicit AlignedBytes(std::int64_t bytes) : storage(static_cast<std::size_t>(bytes) + 64) {}
  std::byte* data() { return storage.data() + (64 - reinterpret_cast<std::uintptr_t>(storage.data()) % 64) % 64; }
  std::vector<std::byte> storage;
};

std::vector<const FixedPointKernel*> kernels_here() {
  std::vector<const FixedPointKernel*> kernels;
  for (const FixedPointKernel& kernel : fixed_point_kernels()) {
    if (isa_available(kernel.isa)) kernels.push_back(&kernel);
  }
  return kernels;
}

FixedConvShape any_layer() {
  FixedConvShape layer{.channels = any(1, 20),
                       .height = any(1, 9),
                       .width = any(1, 9),
                       .outputs = any(1, 40),
                       .kernel_height = any(1, 4),
                       .kernel_width = any(1, 4),
                       .stride_y = any(1, 3),
                       .stride_x = any(1, 3),
                       .dilation_y = any(1, 2),
                       .dilation_x = any(1, 2),
                       .pad_top = any(0, 3),
                       .pad_left = any(0, 3)};
  const std::int64_t rows = layer.height + layer.pad_top + any(0, 3) - (layer.kernel_height - 1) * layer.dilation_y - 1;
  const std::int64_t columns = layer.width + layer.pad_left + any(0, 3) - (layer.kernel_width - 1) * layer.dilation_x - 1;
  RC_PRE(rows >= 0 && columns >= 0);
  layer.out_height = rows / layer.stride_y + 1;
  layer.out_width = columns / layer.stride_x + 1;
  return layer;
}

RC_GTEST_PROP(FixedPointKernels, RoundingIsThatOfTheFormats, ()) {
  const FixedPoint format{.int_bits = static_cast<int>(any(1, 8)), .frac_bits = static_cast<int>(any(1, 8))};
  const auto acc_frac_bits = static_cast<int>(any(0, 62));
  const int shift = acc_frac_bits - format.frac_bits;
  const Rng rng(static_cast<std::uint64_t>(any(0, 1 << 30)), "round", static_cast<std::uint64_t>(any(0, 9)));
  const auto first = static_cast<std::uint64_t>(any(0, std::int64_t{1} << 40));
  const auto random_bits = static_cast<int>(any(1, 32));
  std::vector<std::int64_t> acc(static_cast<std::size_t>(any(0, 200)));
  const auto width = static_cast<int>(any(2, 62));
  for (std::size_t i = 0; i < acc.size(); ++i) acc[i] = static_cast<std::int64_t>(rng.split("acc").bits64(i)) >> (64 - width);
  for (const int mode : {0, 1, 2}) {
    const RoundingContext rounding{.mode = mode == 0 ? Rounding::nearest_down : Rounding::stochastic, .rng = &rng};
    std::vector<std::int16_t> expected;
    for (std::size_t i = 0; i < acc.size(); ++i) {
      expected.push_back(
          static_cast<std::int16_t>(mode == 2 ? convert_acc_with_random_bits(acc[i], acc_frac_bits, format, rng, first + i, random_bits)
                                              : convert_acc(acc[i], acc_frac_bits, format, rounding, first + i)));
    }
    FixedRoundCall call{.acc = acc.data(),
                        .count = static_cast<std::int64_t>(acc.size()),
                        .first_index = first,
                        .change = {.shift = shift,
                                   .word_bits = format.word_bits(),
                                   .rounding = mode == 0 ? FixedRounding::nearest_down : FixedRounding::stochastic,
                                   .rng = &rng,
                                   .random_bits = mode == 2 ? random_bits : 62}};
    std::vector<std::int16_t> codes(acc.size());
    call.dst = codes.data();
    const std::int64_t saturated = fixed_round_reference(call);
    RC_ASSERT(codes == expected);
    for (const FixedPointKernel* kernel : kernels_here()) {
      std::fill(codes.begin(), codes.end(), std::int16_t{0});
      RC_ASSERT(fixed_round(*kernel, call) == saturated);
      RC_ASSERT(codes == expected);
    }
  }
}

RC_GTEST_PROP(FixedPointKernels, ProductsAreExactForAnyWidthAndSlice, ()) {
  const auto a_bits = static_cast<int>(any(2, 16));
  const auto b_bits = static_cast<int>(any(2, 24));
  const FixedDigits digits = fixed_digits(a_bits, b_bits);
  const std::int64_t rows = any(1, 14);
  const std::int64_t columns = any(1, 100);
  const std::int64_t depth = any(1, 700);
  const auto a = any_codes<std::int16_t>(rows * depth, a_bits);
  const auto b = any_codes<std::int32_t>(columns * depth, b_bits);
  FixedProductCall call{
      .a = a.data(), .a_stride = depth, .rows = rows, .columns = columns, .depth = depth, .digits = digits, .last_column = columns};
  std::vector<std::int64_t> expected(static_cast<std::size_t>(rows * columns));
  fixed_product_reference(call, {.wide = b.data()}, depth, 1, expected.data(), columns);
  std::vector<std::int16_t> packed(static_cast<std::size_t>(fixed_packed_count(columns, depth, digits)));
  const std::int64_t split = any(0, (columns - 1) / kFixedPanelColumns) * kFixedPanelColumns;
  for (const FixedPointKernel* kernel : kernels_here()) {
    fixed_pack(
        *kernel,
        {.codes = {.wide = b.data()}, .columns = columns, .column_stride = depth, .depth = depth, .digits = digits, .dst = packed.data()});
    call.packed = packed.data();
    std::vector<std::int64_t> dst(expected.size());
    call.first_column = 0;
    call.last_column = split;
    fixed_product(*kernel, call, dst.data(), columns);
    call.first_column = split;
    call.last_column = columns;
    fixed_product(*kernel, call, dst.data(), columns);
    RC_ASSERT(dst == expected);
  }
}

RC_GTEST_PROP(FixedPointKernels, ConvolutionsAndGradientsAreExactForAnyShape, ()) {
  const FixedConvShape layer = any_layer();
  const auto a_bits = static_cast<int>(any(2, 16));
  const auto b_bits = static_cast<int>(any(2, 24));
  const std::int64_t images = any(1, 3);
  const auto weights = any_codes<std::int32_t>(layer.outputs * layer.depth(), b_bits);
  const Rng rng(3, "draws");
  const FixedEpilogue epilogue{.change = {.shift = b_bits - 2, .word_bits = 12, .rounding = FixedRounding::stochastic, .rng = &rng}};
  const FixedDigits digits = fixed_digits(a_bits, b_bits);
  for (const FixedConvWeights use : {FixedConvWeights::forward, FixedConvWeights::input_error}) {
    const FixedConvShape shape = use == FixedConvWeights::forward ? layer : fixed_input_error_shape(layer);
    const std::int64_t src_stride = shape.channels * shape.height * shape.width;
    const std::int64_t dst_stride = shape.outputs * shape.out_height * shape.out_width;
    const auto src = any_codes<std::int16_t>(images * src_stride, a_bits);
    FixedConvCall call{.shape = shape, .src = src.data(), .src_image_stride = src_stride, .images = images, .last_row = shape.out_height};
    std::vector<std::int16_t> expected(static_cast<std::size_t>(images * dst_stride));
    (void)fixed_convolve_reference(call, layer, use, {.wide = weights.data()}, epilogue, {.codes = expected.data()}, dst_stride);
    std::vector<std::int16_t> packed(static_cast<std::size_t>(fixed_packed_conv_count(shape, digits)));
    fixed_pack_conv(layer, use, {.wide = weights.data()}, digits, packed.data());
    AlignedBytes scratch(fixed_convolve_scratch_bytes(shape));
    call.packed = packed.data();
    call.digits = digits;
    call.scratch = scratch.data();
    for (const FixedPointKernel* kernel : kernels_here()) {
      std::vector<std::int16_t> codes(expected.size());
      (void)fixed_convolve(*kernel, call, epilogue, {.codes = codes.data()}, dst_stride);
      RC_ASSERT(codes == expected);
    }
  }
  const auto src_bits = static_cast<int>(any(2, 16));
  const std::int64_t src_stride = layer.channels * layer.height * layer.width;
  const std::int64_t error_stride = layer.outputs * layer.out_height * layer.out_width;
  const auto src = any_codes<std::int16_t>(images * src_stride, src_bits);
  const auto errors = any_codes<std::int16_t>(images * error_stride, a_bits);
  FixedWeightGradientCall call{.layer = layer,
                               .src = src.data(),
                               .src_image_stride = src_stride,
                               .errors = errors.data(),
                               .error_image_stride = error_stride,
                               .images = images,
                               .digits = fixed_digits(a_bits, src_bits)};
  std::vector<std::int64_t> expected(weights.size());
  call.dst = expected.data();
  fixed_weight_gradient_reference(call);
  AlignedBytes scratch(fixed_weight_gradient_scratch_bytes(layer, call.digits));
  call.scratch = scratch.data();
  for (const FixedPointKernel* kernel : kernels_here()) {
    std::vector<std::int64_t> gradient(expected.size());
    call.dst = gradient.data();
    fixed_weight_gradient(*kernel, call);
    RC_ASSERT(gradient == expected);
  }
}

}  // namespace
}  // namespace bitwright
