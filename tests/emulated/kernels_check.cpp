// SPDX-License-Identifier: Apache-2.0
// Compares every kernel of three families that this processor can run with the plain one; small, so that it is quick when emulated. Its
// argument is the instruction set that must be the best one here; prints what differs; returns 1 then.
#include "bitwright/core/rng.h"
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
  const std::string_view found = isa_name(available_isas().back());
  std::printf("%d kernels, best instruction set %.*s, %d differences\n", checked, static_cast<int>(found.size()), found.data(), failures);
  if (found != best) std::printf("need %s as the best instruction set: this is not the processor that the test is about\n", best);
  return failures == 0 && found == best && checked >= 6 ? 0 : 1;
}

}  // namespace
}  // namespace bitwright

int main(int count, char** arguments) { return bitwright::check_all(count > 1 ? arguments[1] : ""); }
