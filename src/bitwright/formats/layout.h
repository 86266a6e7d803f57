// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace bitwright {

/// How the codes of one tensor lie in bytes.
enum class CodeLayout {
  unsigned_bits,  ///< code i in bits [i*b, (i+1)*b), least significant bit first
  signed_bits,    ///< the same with codes in two's complement of b bits
  base3,          ///< five codes 0, 1, 2 a byte: t0 + 3 t1 + 9 t2 + 27 t3 + 81 t4. Equation: (T11)
};

/// Bytes that `count` codes of `code_bits` bits take, rounded up to whole bytes. Equation: (T10) without scales, (T11) for base3.
/// Requires: 1 <= code_bits <= 32, 0 <= count <= 2^58.
[[nodiscard]] std::int64_t packed_code_bytes(CodeLayout layout, int code_bits, std::int64_t count) noexcept;

/// Packs codes; bits (or base-3 digits) behind the last code are zero.
/// Requires: dst.size() == packed_code_bytes(…); every code fits `code_bits` (two's complement where the layout is signed), or is 0, 1
/// or 2.
void pack_codes(CodeLayout layout, int code_bits, std::span<const std::int32_t> codes, std::span<std::byte> dst) noexcept;

/// Reads back what `pack_codes` wrote; codes.size() says how many. Codes of base-3 bytes above 242 are 0, 1 or 2 all the same.
/// Requires: src.size() == packed_code_bytes(…).
void unpack_codes(CodeLayout layout, int code_bits, std::span<const std::byte> src, std::span<std::int32_t> codes) noexcept;

/// Whether every code of the layout is one of 0 .. 255.
[[nodiscard]] constexpr bool fits_bytes(CodeLayout layout, int code_bits) noexcept {
  return layout == CodeLayout::base3 || (layout == CodeLayout::unsigned_bits && code_bits <= 8);
}
/// The same in a quarter of the memory. Requires: fits_bytes(layout, code_bits).
void unpack_codes(CodeLayout layout, int code_bits, std::span<const std::byte> src, std::span<std::uint8_t> codes) noexcept;

/// Position of the first byte that `pack_codes` could not have written: padding that is not zero, or a base-3 byte above 242.
/// Requires: src.size() == packed_code_bytes(layout, code_bits, count).
[[nodiscard]] std::optional<std::int64_t> first_damaged_byte(CodeLayout layout, int code_bits, std::span<const std::byte> src,
                                                             std::int64_t count) noexcept;

}  // namespace bitwright
