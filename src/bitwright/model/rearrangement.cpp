// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"

#include "bitwright/core/error.h"
#include "bitwright/model/ops/shape_rule.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace bitwright {

std::size_t axis_attribute(const Node& node, std::int64_t fallback, std::size_t rank) {
  return shape_checks::normalized_axis(node, node.int_attribute("axis", fallback), rank);
}

std::vector<std::size_t> transposed_axes(const Node& node, std::size_t rank) {
  std::vector<std::int64_t> reversed(rank);
  std::iota(reversed.rbegin(), reversed.rend(), std::int64_t{0});
  const std::vector<std::int64_t> axes = node.ints_attribute("perm", reversed);
  std::vector<std::size_t> result;
  std::vector<bool> seen(rank, false);
  for (const std::int64_t axis : axes) {
    const bool is_inside = axis >= 0 && axis < static_cast<std::int64_t>(rank);
    if (axes.size() != rank || !is_inside || seen[static_cast<std::size_t>(axis)]) {
      fail(ErrorCode::invalid_input, "node \"{}\": attribute \"perm\" is no permutation (found [{}], need each of {} axes once); {}",
           node.name, fmt::join(axes, ", "), rank, "check the graph.");
    }
    seen[static_cast<std::size_t>(axis)] = true;
    result.push_back(static_cast<std::size_t>(axis));
  }
  if (result.size() != rank) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": attribute \"perm\" is no permutation (found [], need each of {} axes once); check the graph.", node.name, rank);
  }
  return result;
}

Shape reshaped(const Node& node, const Shape& src) {
  shape_checks::require_int_attribute(node, "allowzero", 0, 0);
  std::vector<std::int64_t> dims = node.ints_attribute("shape", {});
  const std::string wanted = fmt::format("[{}]", fmt::join(dims, ", "));
  if (dims.empty()) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"shape\" is missing or empty (need one extent or more); check the graph.",
         node.name);
  }
  if (dims[0] != 0 && dims[0] != -1) {
    fail(ErrorCode::unsupported, "node \"{}\": a fixed first extent is not supported (found {}, need 0 or -1, the batch's); {}", node.name,
         wanted, "export with a dynamic batch.");
  }
  std::int64_t known = 1;
  std::size_t open = dims.size();
  const std::int64_t count = src.element_count();
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] == 0 && axis < src.rank()) dims[axis] = src[axis];
    if (dims[axis] == -1 && open == dims.size()) {
      open = axis;
      continue;
    }
    // `known` stays at most `count`, so nothing here leaves int64.
    if (dims[axis] < 1 || dims[axis] > count / known) {
      fail(ErrorCode::invalid_input,
           "node \"{}\": attribute \"shape\" does not fit (found {}, need the {} elements of {}); check the graph.", node.name, wanted,
           count, src.to_string());
    }
    known *= dims[axis];
  }
  if (open < dims.size()) dims[open] = count / known;
  if (Shape(dims).element_count() != count) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"shape\" does not fit (found {}, need the {} elements of {}); check the graph.",
         node.name, wanted, count, src.to_string());
  }
  return Shape(std::move(dims));
}

std::vector<std::int64_t> gathered_indices(const Node& node, std::int64_t extent) {
  std::vector<std::int64_t> indices = node.ints_attribute("indices", {});
  if (indices.empty()) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"indices\" is missing or empty (need one index or more); check the graph.",
         node.name);
  }
  for (std::int64_t& index : indices) {
    if (index < -extent || index >= extent) {
      fail(ErrorCode::invalid_input, "node \"{}\": an index is outside the axis (found {}, need {} to {}); check the graph.", node.name,
           index, -extent, extent - 1);
    }
    if (index < 0) index += extent;
  }
  return indices;
}

std::vector<bool> reduced_axes(const Node& node, std::size_t rank) {
  const std::vector<std::int64_t> axes = node.ints_attribute("axes", {});
  std::vector<bool> is_reduced(rank, axes.empty());
  for (const std::int64_t stated : axes) {
    const std::size_t axis = shape_checks::normalized_axis(node, stated, rank);
    if (is_reduced[axis]) {
      fail(ErrorCode::invalid_input, "node \"{}\": {} names an axis twice (found axis {}, need each once); check the graph.", node.name,
           op_entry(node.op).name, axis);
    }
    is_reduced[axis] = true;
  }
  return is_reduced;
}

std::vector<std::vector<std::int64_t>> padded_sources(const Node& node, const Shape& src) {
  const bool is_reflected = node.string_attribute("mode", "constant") == "reflect";
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  std::vector<std::vector<std::int64_t>> sources(src.rank());
  for (std::size_t axis = 0; axis < src.rank(); ++axis) {
    const std::int64_t last = src[axis] - 1;
    for (std::int64_t i = -pads[axis]; i <= last + pads[axis + src.rank()]; ++i) {
      // A reflection leaves the border itself out: -1 is 1, last + 1 is last - 1.
      const std::int64_t reflected = last - std::abs(last - std::abs(i));
      sources[axis].push_back(is_reflected ? reflected : std::clamp<std::int64_t>(i, 0, last));
    }
  }
  return sources;
}

}  // namespace bitwright
