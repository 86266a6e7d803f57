// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// Shannon entropy of the codes in bits per code; 0 for an empty or constant tensor. Equation: H = -sum p log2 p; (T12) for three codes.
[[nodiscard]] double entropy_bits_per_code(std::span<const std::int32_t> codes);

/// Length of each symbol's Huffman code for given counts (0 for symbols that do not occur; 1 when only one symbol occurs).
/// Requires: no count is negative, their sum fits int64.
[[nodiscard]] std::vector<int> huffman_code_lengths(std::span<const std::int64_t> counts);

/// Bits to store all codes with one canonical Huffman code, the table of code lengths included (5 bits for each of `code_count` lengths).
/// Lengths above 31 would not fit the table: counts are then halved, rounding up, until all lengths fit (only beyond 2 million codes).
[[nodiscard]] std::int64_t huffman_size_bits(std::span<const std::int32_t> codes, std::int64_t code_count);

/// Mean code length of the variable-length code of the INQ paper: one bit for zero, `bits` for any other code. Equation: (I11).
[[nodiscard]] double zero_flag_bits_per_code(std::span<const std::int32_t> codes, int bits) noexcept;

}  // namespace bitwright
