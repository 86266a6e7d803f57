// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/gemv_packed/gemv_packed.h"

namespace bitwright {

// Every function that kernels.inc names; the build fails to link when one is missing.
#define BITWRIGHT_GEMV_PACKED_KERNEL(isa, function)                                                               \
  void function(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y, \
                GemvBlockRange blocks) noexcept;
#include "bitwright/kernels/gemv_packed/kernels.inc"
#undef BITWRIGHT_GEMV_PACKED_KERNEL

}  // namespace bitwright
