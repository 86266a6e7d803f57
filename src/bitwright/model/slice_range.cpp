// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/slice_range.h"

#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"

#include <algorithm>
#include <numeric>

namespace bitwright {

std::vector<SliceRange> slice_ranges(const Node& node, const Shape& src) {
  const std::vector<std::int64_t> starts = node.ints_attribute("starts", {});
  const std::vector<std::int64_t> ends = node.ints_attribute("ends", {});
  std::vector<std::int64_t> first_axes(starts.size());
  std::iota(first_axes.begin(), first_axes.end(), 0);
  const std::vector<std::int64_t> axes = node.ints_attribute("axes", first_axes);
  const std::vector<std::int64_t> steps = node.ints_attribute("steps", std::vector<std::int64_t>(starts.size(), 1));
  if (starts.empty() || ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": Slice has lists of different lengths (found starts {}, ends {}, axes {}, steps {}, need equal and not 0); {}",
         node.name, starts.size(), ends.size(), axes.size(), steps.size(), "check the graph.");
  }
  std::vector<SliceRange> ranges;
  for (const std::int64_t dim : src.dims()) ranges.push_back({.start = 0, .step = 1, .count = dim});
  std::vector<bool> seen(src.rank(), false);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t axis = shape_checks::normalized_axis(node, axes[i], src.rank());
    if (seen[axis]) {
      fail(ErrorCode::invalid_input, "node \"{}\": Slice names an axis twice (found axis {}, need each once); check the graph.", node.name,
           axis);
    }
    seen[axis] = true;
    if (steps[i] < 1) {
      fail(ErrorCode::unsupported, "node \"{}\": this Slice step is not supported (found {}, need 1 or more); rewrite the node.", node.name,
           steps[i]);
    }
    const std::int64_t dim = src[axis];
    const auto clamped = [dim](std::int64_t position) {
      return std::clamp<std::int64_t>(position < 0 ? position + dim : position, 0, dim);
    };
    const std::int64_t start = clamped(starts[i]);
    const std::int64_t end = clamped(ends[i]);
    if (start >= end) {
      fail(ErrorCode::invalid_input,
           "node \"{}\": Slice keeps nothing of axis {} (found {} to {} of {}, need at least one element); check the graph.", node.name,
           axis, starts[i], ends[i], dim);
    }
    ranges[axis] = {.start = start, .step = steps[i], .count = (end - start - 1) / steps[i] + 1};
  }
  return ranges;
}

}  // namespace bitwright
