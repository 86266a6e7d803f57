// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/reference_ops.h"

#include "bitwright/model/slice_range.h"
#include "bitwright/model/window.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

// Unit roundoff of float32, with double's own added for the reference's roundings (R3).
constexpr double kUnit = 0x1p-24 + 0x1p-53;
// Smallest normal float32: more than any product can lose to underflow (R4).
constexpr double kUnderflow = 0x1p-126;
// The bounds themselves are computed in double; this factor covers their roundings (R8).
constexpr double kSlack = 1.0 + 0x1p-30;
// Roundings that normalizing costs at most, folded into the weights or not (R6).
constexpr std::int64_t kNormalizationRoundings = 8;

double gamma(std::int64_t n) {
  const double nu = static_cast<double>(n) * kUnit;
  return nu / (1.0 - nu);
}

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

RunningTensor make_tensor(const Shape& shape) {
  const std::size_t count = at(shape.element_count());
  return {.shape = shape,
          .value = std::vector<double>(count),
          .inherited = std::vector<double>(count),
          .magnitude = std::vector<double>(count),
          .roundings = 0};
}

// The same tensor as seen by an operator that reads stored results: all error inherited.
RunningTensor stored(const RunningTensor& tensor) {
  RunningTensor result = tensor;
  result.inherited = error_bounds(tensor);
  result.roundings = 0;
  for (std::size_t i = 0; i < result.value.size(); ++i) result.magnitude[i] = std::abs(result.value[i]) + result.inherited[i];
  return result;
}

// dst[i] = src[source(i)], nothing computed.
template <typename Source>
RunningTensor moved(const RunningTensor& src, const Shape& shape, Source source) {
  RunningTensor dst = make_tensor(shape);
  dst.roundings = src.roundings;
  for (std::int64_t i = 0; i < shape.element_count(); ++i) {
    const std::size_t from = at(source(i));
    dst.value[at(i)] = src.value[from];
    dst.inherited[at(i)] = src.inherited[from];
    dst.magnitude[at(i)] = src.magnitude[from];
  }
  return dst;
}

std::vector<std::int64_t> coordinates(std::int64_t index, const Shape& shape) {
  std::vector<std::int64_t> result(shape.rank());
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    result[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return result;
}

// One element of a sum of products: (R5).
struct DotProduct {
  double value = 0.0;
  double inherited = 0.0;
  double magnitude = 0.0;
  void add_product(double weight, const RunningTensor& x, std::int64_t index) {
    value += weight * x.value[at(index)];
    inherited += std::abs(weight) * x.inherited[at(index)] + kUnderflow;
    magnitude += std::abs(weight) * x.magnitude[at(index)];
  }
  void add_bias(const RunningTensor* bias, std::int64_t index) {
    if (bias == nullptr) return;
    value += bias->value[at(index)];
    magnitude += std::abs(bias->value[at(index)]);
  }
  void store(RunningTensor& dst, std::int64_t index) const {
    dst.value[at(index)] = value;
    dst.inherited[at(index)] = inherited;
    dst.magnitude[at(index)] = magnitude;
  }
};

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

}  // namespace

RunningTensor exact_tensor(const Shape& shape, std::span<const float> values) {
  RunningTensor tensor = make_tensor(shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    tensor.value[i] = static_cast<double>(values[i]);
    tensor.magnitude[i] = std::abs(tensor.value[i]);
  }
  return tensor;
}

std::vector<double> error_bounds(const RunningTensor& tensor) {
  std::vector<double> bounds(tensor.value.size());
  const double factor = gamma(tensor.roundings);
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = kSlack * (tensor.inherited[i] + factor * tensor.magnitude[i]);
  return bounds;
}

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

RunningTensor reference_batch_normalization(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor& src = *inputs[0];
  const auto epsilon = static_cast<double>(node.float_attribute("epsilon", 1e-5F));
  std::int64_t per_channel = 1;
  for (std::size_t axis = 2; axis < output_shape.rank(); ++axis) per_channel *= output_shape[axis];
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = src.roundings + kNormalizationRoundings;
  for (std::int64_t i = 0; i < output_shape.element_count(); ++i) {
    const std::size_t c = at(i / per_channel % output_shape[1]);
    const double scale = inputs[1]->value[c] / std::sqrt(inputs[4]->value[c] + epsilon);
    const double shift = inputs[2]->value[c];
    const double mean = inputs[3]->value[c];
    dst.value[at(i)] = (src.value[at(i)] - mean) * scale + shift;
    dst.inherited[at(i)] = std::abs(scale) * src.inherited[at(i)] + kUnderflow;
    dst.magnitude[at(i)] = std::abs(scale) * (src.magnitude[at(i)] + std::abs(mean)) + std::abs(shift);
  }
  return dst;
}

RunningTensor reference_add(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = inputs[0]->roundings + inputs[1]->roundings + 1;
  for (std::size_t i = 0; i < dst.value.size(); ++i) {
    dst.value[i] = inputs[0]->value[i] + inputs[1]->value[i];
    dst.inherited[i] = inputs[0]->inherited[i] + inputs[1]->inherited[i];
    dst.magnitude[i] = inputs[0]->magnitude[i] + inputs[1]->magnitude[i];
  }
  return dst;
}

RunningTensor reference_relu(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  RunningTensor dst = stored(*inputs[0]);
  for (std::size_t i = 0; i < dst.value.size(); ++i) {
    dst.value[i] = std::max(dst.value[i], 0.0);
    dst.magnitude[i] = dst.value[i] + dst.inherited[i];
  }
  return dst;
}

RunningTensor reference_max_pool(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const Window window = read_window(node);
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

RunningTensor reference_flatten(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return moved(*inputs[0], output_shape, [](std::int64_t i) { return i; });
}

RunningTensor reference_dropout(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return moved(*inputs[0], output_shape, [](std::int64_t i) { return i; });
}

RunningTensor reference_slice(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const Shape& src = inputs[0]->shape;
  const std::vector<SliceRange> ranges = slice_ranges(node, src);
  return moved(*inputs[0], output_shape, [&](std::int64_t i) {
    const std::vector<std::int64_t> to = coordinates(i, output_shape);
    std::int64_t from = 0;
    for (std::size_t axis = 0; axis < src.rank(); ++axis) from = from * src[axis] + ranges[axis].start + to[axis] * ranges[axis].step;
    return from;
  });
}

RunningTensor reference_pad(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor& src = *inputs[0];
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  const auto value = static_cast<double>(node.float_attribute("value", 0.0F));
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = src.roundings;
  std::fill(dst.value.begin(), dst.value.end(), value);
  std::fill(dst.magnitude.begin(), dst.magnitude.end(), std::abs(value));
  for (std::int64_t i = 0; i < src.shape.element_count(); ++i) {
    const std::vector<std::int64_t> from = coordinates(i, src.shape);
    std::int64_t to = 0;
    for (std::size_t axis = 0; axis < from.size(); ++axis) to = to * output_shape[axis] + from[axis] + pads[axis];
    DotProduct{.value = src.value[at(i)], .inherited = src.inherited[at(i)], .magnitude = src.magnitude[at(i)]}.store(dst, to);
  }
  return dst;
}

RunningTensor reference_softmax(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const auto rank = static_cast<std::int64_t>(output_shape.rank());
  const std::int64_t axis = node.int_attribute("axis", -1);
  const std::size_t normalized = at(axis < 0 ? axis + rank : axis);
  const std::int64_t count = output_shape[normalized];
  std::int64_t inner = 1;
  for (std::size_t i = normalized + 1; i < output_shape.rank(); ++i) inner *= output_shape[i];
  RunningTensor dst = make_tensor(output_shape);
  for (std::int64_t line = 0; line < output_shape.element_count() / count; ++line) {
    const std::int64_t first = line / inner * count * inner + line % inner;
    double largest = -std::numeric_limits<double>::infinity();
    double smallest = std::numeric_limits<double>::infinity();
    double worst = 0.0;
    for (std::int64_t i = 0; i < count; ++i) {
      largest = std::max(largest, src.value[at(first + i * inner)]);
      smallest = std::min(smallest, src.value[at(first + i * inner)]);
      worst = std::max(worst, src.inherited[at(first + i * inner)]);
    }
    double sum = 0.0;
    for (std::int64_t i = 0; i < count; ++i) sum += std::exp(src.value[at(first + i * inner)] - largest);
    // (R9): operands moved by at most `worst`, arguments of exp rounded once, exp within 4 ulp, the sum and the quotient.
    const double exponent = 2.0 * worst + 2.0 * kUnit * (largest - smallest + 2.0 * worst);
    const double relative = std::exp(exponent) * (1.0 + gamma(count + 20)) - 1.0;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::size_t index = at(first + i * inner);
      const double value = std::exp(src.value[index] - largest) / sum;
      dst.value[index] = value;
      dst.inherited[index] = relative * value + 2.0 * static_cast<double>(count + 1) * kUnderflow;
      dst.magnitude[index] = value + dst.inherited[index];
    }
  }
  return dst;
}

}  // namespace bitwright
