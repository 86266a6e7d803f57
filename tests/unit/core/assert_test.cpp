// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/assert.h"

#include "tests/support/assert.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(Assert, HoldingOneCallsNobody) {
  const test::ThrowingAsserts guard;
  int evaluations = 0;
  EXPECT_NO_THROW(BITWRIGHT_ASSERT(++evaluations == 1));
  EXPECT_EQ(evaluations, 1);
}

TEST(Assert, FailedOneNamesExpressionAndPlace) {
  const test::ThrowingAsserts guard;
  try {
    BITWRIGHT_ASSERT(1 + 1 == 3);
    FAIL() << "nothing was thrown";
  } catch (const test::AssertionFailure& failure) {
    const std::string message = failure.what();
    EXPECT_NE(message.find("1 + 1 == 3"), std::string::npos) << message;
    EXPECT_NE(message.find("assert_test.cpp:"), std::string::npos) << message;
  }
}

TEST(Assert, InstallingReturnsTheHandlerBefore) {
  const AssertHandler mine = [](const char*, const char*, int) { throw 1; };
  const AssertHandler before = set_assert_handler(mine);
  EXPECT_EQ(set_assert_handler(before), mine);
}

TEST(AssertDeathTest, DefaultHandlerSaysWhereAndAborts) {
  EXPECT_DEATH(BITWRIGHT_ASSERT(2 < 1), "assert_test.cpp:[0-9]+: assertion failed: 2 < 1");
}

TEST(AssertDeathTest, HandlerThatReturnsAborts) {
  EXPECT_DEATH(
      {
        set_assert_handler([](const char*, const char*, int) {});
        BITWRIGHT_ASSERT(false);
      },
      "");
}

}  // namespace
}  // namespace bitwright
