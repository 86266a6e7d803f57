// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <tuple>

namespace bitwright {
namespace {

class EveryErrorCode : public ::testing::TestWithParam<std::tuple<ErrorCode, int, const char*>> {};

TEST_P(EveryErrorCode, HasItsExitCodeAndName) {
  const auto& [code, exit, name] = GetParam();
  EXPECT_EQ(exit_code(code), exit);
  EXPECT_EQ(error_code_name(code), name);
}

// The table of the documented exit codes.
INSTANTIATE_TEST_SUITE_P(Table, EveryErrorCode,
                         ::testing::Values(std::tuple(ErrorCode::check_failed, 1, "check_failed"), std::tuple(ErrorCode::usage, 2, "usage"),
                                           std::tuple(ErrorCode::invalid_input, 3, "invalid_input"),
                                           std::tuple(ErrorCode::corrupt_file, 3, "corrupt_file"),
                                           std::tuple(ErrorCode::unsupported, 3, "unsupported"), std::tuple(ErrorCode::io, 4, "io"),
                                           std::tuple(ErrorCode::numerical, 5, "numerical"),
                                           std::tuple(ErrorCode::internal, 70, "internal")));

TEST(Error, FailFormatsTheMessageAndKeepsTheCode) {
  test::expect_error(ErrorCode::unsupported, "x: bad (found 3, need 4); fix it.",
                     [] { fail(ErrorCode::unsupported, "{}: bad (found {}, need {}); fix it.", "x", 3, 4); });
}

TEST(Error, MessagesAreOneLineWhateverNamesHold) {
  test::expect_error(
      ErrorCode::invalid_input, "net: bad name (found \"a\\x0ab\\x1b[0m\\x7f\xc3\xa9\", need printable text); rename it.",
      [] { fail(ErrorCode::invalid_input, "net: bad name (found \"{}\", need printable text); rename it.", "a\nb\x1b[0m\x7f\xc3\xa9"); });
}

TEST(Error, IsAStandardExceptionWithTheSameText) {
  const Error error(ErrorCode::io, "disk: full");
  const std::exception& base = error;
  EXPECT_STREQ(base.what(), "disk: full");
  EXPECT_EQ(error.message(), "disk: full");
}

}  // namespace
}  // namespace bitwright
