// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/layout.h"

#include "bitwright/core/assert.h"

namespace bitwright {
namespace {

constexpr std::int64_t kTritsPerByte = 5;
constexpr int kBase3Bytes = 243;  // 3^5: bytes 0 .. 242 mean something

void pack_bits(int code_bits, std::span<const std::int32_t> codes, std::span<std::byte> dst) noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << code_bits) - 1;
  std::uint64_t pending = 0;  // bits not yet written, least significant first
  int pending_bits = 0;
  std::size_t position = 0;
  for (const std::int32_t code : codes) {
    pending |= (static_cast<std::uint32_t>(code) & mask) << pending_bits;
    for (pending_bits += code_bits; pending_bits >= 8; pending_bits -= 8) {
      dst[position++] = static_cast<std::byte>(pending & 0xFF);
      pending >>= 8;
    }
  }
  if (pending_bits > 0) dst[position] = static_cast<std::byte>(pending & 0xFF);
}

void unpack_bits(int code_bits, std::span<const std::byte> src, std::span<std::int32_t> codes, bool is_signed) noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << code_bits) - 1;
  // Flipping the sign bit and taking it off again sign-extends; a zero sign bit leaves unsigned codes alone.
  const std::uint64_t sign = is_signed ? std::uint64_t{1} << (code_bits - 1) : 0;
  std::uint64_t pending = 0;
  int pending_bits = 0;
  std::size_t position = 0;
  for (std::int32_t& code : codes) {
    for (; pending_bits < code_bits; pending_bits += 8) pending |= std::to_integer<std::uint64_t>(src[position++]) << pending_bits;
    code = static_cast<std::int32_t>(static_cast<std::uint32_t>(((pending & mask) ^ sign) - sign));
    pending >>= code_bits;
    pending_bits -= code_bits;
  }
}

void pack_base3(std::span<const std::int32_t> codes, std::span<std::byte> dst) noexcept {
  std::size_t position = 0;
  for (std::byte& byte : dst) {
    int value = 0;
    int weight = 1;
    for (std::int64_t trit = 0; trit < kTritsPerByte && position < codes.size(); ++trit, weight *= 3) value += weight * codes[position++];
    byte = static_cast<std::byte>(value);
  }
}

void unpack_base3(std::span<const std::byte> src, std::span<std::int32_t> codes) noexcept {
  std::size_t position = 0;
  for (const std::byte byte : src) {
    int value = std::to_integer<int>(byte);
    for (std::int64_t trit = 0; trit < kTritsPerByte && position < codes.size(); ++trit, value /= 3) codes[position++] = value % 3;
  }
}

}  // namespace

std::int64_t packed_code_bytes(CodeLayout layout, int code_bits, std::int64_t count) noexcept {
  if (layout == CodeLayout::base3) return (count + kTritsPerByte - 1) / kTritsPerByte;
  return (count * code_bits + 7) / 8;
}

void pack_codes(CodeLayout layout, int code_bits, std::span<const std::int32_t> codes, std::span<std::byte> dst) noexcept {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(dst.size()) == packed_code_bytes(layout, code_bits, static_cast<std::int64_t>(codes.size())));
  if (layout == CodeLayout::base3) {
    pack_base3(codes, dst);
  } else {
    pack_bits(code_bits, codes, dst);
  }
}

void unpack_codes(CodeLayout layout, int code_bits, std::span<const std::byte> src, std::span<std::int32_t> codes) noexcept {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(src.size()) == packed_code_bytes(layout, code_bits, static_cast<std::int64_t>(codes.size())));
  if (layout == CodeLayout::base3) {
    unpack_base3(src, codes);
  } else {
    unpack_bits(code_bits, src, codes, layout == CodeLayout::signed_bits);
  }
}

std::optional<std::int64_t> first_damaged_byte(CodeLayout layout, int code_bits, std::span<const std::byte> src,
                                               std::int64_t count) noexcept {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(src.size()) == packed_code_bytes(layout, code_bits, count));
  if (src.empty()) return std::nullopt;
  const auto last = static_cast<std::int64_t>(src.size()) - 1;
  if (layout != CodeLayout::base3) {
    const int used_bits = static_cast<int>((count * code_bits - 1) % 8) + 1;  // of the last byte
    if ((std::to_integer<unsigned>(src.back()) >> used_bits) != 0) return last;
    return std::nullopt;
  }
  for (std::int64_t i = 0; i <= last; ++i) {
    if (std::to_integer<int>(src[static_cast<std::size_t>(i)]) >= kBase3Bytes) return i;
  }
  int meaningful = 1;
  for (std::int64_t trit = 0; trit < count - last * kTritsPerByte; ++trit) meaningful *= 3;
  if (std::to_integer<int>(src.back()) >= meaningful) return last;
  return std::nullopt;
}

}  // namespace bitwright
