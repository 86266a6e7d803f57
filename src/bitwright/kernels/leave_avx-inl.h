// SPDX-License-Identifier: Apache-2.0
// The end of every kernel, for Highway bodies: included once per target, hence the guard that toggles.
#if defined(BITWRIGHT_KERNELS_LEAVE_AVX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BITWRIGHT_KERNELS_LEAVE_AVX_INL_H_
#undef BITWRIGHT_KERNELS_LEAVE_AVX_INL_H_
#else
#define BITWRIGHT_KERNELS_LEAVE_AVX_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {

// At the end of every function of an AVX target: GCC 12 leaves the upper halves of the registers in use, and the next SSE instruction of
// the caller then waits for hundreds of cycles.
HWY_INLINE void LeaveAvx() {
#if HWY_ARCH_X86 && HWY_CAP_GE256
  _mm256_zeroupper();
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();

#endif
