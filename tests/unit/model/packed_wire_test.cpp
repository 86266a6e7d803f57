// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/packed/wire.h"

#include "bitwright/core/error.h"
#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <limits>

namespace bitwright {
namespace {

using test::expect_error;

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(Varint, KnownBytes) {
  // The examples of the LEB128 definition (DWARF 4, figure 22) and the ends of the range.
  const std::pair<std::uint64_t, std::vector<std::byte>> cases[] = {
      {2, bytes_of({0x02})},
      {127, bytes_of({0x7F})},
      {128, bytes_of({0x80, 0x01})},
      {129, bytes_of({0x81, 0x01})},
      {12857, bytes_of({0xB9, 0x64})},
      {0, bytes_of({0x00})},
      {std::numeric_limits<std::uint64_t>::max(), bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01})}};
  for (const auto& [value, bytes] : cases) {
    ByteWriter writer;
    put_varint(writer, value);
    EXPECT_TRUE(std::ranges::equal(writer.view(), bytes)) << value;
    ByteReader reader(bytes, "x");
    EXPECT_EQ(get_varint(reader), value);
    EXPECT_EQ(reader.remaining(), 0U);
  }
}

TEST(Varint, SignedIsZigzag) {
  const std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  const std::int64_t highest = std::numeric_limits<std::int64_t>::max();
  const std::pair<std::int64_t, std::uint64_t> cases[] = {
      {0, 0}, {-1, 1}, {1, 2}, {-2, 3}, {2, 4}, {highest, 0xFFFFFFFFFFFFFFFEULL}, {lowest, 0xFFFFFFFFFFFFFFFFULL}};
  for (const auto& [value, folded] : cases) {
    ByteWriter writer;
    put_signed_varint(writer, value);
    ByteReader as_unsigned(writer.view(), "x");
    EXPECT_EQ(get_varint(as_unsigned), folded) << value;
    ByteReader as_signed(writer.view(), "x");
    EXPECT_EQ(get_signed_varint(as_signed), value);
  }
}

TEST(Varint, RefusesMoreThan64BitsAndTruncation) {
  const std::string message = "x: a number at byte 0 is too long (need at most 64 bits); the file is damaged, get it again.";
  const auto eleven = bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00});
  const auto bit_64 = bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02});
  for (const auto& bytes : {eleven, bit_64}) {
    ByteReader reader(bytes, "x");
    expect_error(ErrorCode::corrupt_file, message, [&] { (void)get_varint(reader); });
  }
  const auto cut = bytes_of({0x80});
  ByteReader reader(cut, "x");
  EXPECT_THROW((void)get_varint(reader), Error);
}

TEST(Count, TheLimitItselfIsAllowed) {
  ByteWriter writer;
  put_count(writer, 5, 5, "things");
  ByteReader good(writer.view(), "x");
  EXPECT_EQ(get_count(good, 5, "things"), 5U);
  ByteReader bad(writer.view(), "x");
  expect_error(ErrorCode::corrupt_file,
               "x: things at byte 0 is over the limit (found 5, need at most 4); the file is damaged, get it again.",
               [&] { (void)get_count(bad, 4, "things"); });
  expect_error(ErrorCode::invalid_input,
               "the packed file cannot hold this model: things (found 5, need at most 4); make the model smaller.",
               [&] { put_count(writer, 5, 4, "things"); });
}

TEST(Text, ALengthBeyondTheBytesIsRefused) {
  ByteWriter writer;
  put_varint(writer, 1000);
  writer.bytes(as_bytes("short"));
  ByteReader reader(writer.view(), "x");
  EXPECT_THROW((void)get_text(reader, 4096, "text"), Error);
}

TEST(StringTable, SortsDropsDuplicatesAndCountsFromOne) {
  const StringTable table({"relu", "conv", "", "relu", "add"});
  ByteWriter writer;
  table.put(writer);
  for (const char* text : {"", "add", "conv", "relu"}) table.put_reference(writer, text);
  const auto need = bytes_of({3, 3, 'a', 'd', 'd', 4, 'c', 'o', 'n', 'v', 4, 'r', 'e', 'l', 'u', 0, 1, 2, 3});
  EXPECT_TRUE(std::ranges::equal(writer.view(), need));
  ByteReader reader(writer.view(), "x");
  const StringTable read = StringTable::get(reader);
  for (const char* text : {"", "add", "conv", "relu"}) EXPECT_EQ(read.get_reference(reader), text);
}

TEST(StringTable, AReferenceBeyondTheTableIsRefused) {
  const auto bytes = bytes_of({4});
  ByteReader reader(bytes, "x");
  expect_error(ErrorCode::corrupt_file,
               "x: reference to a name at byte 0 is over the limit (found 4, need at most 3); the file is damaged, get it again.", [&] {
                 (void)StringTable({"a", "b", "c"}).get_reference(reader);
               });
}

}  // namespace
}  // namespace bitwright
