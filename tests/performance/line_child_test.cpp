// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/line_child.h"

#include "bitwright/core/error.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(LineChild, AnswersLineByLine) {
  LineChild child({"sh", "-c", "while read -r line; do echo \"<$line>\"; done"});
  EXPECT_EQ(child.ask("a b"), "<a b>");
  EXPECT_EQ(child.ask("{\"c\": 1}"), "<{\"c\": 1}>");
}

TEST(LineChild, ALongLineComesWhole) {
  LineChild child({"sh", "-c", "read -r line; head -c 1000000 /dev/zero | tr '\\0' \"$line\"; echo"});
  EXPECT_EQ(child.ask("x"), std::string(1000000, 'x'));
}

TEST(LineChild, OneThatEndedIsAnError) {
  LineChild child({"true"});
  try {
    (void)child.ask("anyone?");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_EQ(error.message(), "true: the program ended without an answer; run it by hand to see why.");
  }
}

TEST(LineChild, OneThatIsNotThereIsAnError) {
  try {
    const LineChild child({"no-such-program-here"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_TRUE(error.message().starts_with("no-such-program-here: cannot start the program (")) << error.message();
  }
}

}  // namespace
}  // namespace bitwright
