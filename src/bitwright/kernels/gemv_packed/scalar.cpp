// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/functions.h"

#include <algorithm>

namespace bitwright {

void gemv_packed_float32__scalar(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                                 GemvBlockRange blocks) noexcept {
  const std::int64_t per_word = gemv_packed_codes_per_word(weights.code_bits);
  const std::uint32_t mask = (1U << weights.code_bits) - 1U;
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    const GemvPackedLine* lines = weights.lines + block * weights.lines_per_block;
    for (std::int64_t n = 0; n < x.batch; ++n) {
      const float* activations = x.values + n * x.stride;
      std::array<std::array<float, 16>, 2> sums{};
      for (std::int64_t i = 0; i < weights.inputs; i += per_word) {
        GemvPackedLine line = lines[i / per_word];
        const std::int64_t count = std::min(per_word, weights.inputs - i);
        for (std::int64_t k = 0; k < count; ++k) {
          std::array<float, 16>& sum = sums[static_cast<std::size_t>(k % 2)];
          for (std::size_t lane = 0; lane < 16; ++lane) {
            sum[lane] += weights.table->value[line.lane[lane] & mask] * activations[i + k];
            line.lane[lane] >>= weights.code_bits;
          }
        }
      }
      const std::int64_t first = block * kGemvPackedBlockOutputs;
      const std::int64_t count = std::min(kGemvPackedBlockOutputs, weights.outputs - first);
      for (std::int64_t lane = 0; lane < count; ++lane) {
        const auto l = static_cast<std::size_t>(lane);
        y.values[n * y.stride + first + lane] = (sums[0][l] + sums[1][l]) + (bias == nullptr ? 0.0F : bias[first + lane]);
      }
    }
  }
}

}  // namespace bitwright
