// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/layout.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/cpu.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace bitwright {
namespace layout_loops {

// The eight codes in the lowest bits of each word become its bytes. Halves are moved apart three times: four codes to every 32 bits, two
// to 16, one to 8.
BITWRIGHT_CLONES void spread_codes(std::uint64_t* words, std::size_t count, int code_bits) noexcept {
  const auto low_bits = [](int bits) { return (std::uint64_t{1} << bits) - 1; };
  const std::uint64_t fours = low_bits(4 * code_bits);
  const std::uint64_t pairs = low_bits(2 * code_bits) * 0x0000'0001'0000'0001;
  const std::uint64_t codes = low_bits(code_bits) * 0x0001'0001'0001'0001;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t word = words[i];
    word = (word & fours) | (word >> (4 * code_bits) & fours) << 32;
    word = (word & pairs) | (word >> (2 * code_bits) & pairs) << 16;
    words[i] = (word & codes) | (word >> code_bits & codes) << 8;
  }
}

}  // namespace layout_loops

namespace {

using layout_loops::spread_codes;

constexpr std::int64_t kTritsPerByte = 5;
constexpr int kBase3Bytes = 243;  // 3^5: bytes 0 .. 242 mean something

template <typename Code>
using Trits = std::array<Code, kTritsPerByte>;

/// The five codes of every byte that means something.
template <typename Code>
constexpr std::array<Trits<Code>, kBase3Bytes> kTritsOfByte = [] {
  std::array<Trits<Code>, kBase3Bytes> table{};
  for (int byte = 0; byte < kBase3Bytes; ++byte) {
    int value = byte;
    for (Code& code : table[static_cast<std::size_t>(byte)]) {
      code = static_cast<Code>(value % 3);
      value /= 3;
    }
  }
  return table;
}();

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

/// Flipping the sign bit and taking it off again sign-extends; a zero sign bit leaves unsigned codes alone.
std::uint64_t sign_bit(int code_bits, bool is_signed) noexcept { return is_signed ? std::uint64_t{1} << (code_bits - 1) : 0; }

/// Eight codes of up to eight bits are as many bytes: one word, whatever the width.
constexpr std::size_t kCodesInStep = 8;

/// The eight codes in the lowest bits of `word`.
template <int kCodeBits>
void unpack_step(std::uint64_t word, std::int32_t* dst) noexcept {
  constexpr std::uint64_t kMask = (std::uint64_t{1} << kCodeBits) - 1;
  // Two codes a store. One by one, GCC 12 makes vectors of them without having shifts for it: 0.82 ns a code of 5 bits instead of 0.18.
  for (std::size_t k = 0; k < kCodesInStep; k += 2) {
    const std::uint64_t pair = (word >> (k * kCodeBits) & kMask) | ((word >> ((k + 1) * kCodeBits) & kMask) << 32);
    std::memcpy(dst + k, &pair, sizeof pair);
  }
}

template <int kCodeBits>
void unpack_step(std::uint64_t word, std::uint8_t* dst) noexcept {
  spread_codes(&word, 1, kCodeBits);
  std::memcpy(dst, &word, sizeof word);
}

template <int kCodeBits, typename Code>
void unpack_steps(std::span<const std::byte> src, std::span<Code> codes) noexcept {
  const std::size_t steps = codes.size() / kCodesInStep;
  // Whole words as long as they lie in the source: reading 5 bytes takes a detour through memory.
  const std::size_t whole_words =
      src.size() < sizeof(std::uint64_t) ? 0 : std::min(steps, (src.size() - sizeof(std::uint64_t)) / kCodeBits + 1);
  const std::byte* from = src.data();
  Code* dst = codes.data();
  std::size_t i = 0;
  if constexpr (sizeof(Code) == 1) {
    std::array<std::uint64_t, 64> words;
    for (; i + words.size() <= whole_words; i += words.size(), dst += sizeof words) {
      for (std::uint64_t& word : words) {
        std::memcpy(&word, from, sizeof word);
        from += kCodeBits;
      }
      spread_codes(words.data(), words.size(), kCodeBits);
      std::memcpy(dst, words.data(), sizeof words);
    }
  }
  for (; i < whole_words; ++i, from += kCodeBits, dst += kCodesInStep) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    unpack_step<kCodeBits>(word, dst);
  }
  for (; i < steps; ++i, from += kCodeBits, dst += kCodesInStep) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, kCodeBits);
    unpack_step<kCodeBits>(word, dst);
  }
}

/// Unpacks whole steps and returns how many codes they were: most of them for unsigned ones of up to eight bits, none for others.
template <typename Code>
std::size_t unpack_in_steps(int code_bits, std::span<const std::byte> src, std::span<Code> codes, bool is_signed) noexcept {
  if (is_signed || std::endian::native != std::endian::little) return 0;
  const std::span<Code> whole = codes.first(codes.size() / kCodesInStep * kCodesInStep);
  switch (code_bits) {
    case 1: unpack_steps<1>(src, whole); break;
    case 2: unpack_steps<2>(src, whole); break;
    case 3: unpack_steps<3>(src, whole); break;
    case 4: unpack_steps<4>(src, whole); break;
    case 5: unpack_steps<5>(src, whole); break;
    case 6: unpack_steps<6>(src, whole); break;
    case 7: unpack_steps<7>(src, whole); break;
    case 8: unpack_steps<8>(src, whole); break;
    default: return 0;
  }
  return whole.size();
}

template <typename Code>
void unpack_bits(int code_bits, std::span<const std::byte> src, std::span<Code> codes, bool is_signed) noexcept {
  const std::size_t done = unpack_in_steps(code_bits, src, codes, is_signed);
  src = src.subspan(done * static_cast<std::size_t>(code_bits) / 8);
  codes = codes.subspan(done);
  const std::uint64_t mask = (std::uint64_t{1} << code_bits) - 1;
  const std::uint64_t sign = sign_bit(code_bits, is_signed);
  std::uint64_t pending = 0;
  int pending_bits = 0;
  std::size_t position = 0;
  for (Code& code : codes) {
    for (; pending_bits < code_bits; pending_bits += 8) pending |= std::to_integer<std::uint64_t>(src[position++]) << pending_bits;
    code = static_cast<Code>(static_cast<std::uint32_t>(((pending & mask) ^ sign) - sign));
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

template <typename Code>
void unpack_base3(std::span<const std::byte> src, std::span<Code> codes) noexcept {
  const std::size_t whole = codes.size() / kTritsPerByte;
  // Bytes above 242 mean nothing; callers refuse them first, and here they must not lead out of the table.
  const auto trits_of = [](std::byte byte) -> const Trits<Code>& {
    return kTritsOfByte<Code>[static_cast<std::size_t>(std::min(std::to_integer<int>(byte), kBase3Bytes - 1))];
  };
  for (std::size_t i = 0; i < whole; ++i) std::memcpy(&codes[i * kTritsPerByte], trits_of(src[i]).data(), sizeof(Trits<Code>));
  for (std::size_t i = whole * kTritsPerByte; i < codes.size(); ++i) codes[i] = trits_of(src[whole])[i - whole * kTritsPerByte];
}

template <typename Code>
void unpack(CodeLayout layout, int code_bits, std::span<const std::byte> src, std::span<Code> codes) noexcept {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(src.size()) == packed_code_bytes(layout, code_bits, static_cast<std::int64_t>(codes.size())));
  if (layout == CodeLayout::base3) {
    unpack_base3(src, codes);
  } else {
    unpack_bits(code_bits, src, codes, layout == CodeLayout::signed_bits);
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
  unpack(layout, code_bits, src, codes);
}

void unpack_codes(CodeLayout layout, int code_bits, std::span<const std::byte> src, std::span<std::uint8_t> codes) noexcept {
  BITWRIGHT_ASSERT(fits_bytes(layout, code_bits));
  unpack(layout, code_bits, src, codes);
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
