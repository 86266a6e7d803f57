// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/grid.h"

#include "bitwright/core/rng.h"
#include "bitwright/formats/quantized_tensor.h"
#include "bitwright/model/packed_file.h"
#include "tests/support/small_models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bitwright {
namespace {

/// Index of the first value off the grid; -1 when all lie on it.
template <typename Format>
std::int64_t fault(const Format& format, const typename Format::Parameters& parameters, std::vector<float> values) {
  const std::optional<GridFault> found = find_grid_fault(format, parameters, values);
  return found ? found->index : -1;
}

std::vector<float> draws(std::size_t count, double scale) {
  const Rng rng(11, "grid test");
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(scale * rng.normal(i));
  return values;
}

TEST(Grid, WhatQuantizeMakesIsOnTheGrid) {
  const std::vector<NumberFormat> formats = {FixedPoint{2, 6},  FixedPoint{8, 16}, FixedPoint{4, 28},
                                             PowerOfTwo{2},     PowerOfTwo{3},     PowerOfTwo{5},
                                             PowerOfTwo{8},     Ternary{},         Ternary{TernaryLayout::two_bits},
                                             Uniform{1, {}},    Uniform{4, 256},   Uniform{8, 64},
                                             Uniform{16, {}},   Codebook{2, {}},   Codebook{16, 256},
                                             Codebook{300, 512}};
  for (const NumberFormat& format : formats) {
    for (const double scale : {1.0, 1e-30, 1e-3, 0.0, 1e4}) {
      if (format.get_if<PowerOfTwo>() != nullptr && scale == 1e-30) continue;  // below the exponents that pow2 stores
      Model model = test::tiny_model(quantize(format, Shape{40, 50}, draws(2000, scale)));
      EXPECT_NO_THROW(verify_grid(model)) << format.spec() << " at " << scale;
    }
  }
}

TEST(Grid, TheTinyCasesAreOnTheirGrids) {
  for (const test::TinyCase& tiny : test::tiny_cases()) EXPECT_NO_THROW(verify_grid(test::tiny_model(tiny.weight))) << tiny.name;
}

TEST(PowerOfTwoGrid, ReadsTheBitsOfTheFloat) {
  const PowerOfTwo format{4};  // four exponents
  const PowerOfTwo::Parameters parameters{.exp_max = 0, .exp_min = -3};
  EXPECT_EQ(fault(format, parameters, {0.0F, -0.0F, 1.0F, -1.0F, 0.5F, -0.25F, 0.125F}), -1);
  EXPECT_EQ(fault(format, parameters, {1.0F, 0.75F}), 1) << "fraction bits";
  EXPECT_EQ(fault(format, parameters, {1.0F, std::nextafter(1.0F, 2.0F)}), 1) << "last fraction bit";
  EXPECT_EQ(fault(format, parameters, {2.0F}), 0) << "above exp_max";
  EXPECT_EQ(fault(format, parameters, {0.0F, 0.0625F}), 1) << "below exp_min";
  EXPECT_EQ(fault(format, parameters, {std::numeric_limits<float>::infinity()}), 0);
  EXPECT_EQ(fault(format, parameters, {std::numeric_limits<float>::quiet_NaN()}), 0);
}

TEST(PowerOfTwoGrid, SubnormalsHaveOneBit) {
  const PowerOfTwo format{4};
  const PowerOfTwo::Parameters parameters{.exp_max = -146, .exp_min = -149};
  EXPECT_EQ(fault(format, parameters, {0x1p-149F, -0x1p-148F, 0x1p-146F}), -1);
  EXPECT_EQ(fault(format, parameters, {0x1.8p-148F}), 0);
  EXPECT_EQ(fault(format, parameters, {0x1p-145F}), 0);
}

TEST(PowerOfTwoGrid, TheRangeMustHaveTheFormatsWidth) {
  EXPECT_EQ(fault(PowerOfTwo{3}, {.exp_max = 0, .exp_min = -1}, {1.0F}), -1);
  EXPECT_EQ(fault(PowerOfTwo{3}, {.exp_max = 0, .exp_min = -2}, {1.0F}), 0) << "3 bits hold two exponents, not three";
}

TEST(FixedPointGrid, MultiplesInRange) {
  const FixedPoint format{2, 6};
  EXPECT_EQ(fault(format, {}, {-2.0F, 1.984375F, 0.015625F, -0.0F}), -1);
  EXPECT_EQ(fault(format, {}, {0.0078125F}), 0) << "half a step";
  EXPECT_EQ(fault(format, {}, {0.0F, 2.0F}), 1) << "one step above the range";
  EXPECT_EQ(fault(format, {}, {-2.015625F}), 0);
  EXPECT_EQ(fault(format, {}, {std::numeric_limits<float>::quiet_NaN()}), 0);
}

TEST(TernaryGrid, ThreeValues) {
  const Ternary::Parameters parameters{.positive_scale = 0.75F, .negative_scale = 0.5F};
  EXPECT_EQ(fault(Ternary{}, parameters, {0.0F, 0.75F, -0.5F}), -1);
  EXPECT_EQ(fault(Ternary{}, parameters, {0.75F, 0.5F}), 1);
  EXPECT_EQ(fault(Ternary{}, parameters, {-0.75F}), 0);
  EXPECT_EQ(fault(Ternary{}, parameters, {std::nextafter(0.75F, 1.0F)}), 0);
}

TEST(UniformGrid, LevelsOfTheRightBucket) {
  const Uniform format{2, 2};
  const Uniform::Parameters parameters{{{3.0F, -1.0F}, {0.75F, 0.25F}}};
  EXPECT_EQ(fault(format, parameters, {-1.0F, 2.0F, 0.25F, 0.5F}), -1);
  EXPECT_EQ(fault(format, parameters, {-1.0F, 0.5F, 0.25F, 0.5F}), 1) << "between two levels";
  EXPECT_EQ(fault(format, parameters, {-1.0F, 2.0F, 2.0F, 0.5F}), 2) << "a level of the other bucket";
  EXPECT_EQ(fault(format, parameters, {3.0F}), 0) << "a step above the last level";
  // The bound is a few units in the last place: sixteen of them are off.
  EXPECT_EQ(fault(format, parameters, {1.0F + 16 * 0x1p-23F}), 0);
}

TEST(UniformGrid, AConstantBucketHasOneValue) {
  const Uniform::Parameters parameters{{{0.0F, 1.5F}}};
  EXPECT_EQ(fault(Uniform{3, {}}, parameters, {1.5F, 1.5F}), -1);
  EXPECT_EQ(fault(Uniform{3, {}}, parameters, {1.5F, 1.25F}), 1);
}

TEST(CodebookGrid, PointsOfTheRightBucket) {
  const Codebook format{4, 2};
  const Codebook::Parameters parameters{{0.0F, 0.25F, 0.5F, 1.0F}, {{2.0F, -1.0F}, {1.0F, 0.0F}}};
  EXPECT_EQ(fault(format, parameters, {-1.0F, 1.0F, 0.25F, 1.0F}), -1);
  EXPECT_EQ(fault(format, parameters, {-1.0F, 0.5F}), 1) << "no such point";
  EXPECT_EQ(fault(format, parameters, {-1.0F, 1.0F, -0.5F}), 2) << "a point of the other bucket";
  EXPECT_EQ(fault(format, parameters, {-1.25F}), 0);
  EXPECT_EQ(fault(format, parameters, {1.25F}), 0);
}

}  // namespace
}  // namespace bitwright
