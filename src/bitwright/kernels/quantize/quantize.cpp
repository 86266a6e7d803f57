// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/quantize/quantize.h"

#include "bitwright/kernels/quantize/functions.h"

namespace bitwright {
namespace {

constexpr QuantizeKernel kKernels[] = {
#define BITWRIGHT_QUANTIZE_KERNEL(isa) \
  {Isa::isa,                           \
   "quantize:" #isa,                   \
   &quantize_round__##isa,             \
   &quantize_uniform__##isa,           \
   &quantize_ternary__##isa,           \
   &quantize_power__##isa,             \
   &quantize_codebook__##isa,          \
   &quantize_pack__##isa,              \
   &quantize_unpack__##isa,            \
   &quantize_lookup__##isa},
#include "bitwright/kernels/quantize/kernels.inc"
#undef BITWRIGHT_QUANTIZE_KERNEL
};

}  // namespace

std::span<const QuantizeKernel> quantize_kernels() noexcept { return kKernels; }

const QuantizeKernel& select_quantize(Isa isa) noexcept {
  const QuantizeKernel* best = &kKernels[0];
  for (const QuantizeKernel& kernel : kKernels) {
    if (kernel.isa <= isa && isa_available(kernel.isa)) best = &kernel;
  }
  return *best;
}

}  // namespace bitwright
