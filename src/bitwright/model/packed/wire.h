// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/bytes.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

// The primitives of the packed file's sections; docs/file-format.md, "Primitives".

/// Unsigned LEB128: seven bits a byte, low bits first.
void put_varint(ByteWriter& writer, std::uint64_t value);
/// Throws: `Error(corrupt_file)` past the end and for a number that needs more than 64 bits.
[[nodiscard]] std::uint64_t get_varint(ByteReader& reader);

/// Signed numbers, zigzag: 0, -1, 1, -2, … become 0, 1, 2, 3, ….
void put_signed_varint(ByteWriter& writer, std::int64_t value);
[[nodiscard]] std::int64_t get_signed_varint(ByteReader& reader);

/// A number that may not exceed a limit: the writer refuses such a model (`invalid_input`), the reader such a file (`corrupt_file`).
void put_count(ByteWriter& writer, std::uint64_t count, std::uint64_t limit, std::string_view what);
[[nodiscard]] std::uint64_t get_count(ByteReader& reader, std::uint64_t limit, std::string_view what);

/// Length as a count, then the bytes.
void put_text(ByteWriter& writer, std::string_view text, std::uint64_t limit, std::string_view what);
[[nodiscard]] std::string get_text(ByteReader& reader, std::uint64_t limit, std::string_view what);

/// The file's distinct names in byte order; sections refer to them by number. 0 stands for the empty text.
class StringTable {
 public:
  StringTable() = default;
  /// Sorts and drops duplicates and empty texts.
  explicit StringTable(std::vector<std::string> texts);

  void put(ByteWriter& writer) const;
  [[nodiscard]] static StringTable get(ByteReader& reader);

  /// Requires: `text` is empty or in the table.
  void put_reference(ByteWriter& writer, std::string_view text) const;
  [[nodiscard]] std::string get_reference(ByteReader& reader) const;

 private:
  std::vector<std::string> texts_;
};

}  // namespace bitwright
