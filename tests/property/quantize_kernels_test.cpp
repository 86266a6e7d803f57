// SPDX-License-Identifier: Apache-2.0
// The loops of kernels/quantize against the slow obvious functions of formats, bit for bit, on every instruction set.
#include "bitwright/kernels/quantize/quantize.h"

#include "bitwright/formats/buckets.h"
#include "bitwright/formats/quantized_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

using ::testing::ElementsAreArray;

// Normal values of many sizes, then what is special: ties, ends of ranges, subnormals, zeros of both signs.
std::vector<float> values_of(std::size_t count) {
  const Rng rng(7, "quantize_kernels_test");
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(std::ldexp(rng.normal(i), static_cast<int>(rng.split("size").below(i, 24)) - 16)));
  }
  for (const float special : {0.0F,
                              -0.0F,
                              0.5F,
                              -0.5F,
                              1.5F,
                              -1.5F,
                              2.5F,
                              -2.5F,
                              0x1p-15F,
                              -0x1p-15F,
                              0x3p-15F,
                              -0x3p-15F,
                              0x1.fffffep-1F,
                              -0x1.fffffep-2F,
                              0x1.000002p-1F,
                              0x1p-149F,
                              -0x1p-149F,
                              0x1p-127F,
                              0x1.8p-127F,
                              0x1p-140F,
                              3e38F,
                              -3e38F,
                              0x1p-60F,
                              -0x1p-60F,
                              0x1.fffffep-16F,
                              -0x1.fffffep-16F,
                              0.75F,
                              -0.75F,
                              0.7499999F,
                              1.9999389F,
                              -2.0F,
                              2.0F}) {
    values.push_back(special);
  }
  return values;
}

class EveryQuantizeKernel : public ::testing::TestWithParam<QuantizeKernel> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam().isa)) GTEST_SKIP() << "this processor has no " << isa_name(GetParam().isa);
  }
};

void expect_same_bits(const std::vector<float>& found, const std::vector<float>& wanted, const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(found[i]), std::bit_cast<std::uint32_t>(wanted[i])) << what << ", element " << i;
  }
}

TEST_P(EveryQuantizeKernel, RoundingEqualsConversionAndBack) {
  const std::vector<float> values = values_of(1500);
  const Rng rng = Rng(3, "round").at_step(5);
  for (const char* spec :
       {"fixed<2,14>", "fixed<8,8>", "fixed<16,0>", "fixed<1,15>", "fixed<4,16>", "fixed<1,1>", "fixed<11,12>", "fixed<12,12>"}) {
    const NumberFormat format = NumberFormat::parse(spec);
    const FixedPoint& fixed = *format.get_if<FixedPoint>();
    const auto wanted = [&](const RoundingContext& rounding) {
      const std::vector<std::int32_t> codes = encode(format, FixedPoint::Parameters{}, values, rounding);
      return QuantizedTensor(format, Shape{static_cast<std::int64_t>(values.size())}, codes, FixedPoint::Parameters{}).dequantize();
    };
    RoundCall call{.src = values.data(),
                   .count = static_cast<std::int64_t>(values.size()),
                   .int_bits = fixed.int_bits,
                   .frac_bits = fixed.frac_bits,
                   .rng = &rng};
    std::vector<float> found(values.size());
    call.dst = found.data();
    for (const auto& [mode, rounding] : {std::pair{RoundMode::nearest_even, Rounding::nearest_even},
                                         {RoundMode::nearest_down, Rounding::nearest_down},
                                         {RoundMode::stochastic, Rounding::stochastic}}) {
      call.mode = mode;
      EXPECT_EQ(GetParam().round(call), 0);
      expect_same_bits(found, wanted({.mode = rounding, .rng = &rng}), std::string(spec) + " " + std::string(rounding_name(rounding)));
    }
  }
}

// G7: R decides exactly. The fractions are multiples of 2^-7, so the law can be checked against the words themselves.
TEST_P(EveryQuantizeKernel, WordDrawsRoundUpWhereTheWordIsBelowTheFraction) {
  const Rng rng = Rng(4, "words").at_step(2);
  std::vector<float> values;
  for (int i = 0; i < 3000; ++i) values.push_back(static_cast<float>(i % 512 - 256) * 0x1p-7F);
  for (const std::uint64_t first : {0ULL, 1ULL, 6ULL, 0xFFFFFFFFULL * 4 - 500}) {
    std::vector<float> found(values.size());
    EXPECT_EQ(GetParam().round({.src = values.data(),
                                .dst = found.data(),
                                .count = static_cast<std::int64_t>(values.size()),
                                .int_bits = 8,
                                .frac_bits = 0,
                                .mode = RoundMode::stochastic,
                                .draw = RoundDraw::word,
                                .rng = &rng,
                                .first_index = first}),
              0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double floor = std::floor(static_cast<double>(values[i]));
      const double u = rng.word(first + i) * 0x1p-32;
      ASSERT_EQ(static_cast<double>(found[i]), floor + (u < static_cast<double>(values[i]) - floor ? 1.0 : 0.0)) << i;
    }
  }
}

// The law where it turns: fractions that are the word itself, times 2^-32, or next to it. A float32 holds one word in 256 exactly.
TEST_P(EveryQuantizeKernel, TheWordItselfDoesNotRoundUp) {
  const Rng rng = Rng(6, "edges").at_step((std::uint64_t{3} << 32) + 1);
  constexpr std::size_t kCount = std::size_t{1} << 17;
  std::vector<float> values(kCount, 0.25F);
  int edges = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::uint32_t word = rng.word(i);
    if (word % 256 != 0) continue;
    const float same = static_cast<float>(word) * 0x1p-32F;
    const float below_zero = static_cast<float>(static_cast<double>(same) - 1.0);
    const float around[] = {same,
                            below_zero,
                            std::nextafter(same, 2.0F),
                            std::nextafter(below_zero, 2.0F),
                            std::nextafter(same, -2.0F),
                            std::nextafter(below_zero, -2.0F)};
    values[i] = around[edges++ % 6];
  }
  ASSERT_GT(edges, 300);
  for (const int int_bits : {8, 23, 24}) {
    std::vector<float> found(kCount);
    EXPECT_EQ(GetParam().round({.src = values.data(),
                                .dst = found.data(),
                                .count = static_cast<std::int64_t>(kCount),
                                .int_bits = int_bits,
                                .frac_bits = 0,
                                .mode = RoundMode::stochastic,
                                .draw = RoundDraw::word,
                                .rng = &rng}),
              0);
    for (std::size_t i = 0; i < kCount; ++i) {
      const double floor = std::floor(static_cast<double>(values[i]));
      const double up = rng.word(i) * 0x1p-32 < static_cast<double>(values[i]) - floor ? 1.0 : 0.0;
      ASSERT_EQ(static_cast<double>(found[i]), floor + up) << int_bits << " bits, element " << i << ": " << values[i];
    }
  }
}

TEST_P(EveryQuantizeKernel, LongArraysAreStreamedToTheSameResult) {
  const std::size_t count = (std::size_t{1} << 23) + 37;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 4001) * 0.001F - 2.0F;
  const Rng rng(5, "long");
  std::vector<float> found(count + 3, 9.0F);
  std::vector<float> in_place(values);
  for (const RoundMode mode : {RoundMode::nearest_even, RoundMode::stochastic}) {
    RoundCall call{.src = values.data(),
                   .dst = found.data() + 3,
                   .count = static_cast<std::int64_t>(count),
                   .mode = mode,
                   .draw = RoundDraw::word,
                   .rng = &rng};
    EXPECT_EQ(GetParam().round(call), 0);
    in_place = values;
    call.src = call.dst = in_place.data();
    EXPECT_EQ(GetParam().round(call), 0);
    EXPECT_TRUE(std::equal(in_place.begin(), in_place.end(), found.begin() + 3));
  }
}

TEST_P(EveryQuantizeKernel, CountsWhatTheFormatsRefuse) {
  std::vector<float> values(40, 0.5F);
  values[3] = values[38] = std::numeric_limits<float>::quiet_NaN();
  values[20] = std::numeric_limits<float>::infinity();
  std::vector<float> rounded(40);
  EXPECT_EQ(GetParam().round({.src = values.data(), .dst = rounded.data(), .count = 40}), 2);
  EXPECT_EQ(rounded[20], 2.0F - 0x1p-14F);
  std::vector<std::int32_t> codes(40);
  EXPECT_EQ(GetParam().ternary({{.src = values.data(), .codes = codes.data(), .count = 40}, 0.1F}), 3);
  EXPECT_EQ(GetParam().power({{.src = values.data(), .codes = codes.data(), .count = 40}, -7, 0}), 3);
}

TEST_P(EveryQuantizeKernel, CodesEqualThoseOfTheFormats) {
  std::vector<float> values = values_of(3000);
  std::erase_if(values, [](float value) { return std::abs(value) > 1e30F; });
  const std::int64_t size = static_cast<std::int64_t>(values.size());
  std::vector<std::int32_t> codes(values.size());
  const EncodeCall all{.src = values.data(), .codes = codes.data(), .count = size};
  for (const int bits : {2, 3, 4, 5, 8}) {
    const NumberFormat format = NumberFormat::parse("pow2:" + std::to_string(bits));
    const FormatParameters parameters = fit(format, values);
    const auto& exponents = std::get<PowerOfTwo::Parameters>(parameters);
    EXPECT_EQ(GetParam().power({all, exponents.exp_min, exponents.exp_max}), 0);
    EXPECT_THAT(codes, ElementsAreArray(encode(format, parameters, values, {}))) << format.spec();
    const PowerOfTwo::Parameters lowest{.exp_max = -126 + (1 << (bits - 2)) - 1, .exp_min = -126};
    EXPECT_EQ(GetParam().power({all, lowest.exp_min, lowest.exp_max}), 0);
    EXPECT_THAT(codes, ElementsAreArray(encode(format, lowest, values, {}))) << format.spec() << " at the lowest exponents";
  }
  const NumberFormat ternary = NumberFormat::parse("ternary");
  for (const float threshold : {0.0F, 0.5F, 0.05F}) {
    EXPECT_EQ(GetParam().ternary({all, threshold}), 0);
    EXPECT_THAT(codes, ElementsAreArray(encode(ternary, Ternary::Parameters{.threshold = threshold}, values, {}))) << threshold;
  }
  for (const char* spec : {"uniform:1", "uniform:4", "uniform:8", "uniform:16", "uniform:4/256", "uniform:5/7"}) {
    const NumberFormat format = NumberFormat::parse(spec);
    const FormatParameters parameters = fit(format, values);
    const auto& buckets = std::get<Uniform::Parameters>(parameters).buckets;
    for_each_bucket(
        buckets, values.size(), format.get_if<Uniform>()->bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
          const EncodeCall part{.src = values.data() + first, .codes = codes.data() + first, .count = static_cast<std::int64_t>(count)};
          if (is_constant_bucket(bucket, std::span(values).subspan(first, count))) {
            std::fill_n(codes.begin() + static_cast<std::ptrdiff_t>(first), count, 0);
          } else {
            EXPECT_EQ(GetParam().uniform({part, bucket.scale, bucket.min, static_cast<std::int32_t>(format.code_count() - 1)}), 0);
          }
        });
    EXPECT_THAT(codes, ElementsAreArray(encode(format, parameters, values, {}))) << spec;
  }
  for (const char* spec : {"codebook:2", "codebook:5/256", "codebook:16/256", "codebook:16", "codebook:17"}) {
    const NumberFormat format = NumberFormat::parse(spec);
    const FormatParameters parameters = fit(format, values);
    const auto& [points, buckets] = std::get<Codebook::Parameters>(parameters);
    std::vector<double> midpoints;
    for (std::size_t j = 1; j < points.size(); ++j) midpoints.push_back((static_cast<double>(points[j - 1]) + points[j]) / 2.0);
    for_each_bucket(
        buckets, values.size(), format.get_if<Codebook>()->bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
          const EncodeCall part{.src = values.data() + first, .codes = codes.data() + first, .count = static_cast<std::int64_t>(count)};
          EXPECT_EQ(GetParam().codebook({part, bucket.scale, bucket.min, midpoints}), 0);
        });
    EXPECT_THAT(codes, ElementsAreArray(encode(format, parameters, values, {}))) << spec;
  }
}

TEST_P(EveryQuantizeKernel, PackingEqualsTheFilesAndComesBack) {
  const Rng rng(6, "pack");
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t count : {0, 1, 7, 8, 9, 63, 64, 65, 1001}) {
      for (const CodeSign sign : {CodeSign::unsigned_codes, CodeSign::twos_complement}) {
        const CodeLayout layout = sign == CodeSign::twos_complement ? CodeLayout::signed_bits : CodeLayout::unsigned_bits;
        std::vector<std::int32_t> codes;
        for (std::int64_t i = 0; i < count; ++i) {
          const auto draw = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(i), std::uint64_t{1} << bits));
          codes.push_back(sign == CodeSign::twos_complement ? draw - (1 << (bits - 1)) : draw);
        }
        std::vector<std::byte> wanted(static_cast<std::size_t>(packed_code_bytes(layout, bits, count)));
        pack_codes(layout, bits, codes, wanted);
        std::vector<std::byte> bytes(wanted.size() + 1, std::byte{0x5A});
        GetParam().pack({.code_bits = bits, .codes = codes.data(), .count = count, .bytes = bytes.data()});
        EXPECT_EQ(bytes.back(), std::byte{0x5A}) << "written beyond the end";
        bytes.pop_back();
        EXPECT_EQ(bytes, wanted) << bits << " bits, " << count;
        std::vector<std::int32_t> back(codes.size() + 1, 99);
        GetParam().unpack({.code_bits = bits, .sign = sign, .bytes = bytes.data(), .count = count, .codes = back.data()});
        EXPECT_EQ(back.back(), 99) << "written beyond the end";
        back.pop_back();
        EXPECT_EQ(back, codes) << bits << " bits, " << count;
      }
    }
  }
}

TEST_P(EveryQuantizeKernel, LooksUpEveryCode) {
  const Rng rng(7, "lookup");
  for (const int levels : {1, 3, 16, 17, 31, 32, 33, 64, 65, 256}) {
    std::array<std::int8_t, 256> table{};
    for (int i = 0; i < 256; ++i) table[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(37 * i + 5);
    for (const std::int64_t count : {0, 1, 15, 16, 63, 64, 65, 1001}) {
      std::vector<std::uint8_t> codes;
      std::vector<std::int8_t> wanted;
      for (std::int64_t i = 0; i < count; ++i) {
        codes.push_back(static_cast<std::uint8_t>(rng.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(levels))));
        wanted.push_back(table[codes.back()]);
      }
      std::vector<std::int8_t> found(codes.size() + 1, 99);
      GetParam().lookup({.codes = codes.data(), .count = count, .table = &table, .levels = levels, .dst = found.data()});
      EXPECT_EQ(found.back(), 99) << "written beyond the end";
      found.pop_back();
      EXPECT_EQ(found, wanted) << levels << " levels, " << count;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryQuantizeKernel, ::testing::ValuesIn(quantize_kernels().begin(), quantize_kernels().end()),
                         [](const auto& param_info) { return std::string(isa_name(param_info.param.isa)); });

TEST(SelectQuantize, TakesTheFastestThatIsAllowed) {
  EXPECT_EQ(select_quantize(Isa::scalar).name, "quantize:scalar");
  const QuantizeKernel& best = select_quantize(available_isas().back());
  EXPECT_TRUE(isa_available(best.isa));
  EXPECT_EQ(select_quantize(best.isa).isa, best.isa);
}

}  // namespace
}  // namespace bitwright
