// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/bytes.h"

#include "tests/support/assert.h"
#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

std::vector<int> as_ints(std::span<const std::byte> bytes) {
  std::vector<int> ints;
  for (const std::byte byte : bytes) ints.push_back(std::to_integer<int>(byte));
  return ints;
}

TEST(ByteWriter, WritesLittleEndian) {
  ByteWriter writer;
  writer.u8(0x01);
  writer.u16(0x0302);
  writer.u32(0x07060504);
  writer.u64(0x0F0E0D0C0B0A0908ULL);
  EXPECT_EQ(as_ints(writer.view()), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
}

TEST(ByteWriter, WritesSignedNumbersInTwosComplementAndFloatsAsTheirBits) {
  ByteWriter writer;
  writer.i32(-2);
  writer.i64(-3);
  writer.f32(1.5F);
  writer.f64(-2.0);
  EXPECT_EQ(as_ints(writer.view()), (std::vector<int>{0xFE, 0xFF, 0xFF, 0xFF, 0xFD, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                      0,    0,    0xC0, 0x3F, 0,    0,    0,    0,    0,    0,    0,    0xC0}));
}

TEST(ByteWriter, AlignsWithZerosAndPatches) {
  ByteWriter writer;
  writer.u64(0);
  writer.u8(7);
  writer.align(4);
  EXPECT_EQ(writer.size(), 12U);
  writer.align(4);
  EXPECT_EQ(writer.size(), 12U);
  writer.patch_u64(0, writer.size());
  EXPECT_EQ(as_ints(writer.view()), (std::vector<int>{12, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0}));
}

TEST(ByteWriter, PatchBehindTheEndIsADefect) {
  const test::ThrowingAsserts guard;
  ByteWriter writer;
  writer.u64(0);
  EXPECT_THROW(writer.patch_u64(1, 0), test::AssertionFailure);
}

TEST(ByteReader, ReadsBackEverythingWritten) {
  ByteWriter writer;
  writer.u8(255);
  writer.u16(65535);
  writer.u32(std::numeric_limits<std::uint32_t>::max());
  writer.u64(std::numeric_limits<std::uint64_t>::max());
  writer.i32(std::numeric_limits<std::int32_t>::min());
  writer.i64(std::numeric_limits<std::int64_t>::min());
  writer.f32(-0.0F);
  writer.f64(std::numeric_limits<double>::denorm_min());
  writer.text("naïve");
  writer.align(8);
  writer.bytes(as_bytes("xyz"));

  ByteReader reader(writer.view(), "a.bin");
  EXPECT_EQ(reader.u8(), 255);
  EXPECT_EQ(reader.u16(), 65535);
  EXPECT_EQ(reader.u32(), std::numeric_limits<std::uint32_t>::max());
  EXPECT_EQ(reader.u64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(reader.i32(), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(reader.i64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_TRUE(std::signbit(reader.f32()));
  EXPECT_EQ(reader.f64(), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(reader.text(100), "naïve");
  reader.align(8);
  EXPECT_EQ(as_ints(reader.bytes(3)), (std::vector<int>{'x', 'y', 'z'}));
  EXPECT_EQ(reader.remaining(), 0U);
  EXPECT_EQ(reader.position(), writer.size());
  EXPECT_EQ(reader.source(), "a.bin");
}

TEST(ByteReader, KeepsTheBitsOfNan) {
  ByteWriter writer;
  writer.u32(0x7FC12345);
  ByteReader reader(writer.view(), "a.bin");
  EXPECT_EQ(std::bit_cast<std::uint32_t>(reader.f32()), 0x7FC12345U);
}

TEST(ByteReader, EveryReadPastTheEndNamesPlaceAndNeed) {
  const auto three = as_bytes("abc");
  test::expect_error(ErrorCode::corrupt_file,
                     "a.bin: the file ends too early at byte 1 (found 2 more bytes, need 4); it is truncated or damaged, get it again.",
                     [&] {
                       ByteReader reader(three, "a.bin");
                       EXPECT_EQ(reader.u8(), 'a');
                       EXPECT_EQ(reader.u32(), 0U);
                     });
  const auto expect_refused = [&](auto&& read) {
    ByteReader reader(three, "a.bin");
    const auto error = test::error_of([&] { read(reader); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::corrupt_file);
    EXPECT_EQ(reader.position(), 0U);
  };
  expect_refused([](ByteReader& reader) { return reader.u64(); });
  expect_refused([](ByteReader& reader) { return reader.i32(); });
  expect_refused([](ByteReader& reader) { return reader.i64(); });
  expect_refused([](ByteReader& reader) { return reader.f32(); });
  expect_refused([](ByteReader& reader) { return reader.f64(); });
  expect_refused([](ByteReader& reader) { return reader.bytes(4).size(); });
  expect_refused([](ByteReader& reader) { return reader.bytes(std::numeric_limits<std::uint64_t>::max()).size(); });
}

TEST(ByteReader, RefusesATextLongerThanAllowedOrThanTheFile) {
  ByteWriter writer;
  writer.text("abcdef");
  test::expect_error(ErrorCode::corrupt_file,
                     "a.bin: a text at byte 0 is too long (found 6 characters, need at most 5); the file is damaged, get it again.", [&] {
                       ByteReader reader(writer.view(), "a.bin");
                       EXPECT_EQ(reader.text(5), "");
                     });
  ByteWriter huge;
  huge.u32(0xFFFFFFFF);
  test::expect_error(
      ErrorCode::corrupt_file,
      "a.bin: the file ends too early at byte 4 (found 0 more bytes, need 4294967295); it is truncated or damaged, get it again.", [&] {
        ByteReader reader(huge.view(), "a.bin");
        EXPECT_EQ(reader.text(0xFFFFFFFF), "");
      });
}

TEST(ByteReader, RefusesPaddingThatIsNotZero) {
  ByteWriter writer;
  writer.u16(1);
  writer.u16(0x0500);
  test::expect_error(ErrorCode::corrupt_file,
                     "a.bin: a padding byte at byte 3 is not zero (found 5, need 0); the file is damaged, get it again.", [&] {
                       ByteReader reader(writer.view(), "a.bin");
                       EXPECT_EQ(reader.u16(), 1);
                       reader.align(4);
                     });
}

}  // namespace
}  // namespace bitwright
