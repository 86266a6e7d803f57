// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/quantize/quantize.h"

namespace bitwright {

// Every function that kernels.inc stands for; the build fails to link when one is missing.
#define BITWRIGHT_QUANTIZE_KERNEL(isa)                                      \
  std::int64_t quantize_round__##isa(const RoundCall& call) noexcept;       \
  std::int64_t quantize_uniform__##isa(const UniformCall& call) noexcept;   \
  std::int64_t quantize_ternary__##isa(const TernaryCall& call) noexcept;   \
  std::int64_t quantize_power__##isa(const PowerCall& call) noexcept;       \
  std::int64_t quantize_codebook__##isa(const CodebookCall& call) noexcept; \
  void quantize_pack__##isa(const PackCall& call) noexcept;                 \
  void quantize_unpack__##isa(const UnpackCall& call) noexcept;             \
  void quantize_lookup__##isa(const LookupCall& call) noexcept;
#include "bitwright/kernels/quantize/kernels.inc"
#undef BITWRIGHT_QUANTIZE_KERNEL

}  // namespace bitwright
