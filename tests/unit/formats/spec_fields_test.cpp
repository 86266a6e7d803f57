// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/spec_fields.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(SpecFields, OnlyDigitsAreIntegers) {
  EXPECT_EQ(integer_field("42"), 42);
  EXPECT_EQ(integer_field("0"), 0);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1e3"}) EXPECT_EQ(integer_field(text), std::nullopt) << text;
  EXPECT_EQ(integer_field("99999999999999999999"), INT64_MAX);
  EXPECT_EQ(clamped_int(INT64_MAX), INT32_MAX);
}

TEST(SpecFields, BucketIsOptional) {
  EXPECT_EQ(bucketed_fields(":4")->first, 4);
  EXPECT_EQ(bucketed_fields(":4")->bucket_size, std::nullopt);
  EXPECT_EQ(bucketed_fields(":4/256")->bucket_size, 256);
  for (const char* text : {"", "4", ":", ":/", ":4/", ":/256", ":4/2/5", ":4/x"}) EXPECT_FALSE(bucketed_fields(text).has_value()) << text;
}

}  // namespace
}  // namespace bitwright
