// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

std::vector<int> packed(CodeLayout layout, int code_bits, const std::vector<std::int32_t>& codes) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, static_cast<std::int64_t>(codes.size()))));
  pack_codes(layout, code_bits, codes, bytes);
  std::vector<int> ints;
  for (const std::byte byte : bytes) ints.push_back(std::to_integer<int>(byte));
  return ints;
}

std::vector<std::int32_t> unpacked(CodeLayout layout, int code_bits, const std::vector<int>& ints, std::size_t count) {
  std::vector<std::byte> bytes;
  for (const int value : ints) bytes.push_back(static_cast<std::byte>(value));
  std::vector<std::int32_t> codes(count);
  unpack_codes(layout, code_bits, bytes, codes);
  return codes;
}

std::optional<std::int64_t> damaged(CodeLayout layout, int code_bits, const std::vector<int>& ints, std::int64_t count) {
  std::vector<std::byte> bytes;
  for (const int value : ints) bytes.push_back(static_cast<std::byte>(value));
  return first_damaged_byte(layout, code_bits, bytes, count);
}

TEST(Layout, BitsGrowFromTheLeastSignificant) {
  EXPECT_THAT(packed(CodeLayout::unsigned_bits, 2, {1, 2, 0, 0, 1, 2, 0, 0}), ElementsAre(0x09, 0x09));  // the TTQ page's example
  EXPECT_THAT(packed(CodeLayout::unsigned_bits, 1, {1, 0, 1, 1, 0, 0, 0, 0, 1}), ElementsAre(0x0D, 0x01));
  // 5 bits: 1 | 2 << 5 | 3 << 10 | 31 << 15 = 0xF8C41.
  EXPECT_THAT(packed(CodeLayout::unsigned_bits, 5, {1, 2, 3, 31}), ElementsAre(0x41, 0x8C, 0x0F));
  EXPECT_THAT(packed(CodeLayout::unsigned_bits, 16, {0x1234}), ElementsAre(0x34, 0x12));
}

TEST(Layout, SignedCodesAreTwosComplementOfTheWidth) {
  EXPECT_THAT(packed(CodeLayout::signed_bits, 4, {-1, -8, 7}), ElementsAre(0x8F, 0x07));
  EXPECT_THAT(unpacked(CodeLayout::signed_bits, 4, {0x8F, 0x07}, 3), ElementsAre(-1, -8, 7));
  EXPECT_THAT(packed(CodeLayout::signed_bits, 32, {-2}), ElementsAre(0xFE, 0xFF, 0xFF, 0xFF));
  EXPECT_THAT(unpacked(CodeLayout::signed_bits, 32, {0, 0, 0, 0x80}, 1), ElementsAre(INT32_MIN));
}

TEST(Layout, Base3PutsFiveCodesInAByte) {                                                   // (T11)
  EXPECT_THAT(packed(CodeLayout::base3, 2, {1, 2, 0, 0, 1, 2, 0, 0}), ElementsAre(88, 2));  // the page's example
  EXPECT_THAT(packed(CodeLayout::base3, 2, {2, 2, 2, 2, 2}), ElementsAre(242));
  EXPECT_THAT(unpacked(CodeLayout::base3, 2, {88, 2}, 8), ElementsAre(1, 2, 0, 0, 1, 2, 0, 0));
}

TEST(Layout, SizesOfThePages) {
  // INQ on ResNet-20: 268,336 weights beside 5,544 float bytes.
  const auto inq_bytes = [](int bits) { return packed_code_bytes(CodeLayout::unsigned_bits, bits, 268336) + 5544; };
  EXPECT_EQ(inq_bytes(5), 173254);
  EXPECT_EQ(inq_bytes(4), 139712);
  EXPECT_EQ(inq_bytes(3), 106170);
  EXPECT_EQ(inq_bytes(2), 72628);
  // TTQ on ResNet-20: 18 layers, each padded to a byte. (T10) and (T11) without scales.
  std::int64_t base3 = 0;
  std::int64_t two_bits = 0;
  for (const auto& [layers, weights] :
       {std::pair(6, 2304), std::pair(1, 4608), std::pair(5, 9216), std::pair(1, 18432), std::pair(5, 36864)}) {
    base3 += layers * packed_code_bytes(CodeLayout::base3, 2, weights);
    two_bits += layers * packed_code_bytes(CodeLayout::unsigned_bits, 2, weights);
  }
  EXPECT_EQ(base3, 53460);
  EXPECT_EQ(two_bits, 66816);
  EXPECT_EQ(packed_code_bytes(CodeLayout::unsigned_bits, 3, 0), 0);
  EXPECT_EQ(packed_code_bytes(CodeLayout::base3, 2, 0), 0);
}

TEST(Layout, BytesAreTheSameCodes) {
  const auto compare = [](CodeLayout layout, int code_bits, int levels) {
    for (std::size_t count = 0; count < 70; ++count) {
      std::vector<std::int32_t> codes;
      for (std::size_t i = 0; i < count; ++i) codes.push_back(static_cast<std::int32_t>((i * i + 7 * i + 3) % static_cast<std::size_t>(levels)));
      std::vector<std::byte> bytes(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, static_cast<std::int64_t>(count))));
      pack_codes(layout, code_bits, codes, bytes);
      std::vector<std::uint8_t> found(count);
      unpack_codes(layout, code_bits, bytes, found);
      EXPECT_TRUE(std::ranges::equal(found, codes)) << code_bits << " bits, " << count;
    }
  };
  for (int bits = 1; bits <= 8; ++bits) {
    EXPECT_TRUE(fits_bytes(CodeLayout::unsigned_bits, bits));
    compare(CodeLayout::unsigned_bits, bits, 1 << bits);
  }
  EXPECT_TRUE(fits_bytes(CodeLayout::base3, 2));
  compare(CodeLayout::base3, 2, 3);
  EXPECT_FALSE(fits_bytes(CodeLayout::unsigned_bits, 9));
  EXPECT_FALSE(fits_bytes(CodeLayout::signed_bits, 4));
}

TEST(Layout, PaddingThatIsNotZeroIsFound) {
  EXPECT_EQ(damaged(CodeLayout::unsigned_bits, 5, {0xFF, 0x03}, 2), std::nullopt);  // 10 bits used
  EXPECT_EQ(damaged(CodeLayout::unsigned_bits, 5, {0xFF, 0x04}, 2), 1);
  EXPECT_EQ(damaged(CodeLayout::signed_bits, 4, {0x10}, 1), 0);
  EXPECT_EQ(damaged(CodeLayout::unsigned_bits, 8, {0xFF}, 1), std::nullopt);  // no padding
  EXPECT_EQ(damaged(CodeLayout::base3, 2, {242, 8}, 7), std::nullopt);
  EXPECT_EQ(damaged(CodeLayout::base3, 2, {242, 9}, 7), 1);  // a third digit behind the seventh code
  EXPECT_EQ(damaged(CodeLayout::base3, 2, {243, 0}, 7), 0);  // above 2 + 6 + 18 + 54 + 162
  EXPECT_EQ(damaged(CodeLayout::base3, 2, {242}, 5), std::nullopt);
  EXPECT_EQ(damaged(CodeLayout::base3, 2, {}, 0), std::nullopt);
}

TEST(Layout, DamagedBase3BytesStillGiveCodesInRange) {
  std::vector<int> every_byte;
  for (int value = 0; value < 256; ++value) every_byte.push_back(value);
  EXPECT_THAT(unpacked(CodeLayout::base3, 2, every_byte, 256 * 5), ::testing::Each(::testing::AllOf(::testing::Ge(0), ::testing::Le(2))));
}

}  // namespace
}  // namespace bitwright
