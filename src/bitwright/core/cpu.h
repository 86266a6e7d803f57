// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace bitwright {

/// Marketing name of the processor, e.g. `AMD EPYC`; `unknown` where the system does not say.
[[nodiscard]] std::string cpu_name();

/// Instruction-set extensions that matter here and that this processor and system offer, e.g. `{"avx2", "fma", "avx512f", "avx512_bf16"}`.
[[nodiscard]] std::vector<std::string> cpu_features();

/// Processors this process may use.
[[nodiscard]] int cpu_count();

}  // namespace bitwright
