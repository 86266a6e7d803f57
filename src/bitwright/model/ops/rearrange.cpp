// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/ops/shape_rule.h"
#include "bitwright/model/rearrangement.h"
#include "bitwright/model/slice_range.h"

#include <algorithm>

namespace bitwright {

// [d0, d1, ...] -> [d0 ... d(axis-1), d(axis) ...].
std::vector<Shape> infer_flatten(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"axis"});
  const Shape& src = inputs[0];
  const std::int64_t axis = node.int_attribute("axis", 1);
  const auto rank = static_cast<std::int64_t>(src.rank());
  if (axis < -rank || axis > rank) {
    fail(ErrorCode::invalid_input, "node \"{}\": axis is outside the tensor (found {}, need {} to {}); check the graph.", node.name, axis,
         -rank, rank);
  }
  const auto split = static_cast<std::ptrdiff_t>(axis < 0 ? axis + rank : axis);
  const std::vector<std::int64_t> rows(src.dims().begin(), src.dims().begin() + split);
  const std::vector<std::int64_t> columns(src.dims().begin() + split, src.dims().end());
  return {Shape{Shape(rows).element_count(), Shape(columns).element_count()}};
}

// `pads` holds the begin of every axis, then the end of every axis.
std::vector<Shape> infer_pad(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"mode", "pads", "value"});
  const std::string mode = node.string_attribute("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge") {
    fail(ErrorCode::unsupported, "node \"{}\": this padding mode is not supported (found {}, need constant, reflect or edge); {}",
         node.name, mode, "rewrite the node.");
  }
  (void)node.float_attribute("value", 0.0F);
  const Shape& src = inputs[0];
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  if (pads.size() != 2 * src.rank()) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"pads\" has the wrong number of values (found {}, need {}); check the graph.",
         node.name, pads.size(), 2 * src.rank());
  }
  std::vector<std::int64_t> dims = src.dims();
  for (std::size_t i = 0; i < pads.size(); ++i) {
    // A reflection has nothing to show beyond the opposite border.
    const std::int64_t most = mode == "reflect" ? src[i % src.rank()] - 1 : limits::kMaxExtent;
    if (pads[i] < 0 || pads[i] > most) {
      fail(ErrorCode::unsupported, "node \"{}\": this pad is not supported (found {}, need 0 to {}); use Slice to crop.", node.name,
           pads[i], most);
    }
    dims[i % src.rank()] += pads[i];
  }
  return {Shape(std::move(dims))};
}

std::vector<Shape> infer_slice(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"axes", "ends", "starts", "steps"});
  std::vector<std::int64_t> dims = inputs[0].dims();
  const std::vector<SliceRange> ranges = slice_ranges(node, inputs[0]);
  for (std::size_t axis = 0; axis < dims.size(); ++axis) dims[axis] = ranges[axis].count;
  return {Shape(std::move(dims))};
}

std::vector<Shape> infer_concat(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"axis"});
  if (!node.attributes.contains("axis")) {
    fail(ErrorCode::invalid_input, "node \"{}\": attribute \"axis\" is missing (need the axis to join); check the graph.", node.name);
  }
  const std::size_t axis = axis_attribute(node, 0, inputs[0].rank());
  std::int64_t extent = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].rank() != inputs[0].rank() || inputs[i].with_dim(axis, 1) != inputs[0].with_dim(axis, 1)) {
      fail(ErrorCode::invalid_input,
           "node \"{}\": inputs \"{}\" and \"{}\" do not join along axis {} (found {} and {}, need equal other extents); check the graph.",
           node.name, node.inputs[0], node.inputs[i], axis, inputs[0].to_string(), inputs[i].to_string());
    }
    extent += inputs[i][axis];
  }
  return {inputs[0].with_dim(axis, extent)};
}

std::vector<Shape> infer_transpose(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"perm"});
  std::vector<std::int64_t> dims;
  for (const std::size_t axis : transposed_axes(node, inputs[0].rank())) dims.push_back(inputs[0][axis]);
  return {Shape(std::move(dims))};
}

std::vector<Shape> infer_reshape(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"allowzero", "shape"});
  return {reshaped(node, inputs[0])};
}

std::vector<Shape> infer_gather(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {"axis", "indices"});
  const std::size_t axis = axis_attribute(node, 0, inputs[0].rank());
  return {inputs[0].with_dim(axis, static_cast<std::int64_t>(gathered_indices(node, inputs[0][axis]).size()))};
}

}  // namespace bitwright
