// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

/// In front of a function: it is compiled for several instruction sets, and the loader picks one. For plain loops that the compiler turns
/// into vectors; kernels proper are written with Highway. Other compilers, and sanitizers, whose checks would run in the loader, take the
/// plain function.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define BITWRIGHT_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define BITWRIGHT_CLONES
#endif

namespace bitwright {

/// Marketing name of the processor, e.g. `AMD EPYC`; `unknown` where the system does not say.
[[nodiscard]] std::string cpu_name();

/// Instruction-set extensions that matter here and that this processor and system offer, e.g. `{"avx2", "fma", "avx512f", "avx512_bf16"}`.
[[nodiscard]] std::vector<std::string> cpu_features();

/// Processors this process may use.
[[nodiscard]] int cpu_count();

}  // namespace bitwright
