// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

namespace bitwright {

float gemv_packed_weight(const GemvPackedView& weights, std::int64_t output, std::int64_t input) noexcept {
  const std::int64_t t = input / weights.tuple;
  const std::int64_t tile = t / weights.tile_tuples;
  const std::int64_t u = t % weights.tile_tuples;
  const GemvPackedLine* lines = weights.lines + (tile * weights.blocks + output / 16) * weights.lines_per_tile + u / 32 * weights.code_bits;
  std::uint32_t code = 0;
  for (int bit = 0; bit < weights.code_bits; ++bit) {
    const std::int64_t at = weights.code_bits * (u % 32) + bit;
    code |= (lines[at / 32].lane[static_cast<std::size_t>(output % 16)] >> (at % 32) & 1U) << bit;
  }
  for (std::int64_t k = 0; k < input % weights.tuple; ++k) code /= static_cast<std::uint32_t>(weights.levels);
  if (weights.tuple > 1) code %= static_cast<std::uint32_t>(weights.levels);
  const float value = weights.table->value[code];
  if (weights.scales == nullptr) return value;
  const GemvPackedScales& scales = weights.scales[tile * weights.blocks + output / 16];
  const float scaled = scales.scale[static_cast<std::size_t>(output % 16)] * value;
  return scales.min[static_cast<std::size_t>(output % 16)] + scaled;
}

void gemv_packed_reference(const GemvPackedView& weights, const float* bias, const GemvActivations& x, std::span<double> y) {
  for (std::int64_t n = 0; n < x.batch; ++n) {
    for (std::int64_t j = 0; j < weights.outputs; ++j) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < weights.inputs; ++i) {
        sum += static_cast<double>(gemv_packed_weight(weights, j, i)) * static_cast<double>(x.values[n * x.stride + i]);
      }
      y[static_cast<std::size_t>(n * weights.outputs + j)] = sum + (bias == nullptr ? 0.0 : static_cast<double>(bias[j]));
    }
  }
}

}  // namespace bitwright
