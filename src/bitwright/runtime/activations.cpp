// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/activations.h"

#include "bitwright/core/error.h"
#include "bitwright/runtime/plan.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bitwright {
namespace {

constexpr std::array kNames = std::to_array<std::string_view>({"float32", "bfloat16", "int8"});

bool has_vnni(dnnl::cpu_isa isa) noexcept {
  return isa == dnnl::cpu_isa::avx512_core_vnni || isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

bool has_bfloat16(dnnl::cpu_isa isa) noexcept { return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx; }

}  // namespace

std::string_view activations_name(Activations activations) noexcept { return kNames[static_cast<std::size_t>(activations)]; }

Activations parse_activations(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    fail(ErrorCode::usage, "activations: unknown type (found \"{}\", need one of: {}); choose one.", name, fmt::join(kNames, ", "));
  }
  return static_cast<Activations>(found - kNames.begin());
}

std::string activations_refusal(Activations activations) {
  if (activations == Activations::float32) return {};
  (void)cpu_engine();  // an instruction set that the environment forces holds for oneDNN from here on
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  // Older ways to multiply 8-bit integers saturate their sums at 16 bits: fast, and wrong.
  if (activations == Activations::int8) return has_vnni(isa) ? "" : "int8: this processor lacks AVX-512 VNNI";
  return has_bfloat16(isa) ? "" : "bfloat16: this processor lacks AVX-512 BF16 and AMX";
}

std::string_view value_type_name(ValueType type) noexcept {
  static constexpr std::array kTypes = std::to_array<std::string_view>({"float32", "bfloat16", "uint8", "int8"});
  return kTypes[static_cast<std::size_t>(type)];
}

}  // namespace bitwright
