// SPDX-License-Identifier: Apache-2.0
// FixedPoint against an independent implementation of the same arithmetic: SystemC's IEEE 1666 fixed-point types.
#include "bitwright/formats/quantized_tensor.h"
#include "tests/property/systemc_oracle.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <vector>

namespace bitwright {
namespace {

using test::OracleRounding;

struct ModePair {
  Rounding ours;
  OracleRounding theirs;
};

constexpr std::array kModes = {
    ModePair{Rounding::nearest_even, OracleRounding::convergent},
    ModePair{Rounding::nearest_down, OracleRounding::toward_minus_infinity_on_ties},
    ModePair{Rounding::toward_zero, OracleRounding::truncate_toward_zero},
    ModePair{Rounding::floor, OracleRounding::truncate},
};

// 9 formats x 4 modes x 300,000 values = 10.8 million comparisons.
constexpr std::array kFormats = std::to_array<FixedPoint>({{2, 14}, {8, 8}, {6, 10}, {1, 15}, {16, 0}, {2, 3}, {1, 1}, {4, 16}, {8, 24}});
constexpr std::size_t kValues = 300000;

/// What can go wrong: ties at both signs, their neighbors one ulp away, the ends of the range and beyond, bits far below the step, floats
/// of any exponent.
std::vector<float> hard_values(const FixedPoint& format) {
  const Rng rng(7, format.spec());
  std::vector<float> values;
  values.reserve(kValues + 5);
  const auto codes = static_cast<std::uint64_t>(format.code_count());
  for (std::uint64_t i = 0; values.size() < kValues; ++i) {
    const double code = static_cast<double>(rng.below(4 * i, codes + codes / 4 + 8)) - std::floor(static_cast<double>(codes) * 0.625) - 4.0;
    const double half_steps = code + 0.5 * static_cast<double>(rng.below(4 * i + 1, 2));
    const auto tie = static_cast<float>(half_steps * format.step());
    values.push_back(tie);
    values.push_back(std::nextafter(tie, INFINITY));
    values.push_back(std::nextafter(tie, -INFINITY));
    values.push_back(static_cast<float>((code + rng.uniform01(4 * i + 2)) * format.step()));
    // SystemC's arithmetic is exact at any exponent but slow far out, where nothing but saturation or an underflow happens.
    const auto any = std::bit_cast<float>(rng.bits32(4 * i + 3));
    if (std::abs(any) < 0x1p40F && std::abs(any) > 0x1p-60F) values.push_back(any);
  }
  values.resize(kValues);
  return values;
}

TEST(FixedPointAgainstSystemC, NoMismatchInAnyFormatAndMode) {
  std::int64_t compared = 0;
  std::vector<double> expected(kValues);
  for (const FixedPoint& format : kFormats) {
    const std::vector<float> values = hard_values(format);
    const std::vector<double> exact(values.begin(), values.end());
    for (const auto& [ours, theirs] : kModes) {
      const std::vector<std::int32_t> codes = encode(format, FixedPoint::Parameters{}, values, {.mode = ours, .rng = nullptr});
      test::systemc_codes(exact.data(), exact.size(), format.word_bits(), format.int_bits, theirs, expected.data());
      std::int64_t mismatches = 0;
      for (std::size_t i = 0; i < kValues; ++i) {
        if (codes[i] != expected[i] && ++mismatches <= 3) {
          ADD_FAILURE() << format.spec() << " " << rounding_name(ours) << ": " << values[i] << " became " << codes[i] << ", SystemC says "
                        << expected[i];
        }
      }
      EXPECT_EQ(mismatches, 0) << format.spec() << " " << rounding_name(ours);
      compared += static_cast<std::int64_t>(kValues);
    }
  }
  EXPECT_GE(compared, 10'000'000);
}

// The integer path (G11) against the same oracle: accumulators of 34 bits are exact in double.
TEST(FixedPointAgainstSystemC, AccumulatorsAgreeToo) {
  constexpr std::size_t kDraws = 100000;
  const FixedPoint format{.int_bits = 6, .frac_bits = 10};
  const Rng rng(8, "acc");
  std::vector<std::int64_t> accs(kDraws);
  std::vector<int> frac_bits(kDraws);
  std::vector<double> values(kDraws);
  std::vector<double> expected(kDraws);
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    frac_bits[i] = 8 + static_cast<int>(rng.below(3 * i, 20));
    accs[i] = static_cast<std::int64_t>(rng.below(3 * i + 1, std::uint64_t{1} << 34)) - (std::int64_t{1} << 33);
    // Half of them ties: all bits below the step zero but the topmost.
    const int shift = frac_bits[i] - format.frac_bits;
    if (i % 2 == 0 && shift >= 1) accs[i] = (accs[i] >> shift << shift) + (std::int64_t{1} << (shift - 1));
    values[i] = std::ldexp(static_cast<double>(accs[i]), -frac_bits[i]);
  }
  for (const auto& [ours, theirs] : kModes) {
    test::systemc_codes(values.data(), kDraws, format.word_bits(), format.int_bits, theirs, expected.data());
    for (std::size_t i = 0; i < kDraws; ++i) {
      ASSERT_EQ(convert_acc(accs[i], frac_bits[i], format, {.mode = ours, .rng = nullptr}, i), expected[i])
          << rounding_name(ours) << " acc " << accs[i] << " with " << frac_bits[i] << " fraction bits";
    }
  }
}

}  // namespace
}  // namespace bitwright
