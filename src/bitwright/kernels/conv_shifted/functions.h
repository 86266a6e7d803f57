// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/conv_shifted/conv_shifted.h"

namespace bitwright {

// Every function that kernels.inc names; the build fails to link when one is missing.
#define BITWRIGHT_CONV_SHIFTED_KERNEL(isa, function) void function(const ConvShiftedCall& call) noexcept;
#include "bitwright/kernels/conv_shifted/kernels.inc"
#undef BITWRIGHT_CONV_SHIFTED_KERNEL

}  // namespace bitwright
