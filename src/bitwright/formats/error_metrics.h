// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace bitwright {

/// How far quantized values lie from the originals. Accumulated in double.
struct QuantizationError {
  double max_abs = 0.0;       ///< largest |q - v|
  double mean_squared = 0.0;  ///< mean (q - v)^2
  double sqnr_db = 0.0;       ///< 10 log10(sum v^2 / sum (q - v)^2); +infinity when equal
};

/// Requires: both spans have the same size.
[[nodiscard]] QuantizationError quantization_error(std::span<const float> values, std::span<const float> quantized);

}  // namespace bitwright
