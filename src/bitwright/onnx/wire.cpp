// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/wire.h"

#include "bitwright/core/error.h"

#include <bit>
#include <cstring>

namespace bitwright::onnx {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as the wire has them");

constexpr std::size_t varint_size(std::uint64_t value) noexcept {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

template <typename T>
void append_fixed(std::span<const std::byte> packed, std::vector<T>& values) {
  const std::size_t old = values.size();
  values.resize(old + packed.size() / sizeof(T));
  if (!packed.empty()) std::memcpy(values.data() + old, packed.data(), packed.size());
}

}  // namespace

void WireReader::fail_here(std::string_view what) const {
  fail(ErrorCode::corrupt_file, "{}: not a whole ONNX file ({} at byte {}); it is damaged or no ONNX file, get it again.", source_, what,
       origin_ + position_);
}

std::uint64_t WireReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (position_ == message_.size()) fail_here("a number is cut off");
    const auto byte = std::to_integer<std::uint64_t>(message_[position_++]);
    if (shift == 63 && byte > 1) break;
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail_here("a number is longer than ten bytes");
}

std::uint64_t WireReader::fixed(std::size_t count) {
  if (message_.size() - position_ < count) fail_here("a number is cut off");
  std::uint64_t value = 0;
  std::memcpy(&value, message_.data() + position_, count);
  position_ += count;
  return value;
}

bool WireReader::next(WireField& field) {
  if (position_ == message_.size()) return false;
  const std::uint64_t tag = varint();
  if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) fail_here("a field has no number");
  field = {.number = static_cast<std::uint32_t>(tag >> 3), .type = static_cast<std::uint32_t>(tag & 7), .value = 0, .bytes = {}};
  switch (field.type) {
    case kVarint: field.value = varint(); return true;
    case kFixed64: field.value = fixed(8); return true;
    case kFixed32: field.value = fixed(4); return true;
    case kBytes: {
      const std::uint64_t size = varint();
      if (size > message_.size() - position_) fail_here("a field is longer than what is left");
      field.bytes = message_.subspan(position_, static_cast<std::size_t>(size));
      position_ += static_cast<std::size_t>(size);
      return true;
    }
    default: fail_here("a field has an unknown wire type");
  }
}

WireReader WireReader::nested(const WireField& field) const {
  const std::span<const std::byte> inside = bytes(field);
  return {inside, source_, origin_ + static_cast<std::uint64_t>(inside.data() - message_.data())};
}

std::int64_t WireReader::integer(const WireField& field) const {
  if (field.type != kVarint) fail_here("a field that should be an integer is something else");
  return static_cast<std::int64_t>(field.value);
}

std::span<const std::byte> WireReader::bytes(const WireField& field) const {
  if (field.type != kBytes) fail_here("a field that should be text or a message is a number");
  return field.bytes;
}

std::string WireReader::text(const WireField& field) const {
  const std::span<const std::byte> content = bytes(field);
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

float WireReader::real(const WireField& field) const {
  if (field.type != kFixed32) fail_here("a field that should be a float is something else");
  return std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
}

void WireReader::append_integers(const WireField& field, std::vector<std::int64_t>& values) const {
  if (field.type != kBytes) {
    values.push_back(integer(field));
    return;
  }
  WireReader packed = nested(field);
  while (packed.position_ < packed.message_.size()) values.push_back(static_cast<std::int64_t>(packed.varint()));
}

void WireReader::append_floats(const WireField& field, std::vector<float>& values) const {
  if (field.type != kBytes) {
    values.push_back(real(field));
    return;
  }
  if (field.bytes.size() % sizeof(float) != 0) fail_here("a list of floats has a broken length");
  append_fixed(field.bytes, values);
}

void WireReader::append_doubles(const WireField& field, std::vector<double>& values) const {
  if (field.type == kFixed64) {
    values.push_back(std::bit_cast<double>(field.value));
    return;
  }
  if (bytes(field).size() % sizeof(double) != 0) fail_here("a list of doubles has a broken length");
  append_fixed(field.bytes, values);
}

void WireWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) buffer_.push_back(static_cast<std::byte>((value & 0x7F) | 0x80));
  buffer_.push_back(static_cast<std::byte>(value));
}

void WireWriter::integer(std::uint32_t number, std::int64_t value) {
  tag(number, kVarint);
  varint(static_cast<std::uint64_t>(value));
}

void WireWriter::real(std::uint32_t number, float value) {
  tag(number, kFixed32);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) buffer_.push_back(static_cast<std::byte>(bits >> shift & 0xFF));
}

void WireWriter::text(std::uint32_t number, std::string_view value) {
  bytes(number, std::as_bytes(std::span<const char>(value.data(), value.size())));
}

void WireWriter::bytes(std::uint32_t number, std::span<const std::byte> value) {
  tag(number, kBytes);
  varint(value.size());
  buffer_.insert(buffer_.end(), value.begin(), value.end());
}

void WireWriter::message_with_tail(std::uint32_t number, const WireWriter& content, std::uint32_t tail_number,
                                   std::span<const std::byte> tail) {
  tag(number, kBytes);
  const std::size_t tail_size = varint_size(std::uint64_t{tail_number} << 3) + varint_size(tail.size()) + tail.size();
  varint(content.buffer_.size() + tail_size);
  buffer_.insert(buffer_.end(), content.buffer_.begin(), content.buffer_.end());
  bytes(tail_number, tail);
}

}  // namespace bitwright::onnx
