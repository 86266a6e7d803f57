// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"
#include "bitwright/runtime/reference_tensor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

using namespace running;

namespace {

// Roundings that normalizing costs at most, folded into the weights or not (R6).
constexpr std::int64_t kNormalizationRoundings = 8;
constexpr double kUnknown = std::numeric_limits<double>::infinity();

// One row of LayerNormalization: (R11).
void normalize_row(const RunningTensor& src, const RunningTensor& scale, const RunningTensor* shift, double epsilon, std::int64_t first,
                   RunningTensor& dst) {
  const std::int64_t count = scale.shape.element_count();
  const auto n = static_cast<double>(count);
  double mean = 0.0;
  double mean_error = 0.0;
  for (std::int64_t i = first; i < first + count; ++i) {
    mean += src.value[at(i)] / n;
    mean_error += (src.inherited[at(i)] + gamma(count + 2) * src.magnitude[at(i)]) / n;
  }
  const auto deviation_error = [&](std::int64_t i) {
    return src.inherited[at(i)] + mean_error + kUnit * (std::abs(src.value[at(i)] - mean) + src.inherited[at(i)] + mean_error);
  };
  double variance = 0.0;
  double variance_error = 0.0;
  for (std::int64_t i = first; i < first + count; ++i) {
    const double d = std::abs(src.value[at(i)] - mean);
    const double e = deviation_error(i);
    variance += d * d / n;
    variance_error += (2.0 * d * e + e * e + gamma(count + 4) * (d + e) * (d + e)) / n;
  }
  const double spread = variance + epsilon;
  const double spread_error = variance_error + kUnit * (spread + variance_error);
  const double factor = 1.0 / std::sqrt(spread);
  const double largest_factor = spread > spread_error ? (1.0 + gamma(4)) / std::sqrt(spread - spread_error) : kUnknown;
  for (std::int64_t i = 0; i < count; ++i) {
    const double d = src.value[at(first + i)] - mean;
    const double e = deviation_error(first + i);
    const double s = scale.value[at(i)];
    const double b = shift != nullptr ? shift->value[at(i)] : 0.0;
    const double product_error = std::abs(s) * (e * largest_factor + std::abs(d) * (largest_factor - factor));
    const double rounded = gamma(4) * (std::abs(s) * (std::abs(d) + e) * largest_factor + std::abs(b));
    store(dst, first + i, d * factor * s + b, product_error + rounded + kUnderflow);
  }
}

}  // namespace

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

RunningTensor reference_layer_normalization(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const RunningTensor* shift = inputs.size() > 2 ? inputs[2] : nullptr;
  RunningTensor dst = make_tensor(output_shape);
  for (std::int64_t first = 0; first < output_shape.element_count(); first += inputs[1]->shape.element_count()) {
    normalize_row(src, *inputs[1], shift, static_cast<double>(node.float_attribute("epsilon", 1e-5F)), first, dst);
  }
  return dst;
}

RunningTensor reference_lrn(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const std::int64_t size = node.int_attribute("size", 1);
  const double scale = static_cast<double>(node.float_attribute("alpha", 1e-4F)) / static_cast<double>(size);
  const double power = static_cast<double>(node.float_attribute("beta", 0.75F));
  const double bias = static_cast<double>(node.float_attribute("bias", 1.0F));
  const std::int64_t channels = output_shape[1];
  const std::int64_t pixels = output_shape[2] * output_shape[3];
  RunningTensor dst = make_tensor(output_shape);
  for (std::int64_t i = 0; i < output_shape.element_count(); ++i) {
    const std::int64_t c = i / pixels % channels;
    const std::int64_t begin = std::max<std::int64_t>(0, c - (size - 1) / 2);
    const std::int64_t end = std::min(channels, c + size / 2 + 1);
    double squares = 0.0;
    double squares_error = 0.0;
    double squares_magnitude = 0.0;
    for (std::int64_t other = begin; other < end; ++other) {
      const std::size_t j = at(i + (other - c) * pixels);
      squares += src.value[j] * src.value[j];
      squares_error += (2.0 * std::abs(src.value[j]) + src.inherited[j]) * src.inherited[j];
      squares_magnitude += src.magnitude[j] * src.magnitude[j];
    }
    // (R12): the base of the power is at least the bias, and the power falls as it grows.
    const double base = bias + scale * squares;
    const double base_error = scale * squares_error + gamma(end - begin + 5) * (bias + scale * squares_magnitude);
    const double value = src.value[at(i)] * std::pow(base, -power);
    const double least = base - base_error;
    const double largest = least > 0.0 ? std::pow(least, -power) : kUnknown;
    const double error = src.inherited[at(i)] * largest + std::abs(src.value[at(i)]) * (largest - std::pow(base, -power));
    store(dst, i, value, error + 16.0 * kUnit * src.magnitude[at(i)] * largest + kUnderflow);
  }
  return dst;
}

RunningTensor reference_reduce_mean(const Node& node, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const std::vector<bool> is_reduced = reduced_axes(node, src.shape.rank());
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < is_reduced.size(); ++axis) count *= is_reduced[axis] ? src.shape[axis] : 1;
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = count + 2;
  const auto n = static_cast<double>(count);
  for (std::int64_t i = 0; i < src.shape.element_count(); ++i) {
    const std::vector<std::int64_t> where = coordinates(i, src.shape);
    std::int64_t index = 0;
    for (std::size_t axis = 0; axis < where.size(); ++axis) {
      if (!is_reduced[axis]) index = index * src.shape[axis] + where[axis];
    }
    dst.value[at(index)] += src.value[at(i)] / n;
    dst.inherited[at(index)] += src.inherited[at(i)] / n + kUnderflow;
    dst.magnitude[at(index)] += src.magnitude[at(i)] / n;
  }
  return dst;
}

}  // namespace bitwright
