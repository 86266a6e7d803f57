// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/graph.h"

#include <cstdint>
#include <vector>

namespace bitwright {

/// What a Slice node keeps of one axis: elements start, start + step, … (`count` of them).
struct SliceRange {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
  friend bool operator==(const SliceRange&, const SliceRange&) = default;
};

/// ONNX's rules for `starts`, `ends`, `axes` (default: the first ones) and `steps` (default 1): a negative start or end counts from the
/// back, both are clamped to the axis. One range per axis of `src`.
/// Throws: `Error(invalid_input)`: lists of different lengths, an axis outside or named twice, an empty result; `Error(unsupported)`: a
/// step below 1.
[[nodiscard]] std::vector<SliceRange> slice_ranges(const Node& node, const Shape& src);

}  // namespace bitwright
