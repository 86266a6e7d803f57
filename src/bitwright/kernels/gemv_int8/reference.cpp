// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_int8/gemv_int8.h"

namespace bitwright {
namespace {

// Part of a code: `bits` bits of it in the lines from `first` on.
std::int32_t part_of(const GemvInt8Line* lines, int bits, std::int64_t output, std::int64_t input) {
  const std::int64_t step = input % 32 / 4;
  const std::int64_t per_line = 8 / bits;
  const std::uint8_t byte = lines[step / per_line].byte[static_cast<std::size_t>(output % 16 * 4 + input % 4)];
  return byte >> (bits * (step % per_line)) & ((1 << bits) - 1);
}

}  // namespace

std::int32_t gemv_int8_code(const GemvInt8View& weights, std::int64_t output, std::int64_t input) noexcept {
  const GemvInt8Line* block = weights.lines + output / 16 * weights.lines_per_block;
  if (weights.layout == GemvInt8Layout::digits) {
    const int byte = block[input / 20].byte[static_cast<std::size_t>(output % 16 * 4 + input % 4)];
    switch (input % 20 / 4) {
      case 0: return byte / 84;
      case 1: return byte % 84 / 28;
      case 2: return byte % 84 % 28 / 9;
      case 3: return byte % 84 % 28 % 9 / 3;
      default: return byte % 84 % 28 % 9 % 3;
    }
  }
  const GemvInt8Line* lines = block + input / 32 * weights.code_bits;
  const int low_bits = weights.code_bits >= 4 ? 4 : weights.code_bits >= 2 ? 2 : 1;
  const std::int32_t low = part_of(lines, low_bits, output, input);
  if (low_bits == weights.code_bits) return low;
  return low | part_of(lines + low_bits, weights.code_bits - low_bits, output, input) << low_bits;
}

void gemv_int8_reference(const GemvInt8View& weights, const GemvInt8Activations& x, std::span<std::int32_t> sums) {
  for (std::int64_t n = 0; n < x.batch; ++n) {
    for (std::int64_t p = 0; p < weights.planes; ++p) {
      for (std::int64_t j = 0; j < weights.outputs; ++j) {
        std::int64_t sum = 0;
        for (std::int64_t i = 0; i < weights.inputs; ++i) {
          const std::int64_t level = weights.tables[p].level[static_cast<std::size_t>(gemv_int8_code(weights, j, i))];
          sum += level * (x.values[n * x.stride + i] - x.zero_point);
        }
        sums[static_cast<std::size_t>((n * weights.planes + p) * weights.outputs + j)] = static_cast<std::int32_t>(sum);
      }
    }
  }
}

}  // namespace bitwright
