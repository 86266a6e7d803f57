// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/wire.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

namespace bitwright::onnx {
namespace {

using test::expect_error;

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

const std::string kSource = "net.onnx";

// The example of protobuf's encoding page: field 1 = 150.
TEST(Wire, WritesWhatProtobufsDocumentationShows) {
  WireWriter writer;
  writer.integer(1, 150);
  writer.text(2, "testing");
  WireWriter inner;
  inner.integer(1, 150);
  writer.message(3, inner);
  EXPECT_EQ(std::move(writer).take(),
            bytes_of({0x08, 0x96, 0x01, 0x12, 0x07, 't', 'e', 's', 't', 'i', 'n', 'g', 0x1a, 0x03, 0x08, 0x96, 0x01}));
}

TEST(Wire, NegativeIntegersTakeTenBytes) {
  WireWriter writer;
  writer.integer(1, -1);
  EXPECT_EQ(writer.view().size(), 11U);
  WireReader reader(writer.view(), kSource);
  WireField field;
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(reader.integer(field), -1);
  EXPECT_FALSE(reader.next(field));
}

TEST(Wire, ATailGivesTheSameBytesAsAMessage) {
  WireWriter head;
  head.integer(1, 7);
  const std::vector<std::byte> tail(300, std::byte{5});
  WireWriter whole = head;
  whole.bytes(9, tail);
  WireWriter by_message;
  by_message.message(5, whole);
  WireWriter by_tail;
  by_tail.message_with_tail(5, head, 9, tail);
  EXPECT_EQ(std::move(by_message).take(), std::move(by_tail).take());
}

TEST(Wire, ListsArePackedOrNot) {
  const std::vector<std::byte> message = bytes_of({0x0a, 0x03, 0x01, 0x96, 0x01, 0x08, 0x07});
  WireReader reader(message, kSource);
  std::vector<std::int64_t> values;
  for (WireField field; reader.next(field);) reader.append_integers(field, values);
  EXPECT_EQ(values, (std::vector<std::int64_t>{1, 150, 7}));
}

TEST(Wire, DamageIsSaidWithItsPosition) {
  const auto read_all = [](const std::vector<std::byte>& message) {
    WireReader reader(message, kSource);
    for (WireField field; reader.next(field);) {
    }
  };
  const auto text = [](const char* what, int at) {
    return fmt::format("net.onnx: not a whole ONNX file ({} at byte {}); it is damaged or no ONNX file, get it again.", what, at);
  };
  expect_error(ErrorCode::corrupt_file, text("a number is cut off", 2), [&] { read_all(bytes_of({0x08, 0x96})); });
  expect_error(ErrorCode::corrupt_file, text("a field is longer than what is left", 2), [&] { read_all(bytes_of({0x12, 0x07})); });
  expect_error(ErrorCode::corrupt_file, text("a field has no number", 1), [&] { read_all(bytes_of({0x00})); });
  expect_error(ErrorCode::corrupt_file, text("a field has an unknown wire type", 1), [&] { read_all(bytes_of({0x0b})); });
  expect_error(ErrorCode::corrupt_file, text("a number is longer than ten bytes", 11), [&] {
    read_all(bytes_of({0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}));
  });
}

}  // namespace
}  // namespace bitwright::onnx
