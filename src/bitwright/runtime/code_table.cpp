// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/code_table.h"

#include <numeric>

namespace bitwright {
namespace {

template <typename Parameters>
std::int64_t bucket_count(const Parameters& parameters) {
  if constexpr (requires { parameters.buckets; }) {
    return static_cast<std::int64_t>(parameters.buckets.size());
  } else {
    return 1;
  }
}

}  // namespace

CodeTable code_table(const QuantizedTensor& tensor, std::int64_t max_levels) {
  CodeTable table{.levels = tensor.format().code_count(),
                  .buckets = std::visit([](const auto& parameters) { return bucket_count(parameters); }, tensor.parameters()),
                  .values = {},
                  .codes = {}};
  if (table.buckets != 1 || table.levels > max_levels) return table;
  // Fixed-point codes are signed, from -levels / 2; all others begin at 0.
  const std::int32_t first = tensor.format().get_if<FixedPoint>() != nullptr ? static_cast<std::int32_t>(-table.levels / 2) : 0;
  std::vector<std::int32_t> all(static_cast<std::size_t>(table.levels));
  std::iota(all.begin(), all.end(), first);
  table.values = QuantizedTensor(tensor.format(), Shape{table.levels}, all, tensor.parameters()).dequantize();
  table.codes.resize(static_cast<std::size_t>(tensor.shape().element_count()));
  tensor.copy_codes(0, table.codes);
  for (std::int32_t& code : table.codes) code -= first;
  return table;
}

}  // namespace bitwright
