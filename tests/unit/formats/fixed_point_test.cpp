// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/fixed_point.h"

#include "bitwright/formats/quantized_tensor.h"
#include "tests/support/assert.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

constexpr FixedPoint kFixed88{.int_bits = 8, .frac_bits = 8};
constexpr FixedPoint kFixed412{.int_bits = 4, .frac_bits = 12};
constexpr FixedPoint kFixed610{.int_bits = 6, .frac_bits = 10};
constexpr std::array kDeterministic = {Rounding::nearest_even, Rounding::nearest_down, Rounding::toward_zero, Rounding::floor};
constexpr std::array kEveryMode = {Rounding::nearest_even, Rounding::nearest_down, Rounding::toward_zero, Rounding::floor,
                                   Rounding::stochastic};

using FormatRow = std::tuple<FixedPoint, int, double, double, double>;
class FixedPointFormat : public ::testing::TestWithParam<FormatRow> {};

TEST_P(FixedPointFormat, HasTheWordStepAndRangeOfThePage) {  // (G1), (G2)
  const auto& [format, word_bits, step, low, high] = GetParam();
  EXPECT_EQ(format.word_bits(), word_bits);
  EXPECT_EQ(format.step(), step);
  EXPECT_EQ(format.min_value(), low);
  EXPECT_EQ(format.max_value(), high);
  EXPECT_EQ(format.min_code() * step, low);
  EXPECT_EQ(format.max_code() * step, high);
}

INSTANTIATE_TEST_SUITE_P(Table, FixedPointFormat,
                         ::testing::Values(FormatRow{{8, 8}, 16, 0.00390625, -128, 127.99609375},
                                           FormatRow{{6, 10}, 16, 0.0009765625, -32, 31.9990234375},
                                           FormatRow{{4, 12}, 16, 0.000244140625, -8, 7.999755859375},
                                           FormatRow{{2, 14}, 16, 0.00006103515625, -2, 1.99993896484375},
                                           FormatRow{{4, 16}, 20, 0.0000152587890625, -8, 7.9999847412109375},
                                           FormatRow{{1, 31}, 32, 0x1p-31, -1, 1 - 0x1p-31},
                                           FormatRow{{32, 0}, 32, 1, -0x1p31, 0x1p31 - 1}));

// Columns: x / step, nearest ties down (G4), nearest even, truncation, floor (G3).
using TieRow = std::tuple<double, int, int, int, int>;
class FixedPointTies : public ::testing::TestWithParam<TieRow> {};

TEST_P(FixedPointTies, RoundAsThePageSays) {
  const auto& [scaled, down, even, truncated, floored] = GetParam();
  const auto code = [x = scaled / 256](Rounding mode) { return convert(x, kFixed88, {.mode = mode, .rng = nullptr}, 0); };
  EXPECT_EQ(code(Rounding::nearest_down), down);
  EXPECT_EQ(code(Rounding::nearest_even), even);
  EXPECT_EQ(code(Rounding::toward_zero), truncated);
  EXPECT_EQ(code(Rounding::floor), floored);
}

INSTANTIATE_TEST_SUITE_P(Table, FixedPointTies,
                         ::testing::Values(TieRow{0.5, 0, 0, 0, 0}, TieRow{-0.5, -1, 0, 0, -1}, TieRow{1.5, 1, 2, 1, 1},
                                           TieRow{-1.5, -2, -2, -1, -2}, TieRow{2.5, 2, 2, 2, 2}, TieRow{-2.5, -3, -2, -2, -3},
                                           TieRow{25.6, 26, 26, 25, 25}, TieRow{-25.6, -26, -26, -25, -26}, TieRow{0.384, 0, 0, 0, 0},
                                           TieRow{-0.384, 0, 0, 0, -1}));

TEST(FixedPointConvert, SaturatesInEveryMode) {  // (G8)
  const Rng rng(1, "test");
  for (const Rounding mode : kEveryMode) {
    const RoundingContext context{.mode = mode, .rng = &rng};
    EXPECT_EQ(convert(300.0, kFixed88, context, 0), 32767);
    EXPECT_EQ(convert(127.998, kFixed88, context, 0), 32767);
    EXPECT_EQ(convert(-128.3, kFixed88, context, 0), -32768);
    EXPECT_EQ(convert(-128.0, kFixed88, context, 0), -32768);
    EXPECT_EQ(convert(std::numeric_limits<double>::infinity(), kFixed88, context, 0), 32767);
    EXPECT_EQ(convert(-std::numeric_limits<double>::infinity(), kFixed88, context, 0), -32768);
    EXPECT_EQ(convert(std::numeric_limits<double>::max(), kFixed88, context, 0), 32767);
    EXPECT_EQ(convert(-0.0, kFixed88, context, 0), 0);
  }
}

TEST(FixedPointConvert, NanIsAnErrorWithItsIndex) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string message =
      "fixed<8,8>: a value is not finite (found nan at index 1, need a finite number); look where the tensor was made.";
  test::expect_error(ErrorCode::numerical, message, [&] { EXPECT_EQ(kFixed88.fit(std::vector{0.0F, nan}), FixedPoint::Parameters{}); });
  test::expect_error(ErrorCode::numerical, message, [&] {
    EXPECT_TRUE(encode(kFixed88, FixedPoint::Parameters{}, std::vector{0.0F, nan}, {}).empty());
  });
}

TEST(FixedPointConvert, InfinityOfATensorSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(quantize(kFixed88, {2}, std::vector{infinity, -infinity}).codes(), ElementsAre(32767, -32768));
}

// (G5): of n draws the up-rate has standard deviation sqrt(p (1 - p) / n); 5 of them is a chance of 6e-7 per row, and draws are fixed.
TEST(FixedPointStochastic, GoesUpWithTheRightProbability) {
  const Rng rng(2024, "update");
  constexpr int kDraws = 100000;
  for (const auto& [x, low, p] : {std::tuple(0.1, 25, 0.6), std::tuple(-0.1, -26, 0.4), std::tuple(0.0015, 0, 0.384),
                                  std::tuple(-0.0015, -1, 0.616), std::tuple(0.25 / 256, 0, 0.25), std::tuple(0.5 / 256, 0, 0.5)}) {
    int ups = 0;
    for (int i = 0; i < kDraws; ++i) {
      const int code = convert(x, kFixed88, {.mode = Rounding::stochastic, .rng = &rng}, i);
      ASSERT_TRUE(code == low || code == low + 1) << x << " became " << code;
      ups += code - low;
    }
    EXPECT_NEAR(static_cast<double>(ups) / kDraws, p, 5.0 * std::sqrt(p * (1.0 - p) / kDraws)) << x;
  }
}

TEST(FixedPointStochastic, RepresentableValuesNeverMove) {  // (G7)
  const Rng rng(5, "x");
  for (int code = -300; code <= 300; ++code) {
    for (int index = 0; index < 50; ++index) {
      ASSERT_EQ(convert(code / 256.0, kFixed88, {.mode = Rounding::stochastic, .rng = &rng}, index), code);
    }
  }
}

TEST(FixedPointStochastic, IsMonotoneForAFixedDraw) {
  const Rng rng(5, "x");
  for (int index = 0; index < 20; ++index) {
    int before = kFixed88.min_code();
    for (int step = -1000; step <= 1000; ++step) {
      const int code = convert(step / 25600.0, kFixed88, {.mode = Rounding::stochastic, .rng = &rng}, index);
      ASSERT_GE(code, before);
      before = code;
    }
  }
}

TEST(FixedPointStochastic, WithoutAGeneratorIsADefect) {
  const test::ThrowingAsserts guard;
  EXPECT_THROW(static_cast<void>(convert(0.1, kFixed88, {.mode = Rounding::stochastic, .rng = nullptr}, 0)), test::AssertionFailure);
}

// The page's dot product: both operands <4,12>, output <6,10>, so k = 14 and z mod 2^14 = 12390.
TEST(FixedPointAccumulator, RoundsTheDotProductOfThePage) {
  const std::array a = {2048, -1024, 7169, 12698};
  const std::array b = {6144, 8191, -512, -4097};
  std::int64_t z = 0;
  for (std::size_t i = 0; i < a.size(); ++i) z += std::int64_t{a[i]} * b[i];
  ASSERT_EQ(z, -51498906);
  const auto code = [z](Rounding mode) { return convert_acc(z, 24, kFixed610, {.mode = mode, .rng = nullptr}, 0); };
  EXPECT_EQ(code(Rounding::floor), -3144);
  EXPECT_EQ(code(Rounding::nearest_down), -3143);  // (G11)
  EXPECT_EQ(code(Rounding::nearest_even), -3143);
  EXPECT_EQ(code(Rounding::toward_zero), -3143);

  const Rng rng(9, "forward");
  std::set<int> seen;
  for (std::uint64_t index = 0; index < 2000; ++index) {
    const std::uint32_t r = rng.word(index) >> 18;  // R of (G12): 14 bits
    const int expected = r >= 16384 - 12390 ? -3143 : -3144;
    seen.insert(convert_acc(z, 24, kFixed610, {.mode = Rounding::stochastic, .rng = &rng}, index));
    ASSERT_EQ(convert_acc(z, 24, kFixed610, {.mode = Rounding::stochastic, .rng = &rng}, index), expected);
  }
  EXPECT_THAT(seen, ElementsAre(-3144, -3143));
}

TEST(FixedPointAccumulator, EveryDrawOnceRoundsUpExactlyZModTimes) {  // (G12)
  const Rng rng(77, "enumerate");
  for (int k = 1; k <= 6; ++k) {
    const FixedPoint format{.int_bits = 16, .frac_bits = 0};
    // One index for each value of R.
    std::vector<std::int64_t> index_of(std::size_t{1} << k, -1);
    for (std::int64_t index = 0; index < 4000; ++index) index_of[rng.word(index) >> (32 - k)] = index;
    for (std::int64_t z = -200; z <= 200; ++z) {
      int ups = 0;
      for (const std::int64_t index : index_of) {
        ASSERT_GE(index, 0);
        ups += convert_acc(z, k, format, {.mode = Rounding::stochastic, .rng = &rng}, index) - static_cast<int>(z >> k);
      }
      ASSERT_EQ(ups, z & ((1 << k) - 1)) << "z " << z << " k " << k;
    }
  }
}

TEST(FixedPointAccumulator, WideShiftsTakeSixtyFourBits) {  // (G12) with k = 40
  const Rng rng(78, "wide");
  const std::int64_t z = (std::int64_t{5} << 40) + (std::int64_t{3} << 38);  // 5.75
  const FixedPoint format{.int_bits = 16, .frac_bits = 0};
  for (std::uint64_t index = 0; index < 500; ++index) {
    const std::uint64_t r = rng.word_pair(index) >> 24;
    ASSERT_EQ(convert_acc(z, 40, format, {.mode = Rounding::stochastic, .rng = &rng}, index), r >= (std::uint64_t{1} << 38) ? 6 : 5);
  }
}

TEST(FixedPointAccumulator, AgreesWithTheRealConversion) {  // (G4) equals (G11), and the same for the other modes
  for (const Rounding mode : kDeterministic) {
    for (int k = -2; k <= 14; ++k) {
      for (std::int64_t z = -300; z <= 300; ++z) {
        const RoundingContext context{.mode = mode, .rng = nullptr};
        ASSERT_EQ(convert_acc(z, 10 + k, kFixed610, context, 0),
                  convert(std::ldexp(static_cast<double>(z), -10 - k), kFixed610, context, 0))
            << rounding_name(mode) << " z " << z << " k " << k;
      }
    }
  }
}

TEST(FixedPointAccumulator, SaturatesAtTheEndsOfInt64) {
  const Rng rng(1, "x");
  for (const Rounding mode : kEveryMode) {
    const RoundingContext context{.mode = mode, .rng = &rng};
    for (const int frac_bits : {0, 10, 24}) {
      EXPECT_EQ(convert_acc(std::numeric_limits<std::int64_t>::max(), frac_bits, kFixed610, context, 0), 32767);
      EXPECT_EQ(convert_acc(std::numeric_limits<std::int64_t>::min(), frac_bits, kFixed610, context, 0), -32768);
    }
    EXPECT_EQ(convert_acc(std::numeric_limits<std::int64_t>::min(), 62, kFixed610, context, 0), -2048);
  }
}

TEST(FixedPointAccumulator, RoundsOnceNotPerProduct) {  // (G9)
  const std::int64_t product = 64 * 102;                // 0.3984375 steps of <6,10>
  const RoundingContext nearest{.mode = Rounding::nearest_down, .rng = nullptr};
  EXPECT_EQ(convert_acc(8 * product, 24, kFixed610, nearest, 0), 3);
  EXPECT_EQ(8 * convert_acc(product, 24, kFixed610, nearest, 0), 0);
}

TEST(FixedPointAccumulator, FewRandomBitsTruncateTheProbability) {  // (G13): z = 12345, k = 14, r = 8 realizes 0.75
  const Rng rng(4, "narrow");
  const FixedPoint format{.int_bits = 16, .frac_bits = 0};
  std::set<std::uint32_t> ups;
  std::set<std::uint32_t> downs;
  for (std::uint64_t index = 0; index < 4000; ++index) {
    const std::uint32_t u = rng.word(index) >> 24;
    (convert_acc_with_random_bits(12345, 14, format, rng, index, 8) == 1 ? ups : downs).insert(u);
  }
  EXPECT_EQ(ups.size(), 192U);
  EXPECT_EQ(downs.size(), 64U);
  // With at least as many random bits as the shift drops it is (G12).
  for (std::uint64_t index = 0; index < 100; ++index) {
    EXPECT_EQ(convert_acc_with_random_bits(12345, 14, format, rng, index, 14),
              convert_acc(12345, 14, format, {.mode = Rounding::stochastic, .rng = &rng}, index));
  }
}

TEST(FixedPointChange, WideningIsLossless) {  // (G14)
  const FixedPoint fine{.int_bits = 4, .frac_bits = 16};
  const RoundingContext floor{.mode = Rounding::floor, .rng = nullptr};
  EXPECT_EQ(change_format(-12345, kFixed412, fine, floor, 0), -197520);
  EXPECT_EQ(-12345 * kFixed412.step(), -197520 * fine.step());
  EXPECT_EQ(change_format(-197520, fine, kFixed412, floor, 0), -12345);
  for (int code = kFixed412.min_code(); code <= kFixed412.max_code(); code += 7) {
    ASSERT_EQ(change_format(change_format(code, kFixed412, fine, floor, 0), fine, kFixed412, floor, 0), code);
  }
}

TEST(FixedPointChange, NarrowingConverts) {
  const RoundingContext nearest{.mode = Rounding::nearest_even, .rng = nullptr};
  EXPECT_EQ(change_format(32767, kFixed88, kFixed412, nearest, 0), 32767);  // 127.996 saturates at 7.9998
  EXPECT_EQ(change_format(24, kFixed412, kFixed88, nearest, 0), 2);         // 1.5 steps, tie to even
  EXPECT_EQ(change_format(-32768, kFixed88, kFixed412, nearest, 0), -32768);
}

TEST(FixedPointAccumulator, WidthsOfThePage) {  // (G10)
  EXPECT_EQ(accumulator_bits(16, 784), 42);
  EXPECT_EQ(accumulator_bits(16, 1600), 43);
  EXPECT_EQ(accumulator_bits(16, 4096), 44);
  EXPECT_EQ(accumulator_bits(16, 100 * 24 * 24), 48);
  EXPECT_EQ(accumulator_bits(16, 128 * 32 * 32), 49);
  EXPECT_EQ(accumulator_bits(8, 784), 26);
  EXPECT_EQ(accumulator_bits(8, 4608), 29);
  EXPECT_EQ(accumulator_bits(20, 4096), 52);
  EXPECT_EQ(accumulator_bits(20, 4608), 53);
  EXPECT_EQ(accumulator_bits(8, 1), 16);
}

TEST(FixedPoint, TensorDrawsByElementIndex) {
  const Rng rng(8, "init");
  const std::vector<float> values(64, 0.1F);
  const std::vector<std::int32_t> codes = encode(kFixed88, FixedPoint::Parameters{}, values, {.mode = Rounding::stochastic, .rng = &rng});
  EXPECT_THAT(std::set<std::int32_t>(codes.begin(), codes.end()), ElementsAre(25, 26));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    EXPECT_EQ(codes[i], convert(0.1F, kFixed88, {.mode = Rounding::stochastic, .rng = &rng}, i));
  }
}

TEST(FixedPoint, HasNoParameters) {
  EXPECT_EQ(kFixed88.parameter_bytes(1000), 0);
  EXPECT_TRUE(quantize(kFixed88, {1}, std::vector{0.5F}).packed_parameters().empty());
}

}  // namespace
}  // namespace bitwright
