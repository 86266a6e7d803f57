// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// Shannon entropy of the codes in bits per code; 0 for an empty or constant tensor. Equation: H = -sum p log2 p.
[[nodiscard]] double entropy_bits_per_code(std::span<const std::int32_t> codes);

/// Length of each symbol's Huffman code for given counts (0 for symbols that do not occur; 1 when only one symbol occurs).
[[nodiscard]] std::vector<int> huffman_code_lengths(std::span<const std::int64_t> counts);

/// Bits to store all codes with one canonical Huffman code, the table of code lengths included (5 bits for each of `code_count` lengths,
/// lengths limited by counts to below 32 in practice; longer ones throw internal).
[[nodiscard]] std::int64_t huffman_size_bits(std::span<const std::int32_t> codes, std::int64_t code_count);

}  // namespace bitwright
