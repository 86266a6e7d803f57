// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/isa.h"

#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// The last of `kernels` (slowest first) that may run on `isa` and that this processor has; null when there is none. `refusals` learns why
/// faster ones may not, e.g. `conv_shifted:avx512: the instruction set is avx2, this kernel needs avx512`.
template <typename Kernel>
[[nodiscard]] const Kernel* fastest_kernel(std::span<const Kernel> kernels, Isa isa, std::vector<std::string>& refusals) {
  for (auto kernel = kernels.rbegin(); kernel != kernels.rend(); ++kernel) {
    if (kernel->isa <= isa && isa_available(kernel->isa)) return &*kernel;
    refusals.push_back(fmt::format("{}: the instruction set is {}, this kernel needs {}", kernel->name, isa_name(isa), isa_name(kernel->isa)));
  }
  return nullptr;
}

}  // namespace bitwright
