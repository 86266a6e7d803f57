// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/quantized_tensor.h"

#include <cstdint>
#include <vector>

namespace bitwright {

/// A quantized tensor as table indices: value(i) = values[codes[i]], possible where all elements share one set of parameters.
struct CodeTable {
  std::int64_t levels = 0;          ///< codes of the format
  std::int64_t buckets = 1;         ///< sets of parameters in the tensor
  std::vector<float> values;        ///< by code; empty when buckets != 1 or levels > max_levels
  std::vector<std::int32_t> codes;  ///< 0 .. levels-1, row-major; empty likewise
};

/// Exactness: values[codes[i]] is bit for bit what `dequantize` gives.
[[nodiscard]] CodeTable code_table(const QuantizedTensor& tensor, std::int64_t max_levels);

}  // namespace bitwright
