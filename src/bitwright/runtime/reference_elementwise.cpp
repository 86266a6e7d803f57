// SPDX-License-Identifier: Apache-2.0
// Operators that compute element by element, with broadcasting, and Softmax.
#include "bitwright/model/broadcast.h"
#include "bitwright/model/unary_parameters.h"
#include "bitwright/runtime/reference_tensor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

using namespace running;

namespace {

// How far a function of the runtime's libraries may be from the function itself, in units of its scale: (R10).
constexpr double kLibrary = 16.0 * kUnit;
constexpr double kUnknown = std::numeric_limits<double>::infinity();

// dst = f(src), f's own error and what the operand's makes of it said by bound(x, e, f(x)).
template <typename Function, typename Bound>
RunningTensor unary(const RunningTensor& input, Function function, Bound bound) {
  const RunningTensor src = stored(input);
  RunningTensor dst = make_tensor(src.shape);
  for (std::int64_t i = 0; i < src.shape.element_count(); ++i) {
    const double x = src.value[at(i)];
    const double e = src.inherited[at(i)];
    const double y = function(x);
    store(dst, i, y, bound(x, e, y) + kUnderflow);
  }
  return dst;
}

// Calls combine(i, j, k) for every element i of the result, made of elements j and k of the operands.
template <typename Combine>
void for_broadcast(const Shape& a, const Shape& b, const Shape& to, Combine combine) {
  const std::vector<std::int64_t> a_strides = broadcast_strides(a, to);
  const std::vector<std::int64_t> b_strides = broadcast_strides(b, to);
  const bool is_equal = a == to && b == to;
  for (std::int64_t i = 0; i < to.element_count(); ++i) {
    if (is_equal) {
      combine(i, at(i), at(i));
      continue;
    }
    const std::vector<std::int64_t> where = coordinates(i, to);
    std::int64_t j = 0;
    std::int64_t k = 0;
    for (std::size_t axis = 0; axis < where.size(); ++axis) {
      j += where[axis] * a_strides[axis];
      k += where[axis] * b_strides[axis];
    }
    combine(i, at(j), at(k));
  }
}

RunningTensor sum(const RunningTensor& a, const RunningTensor& b, double sign, const Shape& output_shape) {
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = a.roundings + b.roundings + 1;
  for_broadcast(a.shape, b.shape, output_shape, [&](std::int64_t i, std::size_t j, std::size_t k) {
    dst.value[at(i)] = a.value[j] + sign * b.value[k];
    dst.inherited[at(i)] = a.inherited[j] + b.inherited[k];
    dst.magnitude[at(i)] = a.magnitude[j] + b.magnitude[k];
  });
  return dst;
}

// |x^y - computed|, x and y anywhere within their bounds: x^y is monotone in each of them while x > 0, so its extremes are at the corners.
double power_bound(double x, double x_error, double y, double y_error) {
  const double value = std::pow(x, y);
  const bool is_whole = y_error == 0.0 && std::floor(y) == y;
  const bool is_positive = x - x_error > 0.0;
  if (!is_positive && !(is_whole && y >= 0.0) && !(x_error == 0.0 && y_error == 0.0)) return kUnknown;
  double farthest = 0.0;
  double largest = std::abs(value);
  const auto visit = [&](double base, double exponent) {
    const double corner = std::pow(base, exponent);
    farthest = std::max(farthest, std::abs(corner - value));
    largest = std::max(largest, std::abs(corner));
  };
  for (const double x_sign : {-1.0, 1.0}) {
    for (const double y_sign : {-1.0, 1.0}) visit(x + x_sign * x_error, y + y_sign * y_error);
  }
  if (!is_positive && x + x_error >= 0.0) visit(0.0, y);  // the turning point of an even power
  return farthest + kLibrary * largest + kUnderflow;
}

}  // namespace

RunningTensor reference_abs(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  return unary(
      *inputs[0], [](double x) { return std::abs(x); }, [](double, double e, double) { return e; });
}

RunningTensor reference_neg(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  return unary(
      *inputs[0], [](double x) { return -x; }, [](double, double e, double) { return e; });
}

RunningTensor reference_clip(const Node& node, std::span<const RunningTensor* const> inputs, const Shape&) {
  const UnaryParameters p = unary_parameters(node);
  return unary(
      *inputs[0], [p](double x) { return std::clamp<double>(x, p.alpha, p.beta); }, [](double, double e, double) { return e; });
}

RunningTensor reference_leaky_relu(const Node& node, std::span<const RunningTensor* const> inputs, const Shape&) {
  const double alpha = unary_parameters(node).alpha;
  return unary(
      *inputs[0], [alpha](double x) { return x < 0.0 ? alpha * x : x; },
      [alpha](double x, double e, double) {
        const double slope = std::max(1.0, std::abs(alpha));
        return slope * e + kUnit * std::abs(alpha) * (std::abs(x) + e);
      });
}

RunningTensor reference_elu(const Node& node, std::span<const RunningTensor* const> inputs, const Shape&) {
  const double alpha = unary_parameters(node).alpha;
  return unary(
      *inputs[0], [alpha](double x) { return x < 0.0 ? alpha * std::expm1(x) : x; },
      [alpha](double, double e, double) { return std::max(1.0, std::abs(alpha)) * e + kLibrary * std::abs(alpha); });
}

RunningTensor reference_sigmoid(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  return unary(
      *inputs[0], [](double x) { return 1.0 / (1.0 + std::exp(-x)); }, [](double, double e, double) { return 0.25 * e + kLibrary; });
}

RunningTensor reference_tanh(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  return unary(
      *inputs[0], [](double x) { return std::tanh(x); }, [](double, double e, double) { return e + kLibrary; });
}

RunningTensor reference_erf(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  constexpr double kSteepest = 1.13;  // 2 / sqrt(pi)
  return unary(
      *inputs[0], [](double x) { return std::erf(x); }, [](double, double e, double) { return kSteepest * e + kLibrary; });
}

RunningTensor reference_gelu(const Node& node, std::span<const RunningTensor* const> inputs, const Shape&) {
  constexpr double kSteepest = 1.13;  // of either form: 1.129
  const bool is_tanh = unary_parameters(node).approximation == UnaryParameters::Approximation::tanh;
  return unary(
      *inputs[0],
      [is_tanh](double x) {
        if (!is_tanh) return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
        return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
      },
      [](double x, double e, double) { return kSteepest * e + kLibrary * (std::abs(x) + e); });
}

RunningTensor reference_hard_sigmoid(const Node& node, std::span<const RunningTensor* const> inputs, const Shape&) {
  const UnaryParameters p = unary_parameters(node);
  const double alpha = p.alpha;
  const double beta = p.beta;
  return unary(
      *inputs[0], [=](double x) { return std::clamp(alpha * x + beta, 0.0, 1.0); },
      [=](double x, double e, double) { return std::abs(alpha) * e + gamma(2) * (std::abs(alpha) * (std::abs(x) + e) + std::abs(beta)); });
}

RunningTensor reference_hard_swish(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  // Steepest, 3/2, at x = 3. The factor passes four roundings (1/6 itself, product, sum; it is at most 1), the result one more.
  return unary(
      *inputs[0], [](double x) { return x * std::clamp(x / 6.0 + 0.5, 0.0, 1.0); },
      [](double x, double e, double) { return 1.5 * e + gamma(5) * (std::abs(x) + e) * std::min(1.0, (std::abs(x) + e) / 6.0 + 0.5); });
}

RunningTensor reference_sqrt(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  return unary(
      *inputs[0], [](double x) { return std::sqrt(x); },
      [](double x, double e, double y) {
        if (x - e < 0.0) return x == 0.0 && e == 0.0 ? 0.0 : kUnknown;
        const double moved_by = y - std::sqrt(x - e);  // the root is steeper below x than above
        return moved_by + kLibrary * std::sqrt(x + e);
      });
}

RunningTensor reference_exp(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  // Reducing the argument, x - n ln 2, rounds a product as large as x where there is no fused multiply-add.
  return unary(
      *inputs[0], [](double x) { return std::exp(x); },
      [](double x, double e, double y) { return y * (std::exp(e + 2.0 * kUnit * (std::abs(x) + e)) * (1.0 + kLibrary) - 1.0); });
}

RunningTensor reference_relu(const Node&, std::span<const RunningTensor* const> inputs, const Shape&) {
  RunningTensor dst = stored(*inputs[0]);
  for (std::size_t i = 0; i < dst.value.size(); ++i) {
    dst.value[i] = std::max(dst.value[i], 0.0);
    dst.magnitude[i] = dst.value[i] + dst.inherited[i];
  }
  return dst;
}

RunningTensor reference_p_relu(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor src = stored(*inputs[0]);
  const RunningTensor& slope = *inputs[1];
  RunningTensor dst = make_tensor(output_shape);
  for_broadcast(src.shape, slope.shape, output_shape, [&](std::int64_t i, std::size_t j, std::size_t k) {
    const double factor = slope.value[k];
    const double value = src.value[j] < 0.0 ? factor * src.value[j] : src.value[j];
    store(dst, i, value, std::max(1.0, std::abs(factor)) * src.inherited[j] + kUnit * std::abs(factor) * src.magnitude[j] + kUnderflow);
  });
  return dst;
}

RunningTensor reference_add(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return sum(*inputs[0], *inputs[1], 1.0, output_shape);
}

RunningTensor reference_sub(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  return sum(*inputs[0], *inputs[1], -1.0, output_shape);
}

RunningTensor reference_mul(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor a = stored(*inputs[0]);
  const RunningTensor b = stored(*inputs[1]);
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = 1;
  for_broadcast(a.shape, b.shape, output_shape, [&](std::int64_t i, std::size_t j, std::size_t k) {
    dst.value[at(i)] = a.value[j] * b.value[k];
    dst.inherited[at(i)] = std::abs(a.value[j]) * b.inherited[k] + a.inherited[j] * b.magnitude[k] + kUnderflow;
    dst.magnitude[at(i)] = a.magnitude[j] * b.magnitude[k];
  });
  return dst;
}

RunningTensor reference_div(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor a = stored(*inputs[0]);
  const RunningTensor b = stored(*inputs[1]);
  RunningTensor dst = make_tensor(output_shape);
  dst.roundings = 2;  // of a quotient, or of a reciprocal and a product
  for_broadcast(a.shape, b.shape, output_shape, [&](std::int64_t i, std::size_t j, std::size_t k) {
    const double value = a.value[j] / b.value[k];
    const double least = std::abs(b.value[k]) - b.inherited[k];
    dst.value[at(i)] = value;
    dst.inherited[at(i)] = least > 0.0 ? (a.inherited[j] + std::abs(value) * b.inherited[k]) / least + kUnderflow : kUnknown;
    dst.magnitude[at(i)] = least > 0.0 ? a.magnitude[j] / least : kUnknown;
  });
  return dst;
}

RunningTensor reference_pow(const Node&, std::span<const RunningTensor* const> inputs, const Shape& output_shape) {
  const RunningTensor base = stored(*inputs[0]);
  const RunningTensor exponent = stored(*inputs[1]);
  RunningTensor dst = make_tensor(output_shape);
  for_broadcast(base.shape, exponent.shape, output_shape, [&](std::int64_t i, std::size_t j, std::size_t k) {
    store(dst, i, std::pow(base.value[j], exponent.value[k]),
          power_bound(base.value[j], base.inherited[j], exponent.value[k], exponent.inherited[k]));
  });
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
