// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/onnx/importer.h"

#include <span>

namespace bitwright::onnx {

/// All of import_rules.inc, in its order.
[[nodiscard]] std::span<const ImportEntry> import_entries() noexcept;

/// The rules, one for each kind of treatment.
#define BITWRIGHT_IMPORT(name, rule, target) void rule(Importer& importer, const NodeProto& node);
#include "bitwright/onnx/import_rules.inc"
#undef BITWRIGHT_IMPORT

/// The weight that integers and scales describe: `codebook` with one point per integer and one bucket per scale where the scales lie on
/// axis 0 or there is one; `fixed` where the one scale is a power of two and the codes have 16 bits; float32 otherwise (32-bit biases,
/// other axes). Exactness: (code - zero point) * scale, one rounding to float32, as ONNX defines it.
[[nodiscard]] Weight integer_weight(const Dequantized& dequantized);

}  // namespace bitwright::onnx
