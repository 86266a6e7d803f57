// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::onnx {

/// One field of a protobuf message: its number and its value, which is a number or bytes by the wire type.
struct WireField {
  std::uint32_t number = 0;
  std::uint32_t type = 0;            ///< kVarint, kFixed64, kBytes or kFixed32
  std::uint64_t value = 0;           ///< of kVarint, kFixed64 and kFixed32
  std::span<const std::byte> bytes;  ///< of kBytes: a view into the message
};

inline constexpr std::uint32_t kVarint = 0;
inline constexpr std::uint32_t kFixed64 = 1;
inline constexpr std::uint32_t kBytes = 2;
inline constexpr std::uint32_t kFixed32 = 5;

/// Walks the fields of one protobuf message without copying or allocating: a damaged length can't make it do more than say so.
/// Throws: `Error(corrupt_file)` naming `source` and the position in the file.
class WireReader {
 public:
  /// `origin`: position of `message` in the file, for messages.
  WireReader(std::span<const std::byte> message, const std::string& source, std::uint64_t origin = 0)
      : message_(message), source_(source), origin_(origin) {}

  /// The next field; false at the end of the message.
  [[nodiscard]] bool next(WireField& field);
  /// A reader of the message inside a field of type kBytes. Throws: `Error(corrupt_file)` when the field has another type.
  [[nodiscard]] WireReader nested(const WireField& field) const;

  /// Value of a field that must have this type. Throws: `Error(corrupt_file)`.
  [[nodiscard]] std::int64_t integer(const WireField& field) const;
  [[nodiscard]] std::string text(const WireField& field) const;
  [[nodiscard]] float real(const WireField& field) const;
  [[nodiscard]] std::span<const std::byte> bytes(const WireField& field) const;

  /// Appends the one value or the packed values of a repeated field.
  void append_integers(const WireField& field, std::vector<std::int64_t>& values) const;
  void append_floats(const WireField& field, std::vector<float>& values) const;
  void append_doubles(const WireField& field, std::vector<double>& values) const;

  /// Refuses the file: it is damaged here.
  [[noreturn]] void fail_here(std::string_view what) const;

 private:
  [[nodiscard]] std::uint64_t varint();
  [[nodiscard]] std::uint64_t fixed(std::size_t count);

  std::span<const std::byte> message_;
  const std::string& source_;
  std::uint64_t origin_ = 0;
  std::size_t position_ = 0;
};

/// Writes a protobuf message field by field, in the order of the calls.
class WireWriter {
 public:
  void integer(std::uint32_t number, std::int64_t value);
  void real(std::uint32_t number, float value);
  void text(std::uint32_t number, std::string_view value);
  void bytes(std::uint32_t number, std::span<const std::byte> value);
  void message(std::uint32_t number, const WireWriter& content) { bytes(number, content.view()); }
  /// A message whose last field is `tail`: what large tensors are, so that they are copied once.
  void message_with_tail(std::uint32_t number, const WireWriter& content, std::uint32_t tail_number, std::span<const std::byte> tail);

  [[nodiscard]] std::span<const std::byte> view() const noexcept { return buffer_; }
  [[nodiscard]] std::vector<std::byte> take() && { return std::move(buffer_); }
  void reserve(std::size_t size) { buffer_.reserve(size); }

 private:
  void varint(std::uint64_t value);
  void tag(std::uint32_t number, std::uint32_t type) { varint(std::uint64_t{number} << 3 | type); }
  std::vector<std::byte> buffer_;
};

}  // namespace bitwright::onnx
