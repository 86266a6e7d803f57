// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/isa.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <hwy/targets.h>

#include <array>
#include <cstdlib>
#include <string>

namespace bitwright {
namespace {

constexpr std::array kNames = {
#define BITWRIGHT_ISA_ENTRY(name) std::string_view(#name),
#include "bitwright/kernels/isa.inc"
#undef BITWRIGHT_ISA_ENTRY
};

std::vector<std::string> names_of(const std::vector<Isa>& isas) {
  std::vector<std::string> names;
  for (const Isa isa : isas) names.emplace_back(isa_name(isa));
  return names;
}

// Highway 1.0.3 has no target for these alone.
bool has_vnni() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

bool has_vbmi() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vbmi") != 0;
#else
  return false;
#endif
}

}  // namespace

std::string_view isa_name(Isa isa) noexcept { return kNames[static_cast<std::size_t>(isa)]; }

Isa parse_isa(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Isa>(i);
  }
  fail(ErrorCode::usage, "BITWRIGHT_ISA: unknown instruction set (found \"{}\", need one of: {}); correct the environment variable.", name,
       join_names(std::vector<std::string>(kNames.begin(), kNames.end())));
}

bool isa_available(Isa isa) noexcept {
  // Asked once: under a hypervisor each question to the processor costs microseconds, and Highway asks several.
#if defined(HWY_COMPILE_ONLY_STATIC)
  static constexpr std::int64_t targets = HWY_STATIC_TARGET;  // built for one processor: there is nothing to ask
#else
  static const std::int64_t targets = hwy::SupportedTargets();
#endif
  switch (isa) {
    case Isa::scalar: return true;
    case Isa::neon: return (targets & HWY_NEON) != 0;
    case Isa::sse4: return (targets & HWY_SSE4) != 0;
    case Isa::avx2: return (targets & HWY_AVX2) != 0;
    case Isa::avx512: return (targets & HWY_AVX3) != 0;
    case Isa::avx512_vnni: return (targets & HWY_AVX3) != 0 && has_vnni();
    case Isa::avx512_vbmi: return isa_available(Isa::avx512_vnni) && has_vbmi();
  }
  return false;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (isa_available(static_cast<Isa>(i))) isas.push_back(static_cast<Isa>(i));
  }
  return isas;
}

Isa active_isa() {
  const char* forced = std::getenv("BITWRIGHT_ISA");
  if (forced == nullptr || *forced == '\0') return available_isas().back();
  const Isa isa = parse_isa(forced);
  if (!isa_available(isa)) {
    fail(ErrorCode::unsupported, "BITWRIGHT_ISA: this processor does not offer the instruction set (found \"{}\", need one of: {}); {}",
         forced, join_names(names_of(available_isas())), "choose one of these or unset the environment variable.");
  }
  return isa;
}

}  // namespace bitwright
