// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/gemv_int8/gemv_int8.h"

namespace bitwright {

// Every function that kernels.inc names; the build fails to link when one is missing.
#define BITWRIGHT_GEMV_INT8_KERNEL(isa, function) \
  void function(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums, GemvInt8BlockRange blocks) noexcept;
#include "bitwright/kernels/gemv_int8/kernels.inc"
#undef BITWRIGHT_GEMV_INT8_KERNEL

}  // namespace bitwright
