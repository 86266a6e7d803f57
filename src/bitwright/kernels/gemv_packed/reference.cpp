// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

namespace bitwright {

void gemv_packed_reference(const GemvPackedView& weights, const float* bias, const GemvActivations& x, std::span<double> y) {
  const std::int64_t per_word = gemv_packed_codes_per_word(weights.code_bits);
  for (std::int64_t n = 0; n < x.batch; ++n) {
    for (std::int64_t j = 0; j < weights.outputs; ++j) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < weights.inputs; ++i) {
        const GemvPackedLine& line = weights.lines[(j / 16) * weights.lines_per_block + i / per_word];
        const std::uint32_t word = line.lane[static_cast<std::size_t>(j % 16)];
        const std::uint32_t code = (word >> (weights.code_bits * (i % per_word))) % (1U << weights.code_bits);
        sum += static_cast<double>(weights.table->value[code]) * static_cast<double>(x.values[n * x.stride + i]);
      }
      y[static_cast<std::size_t>(n * weights.outputs + j)] = sum + (bias == nullptr ? 0.0 : static_cast<double>(bias[j]));
    }
  }
}

}  // namespace bitwright
