// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/rounding.h"

#include "tests/support/assert.h"
#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace bitwright {
namespace {

double rounded(double scaled, Rounding mode) { return round_scaled(scaled, {.mode = mode, .rng = nullptr}, 0); }

TEST(Rounding, NamesRoundTrip) {
  for (const Rounding rounding :
       {Rounding::nearest_even, Rounding::nearest_down, Rounding::toward_zero, Rounding::floor, Rounding::stochastic}) {
    EXPECT_EQ(parse_rounding(rounding_name(rounding)), rounding);
  }
  EXPECT_EQ(rounding_name(Rounding::nearest_down), "nearest_down");
}

TEST(Rounding, UnknownNameNamesTheNearest) {
  test::expect_error(ErrorCode::usage,
                     "rounding nearest_evn: unknown mode (found nearest_evn, need one of nearest_even, nearest_down, toward_zero, floor, "
                     "stochastic); did you mean nearest_even?",
                     [] { EXPECT_EQ(parse_rounding("nearest_evn"), Rounding::floor); });
}

TEST(Rounding, TiesAreExactAlsoBesideOne) {
  // 1 + (-0.5 + 2^-54) is 0.5 in double, so code that adds 1 before it compares sees a tie that is none.
  const double above_minus_half = std::nextafter(-0.5, 0.0);
  const double below_minus_half = std::nextafter(-0.5, -1.0);
  for (const Rounding mode : {Rounding::nearest_even, Rounding::nearest_down}) {
    EXPECT_EQ(rounded(above_minus_half, mode), 0.0);
    EXPECT_EQ(rounded(below_minus_half, mode), -1.0);
    EXPECT_EQ(rounded(std::nextafter(0.5, 1.0), mode), 1.0);
    EXPECT_EQ(rounded(std::nextafter(0.5, 0.0), mode), 0.0);
  }
  EXPECT_EQ(rounded(-0.5, Rounding::nearest_even), 0.0);
  EXPECT_EQ(rounded(-0.5, Rounding::nearest_down), -1.0);
  EXPECT_EQ(rounded(-1e-300, Rounding::floor), -1.0);
  EXPECT_EQ(rounded(-1e-300, Rounding::toward_zero), 0.0);
}

TEST(Rounding, LargeScaledValuesKeepTheirTies) {
  const double big = 0x1p51;
  EXPECT_EQ(rounded(big + 0.5, Rounding::nearest_even), big);
  EXPECT_EQ(rounded(big + 1.5, Rounding::nearest_even), big + 2.0);
  EXPECT_EQ(rounded(big + 0.5, Rounding::nearest_down), big);
  EXPECT_EQ(rounded(-big - 0.5, Rounding::nearest_down), -big - 1.0);
  EXPECT_EQ(rounded(-big - 0.5, Rounding::floor), -big - 1.0);
}

TEST(Rounding, NeverReturnsMinusZero) {
  const Rng rng(1, "x");
  for (const Rounding mode :
       {Rounding::nearest_even, Rounding::nearest_down, Rounding::toward_zero, Rounding::floor, Rounding::stochastic}) {
    EXPECT_FALSE(std::signbit(round_scaled(-0.0, {.mode = mode, .rng = &rng}, 0)));
  }
  EXPECT_FALSE(std::signbit(rounded(-0.25, Rounding::nearest_even)));
  EXPECT_FALSE(std::signbit(rounded(-0.25, Rounding::toward_zero)));
}

TEST(Rounding, TooLargeForAFractionIsADefect) {
  const test::ThrowingAsserts guard;
  EXPECT_THROW(rounded(0x1p52, Rounding::floor), test::AssertionFailure);
  EXPECT_THROW(rounded(std::nan(""), Rounding::floor), test::AssertionFailure);
}

TEST(StochasticRounding, GoesUpExactlyWhereTheDrawIsBelowTheFraction) {  // (G5), (G6)
  const Rng rng(17, "draws");
  for (const double base : {-3.0, 0.0, 5.0, 0x1p19, -0x1p19}) {
    for (std::uint64_t index = 0; index < 200; ++index) {
      const double u = rng.uniform01(index);
      const RoundingContext context{.mode = Rounding::stochastic, .rng = &rng};
      // A fraction equal to the draw stays down, the next representable one goes up. base + u is exact: 20 + 32 bits.
      ASSERT_EQ(round_scaled(base + u, context, index), base) << base << " + " << u;
      if (base == 0.0) {
        ASSERT_EQ(round_scaled(std::nextafter(u, 1.0), context, index), 1.0);
      }
    }
  }
}

// The unbiased-at-large-values test: at 2^30 + 0.25 a float sum x + U loses bits and is off by percents.
TEST(StochasticRounding, IsUnbiasedAtLargeScaledValues) {
  const Rng rng(3, "large");
  constexpr int kDraws = 100000;
  const double p = 0.25;
  int ups = 0;
  for (int i = 0; i < kDraws; ++i) ups += round_scaled(0x1p30 + p, {.mode = Rounding::stochastic, .rng = &rng}, i) > 0x1p30 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(ups) / kDraws, p, 5.0 * std::sqrt(p * (1.0 - p) / kDraws));
}

// For each of 64 fractions p the number of ups in n draws is binomial, so sum (ups - n p)^2 / (n p (1 - p)) is close to chi-square with
// k = 64 degrees of freedom (the smallest n p (1 - p) is 31). Laurent and Massart bound its tails: P(X > k + 2 sqrt(k x) + 2 x) <= e^-x
// and P(X < k - 2 sqrt(k x)) <= e^-x; x = 13.8 makes both 1e-6. The draws are fixed by the seed, so the test does not flicker.
TEST(StochasticRounding, ChiSquareOverSixtyFourFractions) {
  const Rng rng(99, "chi-square");
  constexpr int kFractions = 64;
  constexpr int kDraws = 4096;
  double chi_square = 0.0;
  for (int j = 0; j < kFractions; ++j) {
    const double p = (j + 0.5) / kFractions;
    int ups = 0;
    for (int i = 0; i < kDraws; ++i) {
      // Negative values too: there the fraction is measured from the floor below.
      const double base = j % 2 == 0 ? 7.0 : -7.0;
      ups += round_scaled(base + p, {.mode = Rounding::stochastic, .rng = &rng}, static_cast<std::uint64_t>(j) * kDraws + i) > base ? 1 : 0;
    }
    const double deviation = ups - kDraws * p;
    chi_square += deviation * deviation / (kDraws * p * (1.0 - p));
  }
  const double x = 13.8;
  EXPECT_LT(chi_square, kFractions + 2.0 * std::sqrt(kFractions * x) + 2.0 * x);
  EXPECT_GT(chi_square, kFractions - 2.0 * std::sqrt(kFractions * x));
}

}  // namespace
}  // namespace bitwright
