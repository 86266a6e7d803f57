// SPDX-License-Identifier: Apache-2.0
// Compares every kernel of every family that this processor can run with the plain one; small, so that it is quick when emulated. Its
// argument is the instruction set that must be the best one here; prints what differs; returns 1 then.
#include "bitwright/core/rng.h"
#include "bitwright/kernels/conv_shifted/conv_shifted.h"
#include "bitwright/kernels/fixed_point/fixed_point.h"
#include "bitwright/kernels/gemv_int8/gemv_int8.h"
#include "bitwright/kernels/gemv_packed/gemv_packed.h"
#include "bitwright/kernels/quantize/quantize.h"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace bitwright {
namespace {

int failures = 0;

void expect(bool holds, std::string_view kernel, const char* what, std::int64_t a, std::int64_t b) {
  if (holds) return;
  ++failures;
  std::printf("%.*s: %s differs (%lld, %lld)\n", static_cast<int>(kernel.size()), kernel.data(), what, static_cast<long long>(a),
              static_cast<long long>(b));
}

template <typename Code = std::uint8_t>
std::vector<Code> random_codes(std::int64_t count, int levels) {
  const Rng rng(1, "kernels_check");
  std::vector<Code> codes;
  for (std::int64_t i = 0; i < count; ++i) {
    codes.push_back(static_cast<Code>(rng.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(levels))));
  }
  return codes;
}

// Powers of two: products are exact, so all instruction sets must agree to the bit.
void check_gemv_packed(const GemvPackedKernel& kernel) {
  constexpr std::int64_t kOutputs = 37;
  constexpr std::int64_t kInputs = 224;
  const Rng rng(2, "kernels_check");
  for (const int levels : {2, 3, 4, 5, 8, 16, 17, 33, 256}) {
    for (const std::int64_t bucket : {0, 32}) {
      for (const std::int64_t batch : {1, 5}) {
        std::vector<float> values;
        for (int i = 0; i < levels; ++i) values.push_back(i == 0 ? 0.0F : std::ldexp(i % 2 == 0 ? 1.0F : -1.0F, -(i % 16)));
        const std::vector<float> scales(kOutputs * kInputs / 32, 0.5F);
        const std::vector<float> mins(scales.size(), 0.0F);
        const GemvPackedWeights weights(random_codes(kOutputs * kInputs, levels), kOutputs, kInputs, values,
                                        bucket == 0 ? GemvBuckets{} : GemvBuckets{.size = bucket, .scales = scales, .mins = mins});
        std::vector<float> x;
        for (std::int64_t i = 0; i < batch * kInputs; ++i) x.push_back(static_cast<float>(rng.normal(static_cast<std::uint64_t>(i))));
        std::vector<float> plain(kOutputs * static_cast<std::size_t>(batch));
        std::vector<float> found(plain);
        const auto run = [&](const GemvPackedKernel& one, std::vector<float>& y) {
          one.function(weights.view(), nullptr, {.values = x.data(), .batch = batch, .stride = kInputs},
                       {.values = y.data(), .stride = kOutputs}, {.begin = 0, .end = weights.block_count()});
        };
        run(gemv_packed_kernels().front(), plain);
        run(kernel, found);
        expect(found == plain, kernel.name, "levels, batch", levels, batch);
      }
    }
  }
}

void check_gemv_int8(const GemvInt8Kernel& kernel) {
  constexpr std::int64_t kOutputs = 37;
  constexpr std::int64_t kInputs = 173;
  for (const int levels : {2, 3, 4, 8, 16, 17, 64}) {
    for (const GemvInt8Layout layout : {GemvInt8Layout::bits, GemvInt8Layout::digits}) {
      if (layout == GemvInt8Layout::digits && levels > 3) continue;
      GemvInt8Plane plane;
      for (int i = 0; i < levels; ++i) plane.levels.push_back(static_cast<std::int8_t>(i % 2 == 0 ? 64 - i : i - 65));
      const GemvInt8Plane planes[] = {plane, plane};
      const GemvInt8Weights weights(random_codes(kOutputs * kInputs, levels), kOutputs, kInputs, planes, layout);
      const std::int64_t stride = gemv_int8_padded(kInputs);
      std::vector<std::uint8_t> x(static_cast<std::size_t>(5 * stride));
      for (std::int64_t n = 0; n < 5; ++n) {
        for (std::int64_t i = 0; i < kInputs; ++i) x[static_cast<std::size_t>(n * stride + i)] = static_cast<std::uint8_t>(255 - 7 * i * n);
      }
      const GemvInt8Activations activations{.values = x.data(), .batch = 5, .stride = stride, .zero_point = 100};
      std::vector<std::int32_t> plain(kOutputs * 10);
      std::vector<std::int32_t> found(plain.size());
      gemv_int8_reference(weights.view(), activations, plain);
      kernel.function(weights.view(), activations, found.data(), {.begin = 0, .end = weights.block_count()});
      expect(found == plain, kernel.name, "levels, layout", levels, static_cast<std::int64_t>(layout));
    }
  }
}

void check_quantize(const QuantizeKernel& kernel) {
  const QuantizeKernel& plain = quantize_kernels().front();
  const Rng rng(3, "kernels_check");
  std::vector<float> src;
  for (std::uint64_t i = 0; i < 1001; ++i) src.push_back(static_cast<float>(std::ldexp(rng.normal(i), static_cast<int>(i % 20) - 16)));
  const auto count = static_cast<std::int64_t>(src.size());
  for (const RoundMode mode : {RoundMode::nearest_even, RoundMode::nearest_down, RoundMode::stochastic}) {
    for (const RoundDraw draw : {RoundDraw::block, RoundDraw::word}) {
      std::vector<float> found(src.size());
      std::vector<float> wanted(src.size());
      RoundCall call{.src = src.data(), .count = count, .mode = mode, .draw = draw, .rng = &rng, .first_index = 3};
      call.dst = found.data();
      (void)kernel.round(call);
      call.dst = wanted.data();
      (void)plain.round(call);
      expect(std::memcmp(found.data(), wanted.data(), found.size() * sizeof(float)) == 0, kernel.name, "rounding (mode, draw)",
             static_cast<std::int64_t>(mode), static_cast<std::int64_t>(draw));
    }
  }
  std::vector<std::int32_t> found(src.size());
  std::vector<std::int32_t> wanted(src.size());
  const EncodeCall to_found{.src = src.data(), .codes = found.data(), .count = count};
  const EncodeCall to_wanted{.src = src.data(), .codes = wanted.data(), .count = count};
  const std::vector<double> midpoints = {-0.5, -0.1, 0.0, 0.2, 0.7};
  (void)kernel.uniform({to_found, 3.0F, -1.5F, 15});
  (void)plain.uniform({to_wanted, 3.0F, -1.5F, 15});
  expect(found == wanted, kernel.name, "uniform", 4, 0);
  (void)kernel.ternary({to_found, 0.05F});
  (void)plain.ternary({to_wanted, 0.05F});
  expect(found == wanted, kernel.name, "ternary", 0, 0);
  (void)kernel.power({to_found, -7, 0});
  (void)plain.power({to_wanted, -7, 0});
  expect(found == wanted, kernel.name, "power of two", 0, 0);
  (void)kernel.codebook({to_found, 2.0F, 0.1F, midpoints});
  (void)plain.codebook({to_wanted, 2.0F, 0.1F, midpoints});
  expect(found == wanted, kernel.name, "codebook", 0, 0);
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<std::int32_t> codes = random_codes<std::int32_t>(1001, 1 << bits);
    std::vector<std::byte> bytes(1002);
    kernel.pack({.code_bits = bits, .codes = codes.data(), .count = 1001, .bytes = bytes.data()});
    kernel.unpack({.code_bits = bits, .bytes = bytes.data(), .count = 1001, .codes = found.data()});
    expect(found == codes, kernel.name, "packing", bits, 0);
  }
  for (const int levels : {3, 31, 64, 256}) {
    const std::vector<std::uint8_t> codes = random_codes(1001, levels);
    std::array<std::int8_t, 256> table{};
    for (int i = 0; i < 256; ++i) table[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(37 * i + 5);
    std::vector<std::int8_t> looked_up(codes.size());
    std::vector<std::int8_t> expected(codes.size());
    kernel.lookup({.codes = codes.data(), .count = 1001, .table = &table, .levels = levels, .dst = looked_up.data()});
    plain.lookup({.codes = codes.data(), .count = 1001, .table = &table, .levels = levels, .dst = expected.data()});
    expect(looked_up == expected, kernel.name, "lookup", levels, 0);
  }
}

// Codes of `bits` bits with a sign.
std::vector<std::int16_t> random_words(std::int64_t count, int bits) {
  std::vector<std::int16_t> words;
  for (const std::int32_t code : random_codes<std::int32_t>(count, 1 << bits))
    words.push_back(static_cast<std::int16_t>(code - (1 << (bits - 1))));
  return words;
}

void check_fixed_rounding(const FixedPointKernel& kernel) {
  const Rng rng(5, "kernels_check");
  std::vector<std::int64_t> acc;
  for (std::uint64_t i = 0; i < 301; ++i)
    acc.push_back(static_cast<std::int64_t>(std::ldexp(rng.normal(i), static_cast<int>(i % 50))) / (i % 7 == 0 ? 16 : 1) *
                  (i % 7 == 0 ? 16 : 1));
  for (const FixedRounding rounding : {FixedRounding::nearest_down, FixedRounding::stochastic}) {
    for (const int shift : {-3, 0, 1, 14, 31, 32, 33, 40}) {
      FixedRoundCall call{.acc = acc.data(),
                          .count = std::ssize(acc),
                          .first_index = 5,
                          .change = {.shift = shift, .word_bits = 16, .rounding = rounding, .rng = &rng}};
      std::vector<std::int16_t> found(acc.size());
      std::vector<std::int16_t> wanted(acc.size());
      call.dst = wanted.data();
      const std::int64_t moved = fixed_round_reference(call);
      call.dst = found.data();
      expect(fixed_round(kernel, call) == moved && found == wanted, kernel.name, "rounding, shift", static_cast<std::int64_t>(rounding),
             shift);
    }
  }
}

// A convolution with everything that moves its windows, and the gradient of its weights.
void check_fixed_convolution(const FixedPointKernel& kernel) {
  const FixedConvShape shape{.channels = 5,
                             .height = 9,
                             .width = 11,
                             .outputs = 37,
                             .kernel_height = 3,
                             .kernel_width = 3,
                             .stride_y = 2,
                             .pad_top = 1,
                             .pad_left = 1,
                             .out_height = 5,
                             .out_width = 11};
  constexpr std::int64_t kImages = 2;
  const std::int64_t src_plane = shape.channels * shape.height * shape.width;
  const std::int64_t dst_plane = shape.outputs * shape.out_height * shape.out_width;
  const std::vector<std::int16_t> src = random_words(kImages * src_plane, 16);
  const std::vector<std::int64_t> bias(static_cast<std::size_t>(shape.outputs), -12345);
  const Rng rng(6, "kernels_check");
  for (const int weight_bits : {8, 16}) {
    const std::vector<std::int16_t> weights = random_words(shape.outputs * shape.depth(), weight_bits);
    const FixedDigits digits = fixed_digits(16, weight_bits);
    FixedPacked packed(fixed_packed_conv_count(shape, digits));
    fixed_pack_conv(shape, FixedConvWeights::forward, {.narrow = weights.data()}, digits, packed.data());
    FixedPacked scratch(fixed_convolve_scratch_bytes(shape) / 2 + 64);
    const FixedConvCall call{.shape = shape,
                             .src = src.data(),
                             .src_image_stride = src_plane,
                             .images = kImages,
                             .last_row = shape.out_height,
                             .packed = packed.data(),
                             .digits = digits,
                             .scratch = reinterpret_cast<std::byte*>(scratch.data())};
    const FixedEpilogue epilogue{.bias = bias.data(),
                                 .activation = FixedEpilogue::Activation::relu,
                                 .change = {.shift = weight_bits + 3, .word_bits = 16, .rounding = FixedRounding::stochastic, .rng = &rng}};
    std::vector<std::int16_t> found(static_cast<std::size_t>(kImages * dst_plane));
    std::vector<std::int16_t> wanted(found.size());
    const std::int64_t moved = fixed_convolve_reference(call, shape, FixedConvWeights::forward, {.narrow = weights.data()}, epilogue,
                                                        {.codes = wanted.data()}, dst_plane);
    expect(fixed_convolve(kernel, call, epilogue, {.codes = found.data()}, dst_plane) == moved && found == wanted, kernel.name,
           "convolution, bits of weights", weight_bits, 0);
  }
  const std::vector<std::int16_t> errors = random_words(kImages * dst_plane, 16);
  const FixedDigits digits = fixed_digits(16, 16);
  FixedPacked scratch(fixed_weight_gradient_scratch_bytes(shape, digits) / 2 + 64);
  std::vector<std::int64_t> found(static_cast<std::size_t>(shape.outputs * shape.depth()), 7);
  std::vector<std::int64_t> wanted(found);
  FixedWeightGradientCall call{.layer = shape,
                               .src = src.data(),
                               .src_image_stride = src_plane,
                               .errors = errors.data(),
                               .error_image_stride = dst_plane,
                               .images = kImages,
                               .digits = digits,
                               .dst = found.data(),
                               .scratch = reinterpret_cast<std::byte*>(scratch.data())};
  fixed_weight_gradient(kernel, call);
  call.dst = wanted.data();
  fixed_weight_gradient_reference(call);
  expect(found == wanted, kernel.name, "gradient of weights", 0, 0);
}

// Small whole numbers: sums are exact, whatever their order.
void check_conv_shifted(const ConvShiftedKernel& kernel) {
  const ConvShiftedShape shape{.channels = 3,
                               .height = 9,
                               .width = 10,
                               .outputs = 7,
                               .kernel_height = 3,
                               .kernel_width = 5,
                               .pad_top = 1,
                               .pad_left = 2,
                               .out_height = 9,
                               .out_width = 10};
  const auto floats = [](const std::vector<std::int16_t>& words) { return std::vector<float>(words.begin(), words.end()); };
  const std::vector<float> src = floats(random_words(shape.channels * shape.height * shape.width, 6));
  const std::vector<float> weights = floats(random_words(shape.outputs * shape.channels * shape.kernel_height * shape.kernel_width, 6));
  const std::vector<float> bias = floats(random_words(shape.outputs, 6));
  const ConvShiftedWeights packed(shape, weights);
  std::vector<float> scratch(static_cast<std::size_t>(shape.scratch_count()));
  std::vector<float> found(static_cast<std::size_t>(shape.outputs * shape.out_height * shape.out_width));
  kernel.function({.shape = &shape,
                   .weights = &packed,
                   .bias = bias.data(),
                   .activation = Activation::relu,
                   .src = src.data(),
                   .scratch = scratch.data(),
                   .dst = found.data()});
  std::vector<float> wanted;
  for (std::int64_t o = 0; o < shape.outputs; ++o) {
    for (std::int64_t y = 0; y < shape.out_height; ++y) {
      for (std::int64_t x = 0; x < shape.out_width; ++x) {
        float sum = bias[static_cast<std::size_t>(o)];
        for (std::int64_t c = 0; c < shape.channels; ++c) {
          for (std::int64_t i = 0; i < shape.kernel_height; ++i) {
            for (std::int64_t j = 0; j < shape.kernel_width; ++j) {
              const std::int64_t row = y + i - shape.pad_top;
              const std::int64_t column = x + j - shape.pad_left;
              if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
              sum += weights[static_cast<std::size_t>(((o * shape.channels + c) * shape.kernel_height + i) * shape.kernel_width + j)] *
                     src[static_cast<std::size_t>((c * shape.height + row) * shape.width + column)];
            }
          }
        }
        wanted.push_back(sum > 0.0F ? sum : 0.0F);
      }
    }
  }
  expect(found == wanted, kernel.name, "convolution", 0, 0);
}

int check_all(const char* best) {
  int checked = 0;
  for (const GemvPackedKernel& kernel : gemv_packed_kernels()) {
    if (isa_available(kernel.isa)) check_gemv_packed(kernel), ++checked;
  }
  for (const GemvInt8Kernel& kernel : gemv_int8_kernels()) {
    if (isa_available(kernel.isa)) check_gemv_int8(kernel), ++checked;
  }
  for (const QuantizeKernel& kernel : quantize_kernels()) {
    if (isa_available(kernel.isa)) check_quantize(kernel), ++checked;
  }
  for (const FixedPointKernel& kernel : fixed_point_kernels()) {
    if (isa_available(kernel.isa)) check_fixed_rounding(kernel), check_fixed_convolution(kernel), ++checked;
  }
  for (const ConvShiftedKernel& kernel : conv_shifted_kernels()) {
    if (isa_available(kernel.isa)) check_conv_shifted(kernel), ++checked;
  }
  const std::string_view found = isa_name(available_isas().back());
  std::printf("%d kernels, best instruction set %.*s, %d differences\n", checked, static_cast<int>(found.size()), found.data(), failures);
  if (found != best) std::printf("need %s as the best instruction set: this is not the processor that the test is about\n", best);
  return failures == 0 && found == best && checked >= 6 ? 0 : 1;
}

}  // namespace
}  // namespace bitwright

int main(int count, char** arguments) { return bitwright::check_all(count > 1 ? arguments[1] : ""); }
