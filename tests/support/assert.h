// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/assert.h"

#include <stdexcept>
#include <string>

namespace bitwright::test {

/// What a failed `BITWRIGHT_ASSERT` throws while a `ThrowingAsserts` lives.
class AssertionFailure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Makes failed assertions throw `AssertionFailure` for the life of this object, so that `EXPECT_THROW(call, AssertionFailure)` works.
class ThrowingAsserts {
 public:
  ThrowingAsserts() : before_(set_assert_handler(&throw_failure)) {}
  ~ThrowingAsserts() { set_assert_handler(before_); }
  ThrowingAsserts(const ThrowingAsserts&) = delete;
  ThrowingAsserts& operator=(const ThrowingAsserts&) = delete;

 private:
  static void throw_failure(const char* expression, const char* file, int line) {
    throw AssertionFailure(std::string(file) + ":" + std::to_string(line) + ": " + expression);
  }
  AssertHandler before_;
};

}  // namespace bitwright::test
