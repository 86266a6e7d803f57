// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/broadcast.h"
#include "bitwright/model/ops/shape_rule.h"

namespace bitwright {

// [.., M, K] x [.., K, N]; the leading axes broadcast. Vectors (rank 1), which ONNX allows, are refused: no exporter makes them.
std::vector<Shape> infer_mat_mul(const Node& node, std::span<const Shape> inputs) {
  shape_checks::allow_attributes(node, {});
  shape_checks::require_rank_at_least(node, 0, inputs[0], 2);
  shape_checks::require_rank_at_least(node, 1, inputs[1], 2);
  const Shape& a = inputs[0];
  const Shape& b = inputs[1];
  const auto leading = [](const Shape& shape) { return Shape(std::vector<std::int64_t>(shape.dims().begin(), shape.dims().end() - 2)); };
  const std::optional<Shape> batch = broadcast_shape(leading(a), leading(b));
  if (!batch || a[a.rank() - 1] != b[b.rank() - 2]) {
    fail(ErrorCode::invalid_input,
         "node \"{}\": \"{}\" and \"{}\" do not multiply (found {} and {}, need [.., m, k] and [.., k, n]); check the graph.", node.name,
         node.inputs[0], node.inputs[1], a.to_string(), b.to_string());
  }
  std::vector<std::int64_t> dims = batch->dims();
  dims.push_back(a[a.rank() - 2]);
  dims.push_back(b[b.rank() - 1]);
  return {Shape(std::move(dims))};
}

}  // namespace bitwright
