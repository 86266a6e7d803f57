// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/bytes.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <bit>

namespace bitwright {
namespace {

// Byte by byte, so the host's byte order does not matter; compilers turn these loops into one move.
template <typename Unsigned>
void append_little_endian(std::vector<std::byte>& buffer, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) buffer.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
}

template <typename Unsigned>
Unsigned load_little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return static_cast<Unsigned>(value);
}

std::size_t padding_to(std::uint64_t position, std::size_t alignment) {
  BITWRIGHT_ASSERT(alignment >= 1);
  return static_cast<std::size_t>((alignment - position % alignment) % alignment);
}

}  // namespace

void ByteWriter::u8(std::uint8_t value) { buffer_.push_back(static_cast<std::byte>(value)); }
void ByteWriter::u16(std::uint16_t value) { append_little_endian(buffer_, value); }
void ByteWriter::u32(std::uint32_t value) { append_little_endian(buffer_, value); }
void ByteWriter::u64(std::uint64_t value) { append_little_endian(buffer_, value); }
void ByteWriter::i32(std::int32_t value) { u32(static_cast<std::uint32_t>(value)); }
void ByteWriter::i64(std::int64_t value) { u64(static_cast<std::uint64_t>(value)); }
void ByteWriter::f32(float value) { u32(std::bit_cast<std::uint32_t>(value)); }
void ByteWriter::f64(double value) { u64(std::bit_cast<std::uint64_t>(value)); }
void ByteWriter::bytes(std::span<const std::byte> data) { buffer_.insert(buffer_.end(), data.begin(), data.end()); }

void ByteWriter::text(std::string_view value) {
  BITWRIGHT_ASSERT(value.size() <= 0xFFFFFFFFU);
  u32(static_cast<std::uint32_t>(value.size()));
  bytes(as_bytes(value));
}

void ByteWriter::align(std::size_t alignment) { buffer_.resize(buffer_.size() + padding_to(buffer_.size(), alignment)); }

void ByteWriter::patch_u64(std::size_t position, std::uint64_t value) {
  BITWRIGHT_ASSERT(buffer_.size() >= 8 && position <= buffer_.size() - 8);
  for (std::size_t i = 0; i < 8; ++i) buffer_[position + i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
}

std::span<const std::byte> ByteReader::take(std::uint64_t count) {
  if (count > remaining()) {
    fail(ErrorCode::corrupt_file,
         "{}: the file ends too early at byte {} (found {} more bytes, need {}); it is truncated or damaged, get it again.", source_,
         position_, remaining(), count);
  }
  const auto taken = data_.subspan(static_cast<std::size_t>(position_), static_cast<std::size_t>(count));
  position_ += count;
  return taken;
}

std::uint8_t ByteReader::u8() { return load_little_endian<std::uint8_t>(take(1)); }
std::uint16_t ByteReader::u16() { return load_little_endian<std::uint16_t>(take(2)); }
std::uint32_t ByteReader::u32() { return load_little_endian<std::uint32_t>(take(4)); }
std::uint64_t ByteReader::u64() { return load_little_endian<std::uint64_t>(take(8)); }
std::int32_t ByteReader::i32() { return static_cast<std::int32_t>(u32()); }
std::int64_t ByteReader::i64() { return static_cast<std::int64_t>(u64()); }
float ByteReader::f32() { return std::bit_cast<float>(u32()); }
double ByteReader::f64() { return std::bit_cast<double>(u64()); }
std::span<const std::byte> ByteReader::bytes(std::uint64_t count) { return take(count); }

std::string ByteReader::text(std::uint32_t max_length) {
  const std::uint64_t start = position_;
  const std::uint32_t length = u32();
  if (length > max_length) {
    fail(ErrorCode::corrupt_file,
         "{}: a text at byte {} is too long (found {} characters, need at most {}); the file is damaged, get it again.", source_, start,
         length, max_length);
  }
  const auto characters = take(length);
  return {reinterpret_cast<const char*>(characters.data()), characters.size()};
}

void ByteReader::align(std::size_t alignment) {
  const std::uint64_t start = position_;
  const auto padding = take(padding_to(position_, alignment));
  for (std::size_t i = 0; i < padding.size(); ++i) {
    if (padding[i] != std::byte{0}) {
      fail(ErrorCode::corrupt_file, "{}: a padding byte at byte {} is not zero (found {}, need 0); the file is damaged, get it again.",
           source_, start + i, std::to_integer<int>(padding[i]));
    }
  }
}

}  // namespace bitwright
