// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/grid.h"

#include "bitwright/core/error.h"
#include "bitwright/model/packed_file.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bitwright {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;     // float32: |fl(x) - x| <= kUnitRoundoff |x| for a normal result …
constexpr double kSubnormalError = 0x1p-150;  // … and at most this for a subnormal one

template <typename Accepts>
std::optional<GridFault> first_refused(std::span<const float> values, const std::string& need, Accepts&& accepts) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!accepts(i, values[i])) return GridFault{.index = static_cast<std::int64_t>(i), .need = need};
  }
  return std::nullopt;
}

/// n when |value| is 2^n, read from the float's exponent and fraction bits.
std::optional<int> exact_exponent(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto exponent = static_cast<int>(bits >> 23 & 0xFF);
  const std::uint32_t fraction = bits & 0x7FFFFF;
  if (exponent == 0xFF) return std::nullopt;  // infinity, NaN
  if (exponent != 0) return fraction == 0 ? std::optional(exponent - 127) : std::nullopt;
  if (!std::has_single_bit(fraction)) return std::nullopt;  // subnormal: one bit of weight 2^-149 … 2^-127
  return std::countr_zero(fraction) - 149;
}

const Bucket& bucket_of(const std::vector<Bucket>& buckets, const std::optional<std::int64_t>& bucket_size, std::size_t index) {
  return buckets[bucket_size ? index / static_cast<std::size_t>(*bucket_size) : 0];
}

/// Whether `value` can be min + scale * level computed in float32.
///
/// With u = kUnitRoundoff and up to two roundings before the sum (level itself, product), the product is off by at most
/// (2 u + u^2) |scale level|, the sum by at most u |value| (value is the rounded sum); u^2 is covered by the factor 2.001 and each
/// rounding may be subnormal instead. The double arithmetic here adds 2^-53 relative per operation, which 2.001 and 1.001 cover too.
bool is_level(double value, const Bucket& bucket, double level) {
  const double product = static_cast<double>(bucket.scale) * level;
  const double bound = 2.001 * kUnitRoundoff * std::fabs(product) + 1.001 * kUnitRoundoff * std::fabs(value) + 3 * kSubnormalError;
  return std::fabs(value - (static_cast<double>(bucket.min) + product)) <= bound;
}

void verify_tensor(const std::string& name, const QuantizedTensor& tensor) {
  const std::vector<float> values = tensor.dequantize();
  const std::optional<GridFault> fault = std::visit(
      [&](const auto& format) {
        using Format = std::decay_t<decltype(format)>;
        return find_grid_fault(format, std::get<typename Format::Parameters>(tensor.parameters()), values);
      },
      tensor.format().variant());
  if (!fault) return;
  fail(ErrorCode::check_failed,
       "weight \"{}\": the value at index {} is not on the grid of {} (found {}, need {}); quantize the model again.", name, fault->index,
       tensor.format().spec(), values[static_cast<std::size_t>(fault->index)], fault->need);
}

}  // namespace

std::optional<GridFault> find_grid_fault(const PowerOfTwo& format, const PowerOfTwo::Parameters& parameters,
                                         std::span<const float> values) {
  const int low = parameters.exp_min;
  const int high = parameters.exp_max;
  // (I3): n1 - n2 + 1 = 2^(b-2) exponents, except in an all-zero tensor, which has n1 = n2 = 0 and no nonzero value (I8).
  const int exponents = 1 << (format.bits - 2);
  return first_refused(values, fmt::format("0 or +-2^n, {} <= n <= {}", low, high), [&](std::size_t, float value) {
    if (value == 0.0F) return true;
    const std::optional<int> exponent = exact_exponent(value);
    return exponent && *exponent >= low && *exponent <= high && high - low + 1 == exponents;
  });
}

std::optional<GridFault> find_grid_fault(const FixedPoint& format, const FixedPoint::Parameters&, std::span<const float> values) {
  // A word of more than 24 bits rounds in float32, possibly up to the next power of two: compare with the rounded limit.
  const auto highest = static_cast<double>(static_cast<float>(format.max_value()));
  return first_refused(values, fmt::format("a multiple of 2^{} in [{}, {}]", -format.frac_bits, format.min_value(), highest),
                       [&](std::size_t, float value) {
                         const double steps = std::ldexp(static_cast<double>(value), format.frac_bits);
                         return steps == std::trunc(steps) && value >= format.min_value() && value <= highest;
                       });
}

std::optional<GridFault> find_grid_fault(const Ternary&, const Ternary::Parameters& parameters, std::span<const float> values) {
  const float up = parameters.positive_scale;
  const float down = parameters.negative_scale;
  return first_refused(values, fmt::format("0, {} or -{}", up, down),
                       [&](std::size_t, float value) { return value == 0.0F || value == up || (value < 0.0F && -value == down); });
}

std::optional<GridFault> find_grid_fault(const Uniform& format, const Uniform::Parameters& parameters, std::span<const float> values) {
  const double last = std::ldexp(1.0, format.bits) - 1.0;
  return first_refused(values, fmt::format("one of {} levels of its bucket", last + 1.0), [&](std::size_t i, float value) {
    const Bucket& bucket = bucket_of(parameters.buckets, format.bucket_size, i);
    const double offset = static_cast<double>(value) - bucket.min;
    // The level nearest to the value decides: when any level is near enough, so is the nearest.
    const double level = bucket.scale == 0.0F ? 0.0 : std::clamp(std::nearbyint(offset / bucket.scale * last), 0.0, last);
    return is_level(value, bucket, level / last);
  });
}

std::optional<GridFault> find_grid_fault(const Codebook& format, const Codebook::Parameters& parameters, std::span<const float> values) {
  const std::vector<float>& points = parameters.points;
  return first_refused(values, fmt::format("one of {} points of its bucket", points.size()), [&](std::size_t i, float value) {
    const Bucket& bucket = bucket_of(parameters.buckets, format.bucket_size, i);
    const double scaled = bucket.scale == 0.0F ? 0.0 : (static_cast<double>(value) - bucket.min) / bucket.scale;
    const auto above = std::ranges::lower_bound(points, scaled, {}, [](float point) { return static_cast<double>(point); });
    return (above != points.end() && is_level(value, bucket, *above)) || (above != points.begin() && is_level(value, bucket, *(above - 1)));
  });
}

void verify_grid(const Model& model) {
  for (const auto& [name, weight] : model.weights) {
    if (const auto* tensor = std::get_if<QuantizedTensor>(&weight)) verify_tensor(name, *tensor);
  }
}

}  // namespace bitwright
