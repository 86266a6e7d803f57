// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/code_fields.h"

#include "bitwright/core/rng.h"
#include "bitwright/formats/layout.h"

#include <gtest/gtest.h>

namespace bitwright::onnx {
namespace {

TEST(CodeFields, TakeExactlyTheCodesBits) {
  EXPECT_EQ(code_fields(5), (std::vector<CodeField>{{4, 0}, {1, 4}}));
  EXPECT_EQ(code_fields(7), (std::vector<CodeField>{{4, 0}, {2, 4}, {1, 6}}));
  for (int bits = 1; bits <= 32; ++bits) {
    int sum = 0;
    for (const CodeField& field : code_fields(bits)) {
      EXPECT_EQ(field.shift, sum);
      sum += field.width;
    }
    EXPECT_EQ(sum, bits);
  }
}

TEST(CodeFields, PackAndUnpackEveryWidthAndCount) {
  const Rng rng(1, "fields");
  for (int bits = 1; bits <= 20; ++bits) {
    for (const std::size_t count : {1U, 7U, 8U, 33U}) {
      std::vector<std::int64_t> codes(count);
      for (std::size_t i = 0; i < count; ++i) codes[i] = static_cast<std::int64_t>(rng.word(i)) & ((std::int64_t{1} << bits) - 1);
      std::vector<std::int64_t> back(count, 0);
      for (const CodeField& field : code_fields(bits)) ASSERT_TRUE(unpack_field(pack_field("codes", codes, field), field, back));
      EXPECT_EQ(back, codes) << bits << " bits, " << count;
    }
  }
}

// One field of a whole code lies as the packed file's codes do.
TEST(CodeFields, BytesAreThoseOfThePackedFile) {
  const std::vector<std::int64_t> codes = {1, 2, 3, 0, 2, 1};
  const std::vector<std::int32_t> narrow(codes.begin(), codes.end());
  std::vector<std::byte> packed(2);
  pack_codes(CodeLayout::unsigned_bits, 2, narrow, packed);
  EXPECT_EQ(pack_field("codes", codes, {2, 0}).storage, packed);
  const std::vector<std::int64_t> digits = {1, 2, 0, 0, 2, 1};
  const std::vector<std::int32_t> narrow_digits(digits.begin(), digits.end());
  pack_codes(CodeLayout::base3, 2, narrow_digits, packed);
  EXPECT_EQ(pack_base3("codes", digits).storage, packed);
  std::vector<std::int64_t> back(6);
  ASSERT_TRUE(unpack_base3_bytes(pack_base3("codes", digits), back));
  EXPECT_EQ(back, digits);
  EXPECT_FALSE(unpack_base3_bytes(pack_field("codes", codes, {4, 0}), back)) << "three bytes are not two";
}

}  // namespace
}  // namespace bitwright::onnx
