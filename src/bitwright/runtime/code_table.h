// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/quantized_tensor.h"

#include <cstdint>
#include <vector>

namespace bitwright {

/// A quantized tensor as table indices: value(i) = values[codes[i]] where all elements share one set of parameters, else
/// mins[b] + scales[b] * values[codes[i]] with b = i / bucket_size, both operations rounded to float32.
struct CodeTable {
  std::int64_t levels = 0;          ///< codes of the format
  std::int64_t buckets = 1;         ///< sets of parameters in the tensor
  std::int64_t bucket_size = 0;     ///< elements; 0 when buckets == 1
  std::vector<float> values;        ///< by code; empty when levels > max_levels
  std::vector<std::uint8_t> codes;  ///< 0 .. levels-1, row-major; empty likewise
  std::vector<float> scales;        ///< by bucket; empty when buckets == 1
  std::vector<float> mins;          ///< likewise
};

/// Exactness: the values above are bit for bit what `dequantize` gives.
/// Requires: max_levels <= 256.
[[nodiscard]] CodeTable code_table(const QuantizedTensor& tensor, std::int64_t max_levels);

}  // namespace bitwright
