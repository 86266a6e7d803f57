// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/graph.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace bitwright {

// What the nodes that move values say in their attributes, read in one place for the shape rules and all executors.

/// The node's `axis`, brought to [0, rank). Throws: `Error(invalid_input)` when it is outside.
[[nodiscard]] std::size_t axis_attribute(const Node& node, std::int64_t fallback, std::size_t rank);

/// Transpose: axis i of the result is axis `perm[i]` of the source; without `perm` the axes are reversed.
/// Throws: `Error(invalid_input)` when `perm` is no permutation of the axes.
[[nodiscard]] std::vector<std::size_t> transposed_axes(const Node& node, std::size_t rank);

/// Reshape: the shape that `shape` asks for: 0 copies the source's extent, one -1 takes what is left. The first extent is the batch's and
/// so must be 0 or -1. Throws: `Error(invalid_input)`: no `shape`, a 0 beyond the source's axes, two -1, a number of elements that differs;
/// `Error(unsupported)`: a fixed first extent, an `allowzero` other than 0.
[[nodiscard]] Shape reshaped(const Node& node, const Shape& src);

/// Gather: the `indices` along `axis`, brought to [0, extent).
/// Throws: `Error(invalid_input)`: no indices, one outside the axis.
[[nodiscard]] std::vector<std::int64_t> gathered_indices(const Node& node, std::int64_t extent);

/// ReduceMean: for each axis whether `axes` names it; without `axes` all.
/// Throws: `Error(invalid_input)`: an axis outside or named twice.
[[nodiscard]] std::vector<bool> reduced_axes(const Node& node, std::size_t rank);

/// Pad with `mode` reflect or edge: index into the source for every index of the result, one list per axis.
/// Requires: `infer_pad` accepted the node.
[[nodiscard]] std::vector<std::vector<std::int64_t>> padded_sources(const Node& node, const Shape& src);

}  // namespace bitwright
