// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/broadcast.h"
#include "bitwright/model/window.h"
#include "bitwright/runtime/reference_tensor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

using namespace running;

namespace {

// Calls visit(y, x) for every position of a window that lies inside the image.
template <typename Visit>
void for_window(const Window& window, const Shape& src, std::int64_t oy, std::int64_t ox, Visit visit) {
  for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
    for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
      const std::int64_t y = oy * window.strides[0] - window.pads_begin[0] + ky * window.dilations[0];
      const std::int64_t x = ox * window.strides[1] - window.pads_begin[1] + kx * window.dilations[1];
      if (y >= 0 && y < src[2] && x >= 0 && x < src[3]) visit(y, x, ky, kx);
    }
  }
}

template <typename Compute>
void for_image(const Shape& shape, Compute compute) {
  std::int64_t index = 0;
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      for (std::int64_t y = 0; y < shape[2]; ++y) {
        for (std::int64_t x = 0; x < shape[3]; ++x) compute(n, c, y, x, index++);
      }
    }
  }
}

std::int64_t image_index(const Shape& shape, std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
  return ((n * shape[1] + c) * shape[2] + y) * shape[3] + x;
}

// Mean of a window, divided by what `divisor(oy, ox, count)` says: (R7).
template <typename Divisor>
RunningTensor average(const RunningTensor& input, const Window& window, const Shape& output_shape, Divisor divisor) {
  const RunningTensor src = stored(input);
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = window.kernel[0] * window.kernel[1] + 2;
  for_image(output_shape, [&](std::int64_t n, std::int64_t c, std::int64_t oy, std::int64_t ox, std::int64_t index) {
    DotProduct sum;
    std::int64_t count = 0;
    for_window(window, src.shape, oy, ox, [&](std::int64_t y, std::int64_t x, std::int64_t, std::int64_t) {
      sum.add_product(1.0, src, image_index(src.shape, n, c, y, x));
      ++count;
    });
    const double by = static_cast<double>(divisor(oy, ox, count));
    DotProduct{.value = sum.value / by, .inherited = sum.inherited / by + kUnderflow, .magnitude = sum.magnitude / by}.store(dst, index);
  });
  return dst;
}

RunningTensor largest_of(const RunningTensor& input, const Window& window, const Shape& output_shape) {
  const RunningTensor src = stored(input);
  RunningTensor dst = make_tensor(output_shape);
  for_image(output_shape, [&](std::int64_t n, std::int64_t c, std::int64_t oy, std::int64_t ox, std::int64_t index) {
    double largest = -std::numeric_limits<double>::infinity();
    double bound = 0.0;
    for_window(window, src.shape, oy, ox, [&](std::int64_t y, std::int64_t x, std::int64_t, std::int64_t) {
      const std::size_t from = at(image_index(src.shape, n, c, y, x));
      largest = std::max(largest, src.value[from]);
      bound = std::max(bound, src.inherited[from]);
    });
    DotProduct{.value = largest, .inherited = bound, .magnitude = std::abs(largest) + bound}.store(dst, index);
  });
  return dst;
}

}  // namespace

RunningTensor reference_conv(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const RunningTensor& weight = *inputs[1];
  const RunningTensor* bias = inputs.size() > 2 ? inputs[2] : nullptr;
  const Window window = read_window(node, &weight.shape);
  const std::int64_t group_inputs = weight.shape[1];
  const std::int64_t group_outputs = weight.shape[0] / node.int_attribute("group", 1);
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = group_inputs * weight.shape[2] * weight.shape[3] + 1;
  for_image(output_shape, [&](std::int64_t n, std::int64_t c, std::int64_t oy, std::int64_t ox, std::int64_t index) {
    DotProduct sum;
    for (std::int64_t i = 0; i < group_inputs; ++i) {
      for_window(window, src.shape, oy, ox, [&](std::int64_t y, std::int64_t x, std::int64_t ky, std::int64_t kx) {
        sum.add_product(weight.value[at(image_index(weight.shape, c, i, ky, kx))], src,
                        image_index(src.shape, n, c / group_outputs * group_inputs + i, y, x));
      });
    }
    sum.add_bias(bias, c);
    sum.store(dst, index);
  });
  return dst;
}

RunningTensor reference_mat_mul(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor a = stored(*inputs[0]);
  const RunningTensor b = stored(*inputs[1]);
  const std::size_t rank = output_shape.rank();
  const std::int64_t columns = output_shape[rank - 1];
  const std::int64_t depth = a.shape[a.shape.rank() - 1];
  // Where an operand's matrix begins: its leading axes broadcast, its own two come last.
  const std::vector<std::int64_t> a_strides = broadcast_strides(a.shape, output_shape.with_dim(rank - 1, depth));
  const std::vector<std::int64_t> b_strides = broadcast_strides(b.shape, output_shape.with_dim(rank - 2, depth));
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = depth + 1;
  for (std::int64_t index = 0; index < output_shape.element_count(); ++index) {
    const std::vector<std::int64_t> where = coordinates(index, output_shape);
    std::int64_t row = where[rank - 2] * depth;
    std::int64_t column = where[rank - 1];
    for (std::size_t axis = 0; axis + 2 < rank; ++axis) {
      row += where[axis] * a_strides[axis];
      column += where[axis] * b_strides[axis];
    }
    DotProduct sum;
    for (std::int64_t i = 0; i < depth; ++i) {
      const std::size_t j = at(row + i);
      const std::size_t k = at(column + i * columns);
      sum.value += a.value[j] * b.value[k];
      sum.inherited += std::abs(a.value[j]) * b.inherited[k] + a.inherited[j] * b.magnitude[k] + kUnderflow;
      sum.magnitude += a.magnitude[j] * b.magnitude[k];
    }
    sum.store(dst, index);
  }
  return dst;
}

RunningTensor reference_gemm(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const RunningTensor& weight = *inputs[1];
  const RunningTensor* bias = inputs.size() > 2 ? inputs[2] : nullptr;
  const std::int64_t outputs = weight.shape[0];
  const std::int64_t depth = weight.shape[1];
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = depth + 1;
  for (std::int64_t n = 0; n < output_shape[0]; ++n) {
    for (std::int64_t j = 0; j < outputs; ++j) {
      DotProduct sum;
      for (std::int64_t i = 0; i < depth; ++i) sum.add_product(weight.value[at(j * depth + i)], src, n * depth + i);
      sum.add_bias(bias, j);
      sum.store(dst, n * outputs + j);
    }
  }
  return dst;
}

RunningTensor reference_max_pool(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return largest_of(*inputs[0], read_window(node), output_shape);
}

RunningTensor reference_global_max_pool(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Shape& src = inputs[0]->shape;
  return largest_of(*inputs[0], Window{.kernel = {src[2], src[3]}}, output_shape);
}

RunningTensor reference_average_pool(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Window window = read_window(node);
  const Shape& src = inputs[0]->shape;
  const bool count_padding = node.int_attribute("count_include_pad", 0) == 1;
  return average(*inputs[0], window, output_shape, [&](std::int64_t oy, std::int64_t ox, std::int64_t inside) {
    if (!count_padding) return inside;
    // Padding that the attribute names counts; what ceil_mode lets a window overhang beyond it does not.
    const auto extent = [&](std::size_t axis, std::int64_t o) {
      const std::int64_t begin = o * window.strides[axis];
      return std::min(begin + window.kernel[axis], src[axis + 2] + window.pads_begin[axis] + window.pads_end[axis]) - begin;
    };
    return extent(0, oy) * extent(1, ox);
  });
}

RunningTensor reference_global_average_pool(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Shape& src = inputs[0]->shape;
  return average(*inputs[0], Window{.kernel = {src[2], src[3]}}, output_shape,
                 [](std::int64_t, std::int64_t, std::int64_t inside) { return inside; });
}

}  // namespace bitwright
