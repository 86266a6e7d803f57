// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/finite.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace bitwright {
namespace {

TEST(Finite, FirstBadIndexIsNamed) {
  std::vector<float> values(10, 1.0F);
  EXPECT_NO_THROW(check_finite("pow2:5", values));
  values[7] = std::numeric_limits<float>::quiet_NaN();
  values[8] = -std::numeric_limits<float>::infinity();
  test::expect_error(ErrorCode::numerical,
                     "pow2:5: a value is not finite (found nan at index 7, need a finite number); look where the tensor was made.",
                     [&] { check_finite("pow2:5", values); });
  values[7] = std::numeric_limits<float>::max();
  test::expect_error(ErrorCode::numerical,
                     "pow2:5: a value is not finite (found -inf at index 8, need a finite number); look where the tensor was made.",
                     [&] { check_finite("pow2:5", values); });
}

}  // namespace
}  // namespace bitwright
