// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/error_metrics.h"

#include "tests/support/assert.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace bitwright {
namespace {

TEST(ErrorMetrics, KnownValues) {
  // Differences 0, 0.5, -1, 0; squares sum to 1.25; signal 1 + 4 + 9 + 16 = 30; 10 log10(30 / 1.25) = 13.802112417116...
  const QuantizationError error = quantization_error(std::vector{1.0F, 2.0F, -3.0F, 4.0F}, std::vector{1.0F, 2.5F, -4.0F, 4.0F});
  EXPECT_EQ(error.max_abs, 1.0);
  EXPECT_EQ(error.mean_squared, 0.3125);
  EXPECT_DOUBLE_EQ(error.sqnr_db, 13.802112417116061);
}

TEST(ErrorMetrics, EqualTensorsHaveNoNoise) {
  const QuantizationError error = quantization_error(std::vector{1.0F, 0.0F}, std::vector{1.0F, 0.0F});
  EXPECT_EQ(error.max_abs, 0.0);
  EXPECT_EQ(error.sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(quantization_error({}, {}).mean_squared, 0.0);
}

TEST(ErrorMetrics, DifferentSizesAreADefect) {
  const test::ThrowingAsserts guard;
  EXPECT_THROW(static_cast<void>(quantization_error(std::vector{1.0F}, {})), test::AssertionFailure);
}

}  // namespace
}  // namespace bitwright
