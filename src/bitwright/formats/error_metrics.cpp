// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/error_metrics.h"

#include "bitwright/core/assert.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

QuantizationError quantization_error(std::span<const float> values, std::span<const float> quantized) {
  BITWRIGHT_ASSERT(values.size() == quantized.size());
  double max_abs = 0.0;
  double noise = 0.0;
  double signal = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    const double difference = quantized[i] - value;
    max_abs = std::max(max_abs, std::abs(difference));
    noise += difference * difference;
    signal += value * value;
  }
  return {.max_abs = max_abs,
          .mean_squared = values.empty() ? 0.0 : noise / static_cast<double>(values.size()),
          .sqnr_db = noise == 0.0 ? std::numeric_limits<double>::infinity() : 10.0 * std::log10(signal / noise)};
}

}  // namespace bitwright
