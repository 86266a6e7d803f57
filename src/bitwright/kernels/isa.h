// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bitwright {

/// Instruction sets that kernels are written for, slowest first. `avx512` means F, BW, DQ, CD and VL together, `avx512_vnni`
/// those and VNNI, which multiplies and adds 8- and 16-bit integers in one instruction, `avx512_vbmi` those and VBMI, which looks bytes
/// up in tables of 64 (processors from Ice Lake and Zen 4 on).
enum class Isa : std::uint8_t {
#define BITWRIGHT_ISA_ENTRY(name) name,
#include "bitwright/kernels/isa.inc"
#undef BITWRIGHT_ISA_ENTRY
};

[[nodiscard]] std::string_view isa_name(Isa isa) noexcept;
/// Throws: `Error(usage)` on an unknown name (lists the known ones).
[[nodiscard]] Isa parse_isa(std::string_view name);

/// Whether this processor and operating system offer an instruction set.
[[nodiscard]] bool isa_available(Isa isa) noexcept;
/// The instruction sets that this processor offers, slowest first; `scalar` is always among them.
[[nodiscard]] std::vector<Isa> available_isas();

/// The instruction set that kernels use: what the environment variable `BITWRIGHT_ISA` names, else the fastest one there is. Read anew on
/// every call, so it holds for plans made from then on.
/// Throws: `Error(usage)` for an unknown name, `Error(unsupported)` for one that this processor does not offer.
[[nodiscard]] Isa active_isa();

}  // namespace bitwright
