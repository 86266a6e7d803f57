// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Appends little-endian numbers to a growing byte string.
class ByteWriter {
 public:
  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void i32(std::int32_t value);
  void i64(std::int64_t value);
  void f32(float value);
  void f64(double value);
  void bytes(std::span<const std::byte> data);
  /// u32 length, then the characters.
  void text(std::string_view value);
  /// Zero bytes up to the next multiple of `alignment`.
  void align(std::size_t alignment);
  /// Overwrites eight bytes written before. Requires: position + 8 <= size().
  void patch_u64(std::size_t position, std::uint64_t value);

  [[nodiscard]] std::size_t size() const noexcept { return buffer_.size(); }
  [[nodiscard]] std::span<const std::byte> view() const noexcept { return buffer_; }
  [[nodiscard]] std::vector<std::byte> take() && { return std::move(buffer_); }

 private:
  std::vector<std::byte> buffer_;
};

/// Reads little-endian numbers from bytes that may be damaged: every read is checked against what is left.
///
/// Throws: `Error(corrupt_file)` naming `source` and the position, on any read past the end. Nothing is allocated from a length that was
/// not first compared with the bytes left.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> data, std::string source) : data_(data), source_(std::move(source)) {}

  [[nodiscard]] std::uint8_t u8();
  [[nodiscard]] std::uint16_t u16();
  [[nodiscard]] std::uint32_t u32();
  [[nodiscard]] std::uint64_t u64();
  [[nodiscard]] std::int32_t i32();
  [[nodiscard]] std::int64_t i64();
  [[nodiscard]] float f32();
  [[nodiscard]] double f64();
  [[nodiscard]] std::span<const std::byte> bytes(std::uint64_t count);
  /// u32 length (at most `max_length`), then the characters.
  [[nodiscard]] std::string text(std::uint32_t max_length);
  /// Skips to the next multiple of `alignment`; the skipped bytes must be zero.
  void align(std::size_t alignment);

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t remaining() const noexcept { return data_.size() - position_; }
  [[nodiscard]] const std::string& source() const noexcept { return source_; }

 private:
  std::span<const std::byte> take(std::uint64_t count);
  std::span<const std::byte> data_;
  std::string source_;
  std::uint64_t position_ = 0;
};

[[nodiscard]] inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

}  // namespace bitwright
