// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/error.h"

#include <cmath>
#include <cstddef>
#include <span>
#include <string_view>

namespace bitwright {

[[noreturn]] inline void fail_not_finite(std::string_view spec, float value, std::size_t index) {
  fail(ErrorCode::numerical, "{}: a value is not finite (found {} at index {}, need a finite number); look where the tensor was made.",
       spec, value, index);
}

/// Throws: `Error(numerical)` naming the first index that holds NaN or infinity.
inline void check_finite(std::string_view spec, std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) fail_not_finite(spec, values[i], i);
  }
}

}  // namespace bitwright
