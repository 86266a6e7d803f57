// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/error.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace bitwright::test {

/// The `Error` that `call` throws; nothing when it returns.
template <typename Call>
[[nodiscard]] std::optional<Error> error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// Expects that `call` throws an `Error` with this code and exactly this message.
template <typename Call>
void expect_error(ErrorCode code, std::string_view whole_message, Call&& call) {
  const std::optional<Error> error = error_of(call);
  ASSERT_TRUE(error.has_value()) << "nothing was thrown; expected: " << whole_message;
  EXPECT_EQ(error_code_name(error->code()), error_code_name(code)) << error->message();
  EXPECT_EQ(error->message(), whole_message);
}

}  // namespace bitwright::test
