// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_int8/functions.h"

#include <algorithm>

namespace bitwright {

void gemv_int8__scalar(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, GemvInt8BlockRange blocks) noexcept {
  const std::int64_t end = std::min(blocks.end * kGemvInt8BlockOutputs, weights.outputs);
  for (std::int64_t j = blocks.begin * kGemvInt8BlockOutputs; j < end; ++j) {
    for (std::int64_t n = 0; n < x.batch; ++n) {
      const std::uint8_t* activations = x.values + n * x.stride;
      std::array<std::int32_t, kGemvInt8MaxPlanes> sum{};
      for (std::int64_t i = 0; i < weights.inputs; ++i) {
        const auto code = static_cast<std::size_t>(gemv_int8_code(weights, j, i));
        for (int p = 0; p < weights.planes; ++p) sum[static_cast<std::size_t>(p)] += weights.tables[p].level[code] * activations[i];
      }
      for (int p = 0; p < weights.planes; ++p) {
        sums[(n * weights.planes + p) * weights.outputs + j] =
            sum[static_cast<std::size_t>(p)] - x.zero_point * weights.level_sums[p * weights.outputs + j];
      }
    }
  }
}

}  // namespace bitwright
