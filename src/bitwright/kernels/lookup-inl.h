// SPDX-License-Identifier: Apache-2.0
// Tables of more than sixteen bytes in vectors, for Highway bodies: included once per target, hence the guard that toggles.
#if defined(BITWRIGHT_KERNELS_LOOKUP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BITWRIGHT_KERNELS_LOOKUP_INL_H_
#undef BITWRIGHT_KERNELS_LOOKUP_INL_H_
#else
#define BITWRIGHT_KERNELS_LOOKUP_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Entries 16 part … 16 part + 15 of a table, which `sixteen` repeats in every 16 bytes, for the codes among these; 0 for all other codes.
// Requires: codes below 144 + 16 part.
template <typename V>
HWY_INLINE V LookupPart(V sixteen, V codes, int part) {
  const hn::DFromV<V> d;
  const V place = hn::Sub(codes, hn::Set(d, static_cast<std::uint8_t>(16 * part)));
#if HWY_ARCH_ARM
  return hn::TableLookupBytesOr0(sixteen, place);  // 16 and more look up 0
#else
  // The lowest four bits are looked up, unless the highest one says 0: adding 112 with saturation sets it from 16 on, and what was below
  // the part is above 127 from the start.
  return hn::TableLookupBytesOr0(sixteen, hn::SaturatedAdd(place, hn::Set(d, 0x70)));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#endif
