// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/plan_ops.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

// A loop of ours: the accuracy of the library's expf is documented, which the error bound needs (docs/runtime.md, R9).
void plan_softmax(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape& shape = builder.shape(node.inputs[0]);
  const std::int64_t axis = node.int_attribute("axis", -1);
  const auto normalized = static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(shape.rank()) : axis);
  const std::int64_t count = shape[normalized];
  std::int64_t inner = 1;
  for (std::size_t i = normalized + 1; i < shape.rank(); ++i) inner *= shape[i];
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(shape));
  builder.report(node, "loop:softmax");
  builder.add_loop({src.buffer}, {dst.buffer}, [count, inner, lines = shape.element_count() / count](std::span<float* const> buffers) {
    for (std::int64_t line = 0; line < lines; ++line) {
      const std::int64_t first = line / inner * count * inner + line % inner;
      const float* x = buffers[0] + first;
      float* y = buffers[1] + first;
      float largest = x[0];
      for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, x[i * inner]);
      float sum = 0.0F;
      for (std::int64_t i = 0; i < count; ++i) sum += y[i * inner] = std::exp(x[i * inner] - largest);
      for (std::int64_t i = 0; i < count; ++i) y[i * inner] /= sum;
    }
  });
}

}  // namespace bitwright
