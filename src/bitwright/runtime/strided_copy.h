// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace bitwright {

/// Elements between neighbours along each axis, in elements; nothing for a blocked layout.
[[nodiscard]] std::optional<std::vector<std::int64_t>> strides_of(const dnnl::memory::desc& desc);

/// A dense layout of another shape whose axes lie in memory in the same order as those of `like`. Requires: same rank, not blocked.
[[nodiscard]] dnnl::memory::desc desc_in_order_of(const dnnl::memory::desc& like, const Shape& shape);

/// dst(i) = src(i) for every index i of `counts`, each side with its own strides.
class StridedCopy {
 public:
  StridedCopy(std::vector<std::int64_t> counts, std::vector<std::int64_t> src_strides, std::vector<std::int64_t> dst_strides);

  void run(const float* src, float* dst) const noexcept { copy_axis(src, dst, 0); }

  /// Whether this is a batch of matrix transpositions, as between NCHW and NHWC.
  [[nodiscard]] bool is_transposition() const noexcept { return rows_ > 0; }
  /// The same copy as `run`, faster. Requires: is_transposition().
  void run_transposition(const float* src, float* dst, int threads) const noexcept;

 private:
  void copy_axis(const float* src, float* dst, std::size_t axis) const noexcept;

  std::vector<std::int64_t> counts_;  // in the order of dst's memory, outermost first
  std::vector<std::int64_t> src_strides_;
  std::vector<std::int64_t> dst_strides_;
  std::int64_t images_ = 0;
  std::int64_t rows_ = 0;  // of src; 0 when this is no transposition
  std::int64_t columns_ = 0;
};

/// The copy between two layouts of the same tensor; nothing when one is blocked.
[[nodiscard]] std::optional<StridedCopy> make_strided_copy(const dnnl::memory::desc& src, const dnnl::memory::desc& dst);

}  // namespace bitwright
