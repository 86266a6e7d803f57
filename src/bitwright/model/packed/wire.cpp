// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/packed/wire.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"

#include <algorithm>

namespace bitwright {

void put_varint(ByteWriter& writer, std::uint64_t value) {
  while (value >= 0x80) {
    writer.u8(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  writer.u8(static_cast<std::uint8_t>(value));
}

std::uint64_t get_varint(ByteReader& reader) {
  const std::uint64_t start = reader.position();
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::uint64_t byte = reader.u8();
    if (shift == 63 && byte > 1) break;
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail(ErrorCode::corrupt_file, "{}: a number at byte {} is too long (need at most 64 bits); the file is damaged, get it again.",
       reader.source(), start);
}

void put_signed_varint(ByteWriter& writer, std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  put_varint(writer, value < 0 ? ~(bits << 1) : bits << 1);
}

std::int64_t get_signed_varint(ByteReader& reader) {
  const std::uint64_t folded = get_varint(reader);
  return static_cast<std::int64_t>((folded & 1) != 0 ? ~(folded >> 1) : folded >> 1);
}

void put_count(ByteWriter& writer, std::uint64_t count, std::uint64_t limit, std::string_view what) {
  if (count > limit) {
    fail(ErrorCode::invalid_input, "the packed file cannot hold this model: {} (found {}, need at most {}); make the model smaller.", what,
         count, limit);
  }
  put_varint(writer, count);
}

std::uint64_t get_count(ByteReader& reader, std::uint64_t limit, std::string_view what) {
  const std::uint64_t start = reader.position();
  const std::uint64_t count = get_varint(reader);
  if (count > limit) {
    fail(ErrorCode::corrupt_file, "{}: {} at byte {} is over the limit (found {}, need at most {}); the file is damaged, get it again.",
         reader.source(), what, start, count, limit);
  }
  return count;
}

void put_text(ByteWriter& writer, std::string_view text, std::uint64_t limit, std::string_view what) {
  put_count(writer, text.size(), limit, what);
  writer.bytes(as_bytes(text));
}

std::string get_text(ByteReader& reader, std::uint64_t limit, std::string_view what) {
  const auto characters = reader.bytes(get_count(reader, limit, what));
  return {reinterpret_cast<const char*>(characters.data()), characters.size()};
}

StringTable::StringTable(std::vector<std::string> texts) : texts_(std::move(texts)) {
  std::ranges::sort(texts_);
  texts_.erase(std::unique(texts_.begin(), texts_.end()), texts_.end());
  if (!texts_.empty() && texts_.front().empty()) texts_.erase(texts_.begin());
}

void StringTable::put(ByteWriter& writer) const {
  put_count(writer, texts_.size(), limits::kMaxStrings, "number of names");
  for (const std::string& text : texts_) put_text(writer, text, limits::kMaxNameBytes, "bytes of a name");
}

StringTable StringTable::get(ByteReader& reader) {
  StringTable table;
  const std::uint64_t count = get_count(reader, limits::kMaxStrings, "number of names");
  for (std::uint64_t i = 0; i < count; ++i) table.texts_.push_back(get_text(reader, limits::kMaxNameBytes, "bytes of a name"));
  return table;
}

void StringTable::put_reference(ByteWriter& writer, std::string_view text) const {
  if (text.empty()) {
    put_varint(writer, 0);
    return;
  }
  const auto found = std::ranges::lower_bound(texts_, text);
  BITWRIGHT_ASSERT(found != texts_.end() && *found == text);
  put_varint(writer, static_cast<std::uint64_t>(found - texts_.begin()) + 1);
}

std::string StringTable::get_reference(ByteReader& reader) const {
  const std::uint64_t number = get_count(reader, texts_.size(), "reference to a name");
  return number == 0 ? std::string() : texts_[static_cast<std::size_t>(number - 1)];
}

}  // namespace bitwright
