// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/activations.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <cstdint>
#include <vector>

namespace bitwright {

/// oneDNN's name of a type, and back. Requires: a type of `ValueType`.
[[nodiscard]] dnnl::memory::data_type onednn_type(ValueType type) noexcept;
[[nodiscard]] ValueType value_type(const dnnl::memory::desc& desc) noexcept;

/// The same elements in the same order, in another type. Requires: strides, no blocks.
[[nodiscard]] dnnl::memory::desc with_type(const dnnl::memory::desc& desc, ValueType type);

/// Copies a tensor between two types and two layouts with strides.
///
/// Equation: code = round(x / scale), x = code * scale. Rounding and saturation: nearest, ties to even; codes saturate; to bfloat16
/// nearest, ties to even. x / scale is computed as x times the float32 nearest to 1 / scale, code to code as one product with the float32
/// nearest to the quotient of the scales.
class Conversion {
 public:
  struct Side {
    ValueType type = ValueType::float32;
    std::vector<std::int64_t> strides;  ///< in elements, by axis
    float scale = 1.0F;
  };
  Conversion(const std::vector<std::int64_t>& dims, const Side& src, const Side& dst);

  /// Returns false when codes were asked for and a value was NaN.
  [[nodiscard]] bool run(const void* src, void* dst, int threads) const;

 private:
  ValueType src_type_;
  ValueType dst_type_;
  float factor_;
  // Axes in the order of dst's memory, outermost first, neighbours joined where both sides allow it.
  std::vector<std::int64_t> counts_;
  std::vector<std::int64_t> src_strides_;
  std::vector<std::int64_t> dst_strides_;
};

}  // namespace bitwright
