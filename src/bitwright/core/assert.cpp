// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/assert.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace bitwright {
namespace {

void abort_with_message(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
  std::abort();
}

std::atomic<AssertHandler> current_handler{&abort_with_message};

}  // namespace

AssertHandler set_assert_handler(AssertHandler handler) noexcept { return current_handler.exchange(handler); }

void assert_failed(const char* expression, const char* file, int line) {
  current_handler.load()(expression, file, line);
  std::abort();  // a handler that returns has broken its contract
}

}  // namespace bitwright
