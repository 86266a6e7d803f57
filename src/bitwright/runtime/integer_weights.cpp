// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/integer_weights.h"

#include "bitwright/core/cpu.h"
#include "bitwright/kernels/quantize/quantize.h"
#include "bitwright/runtime/code_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <span>

#include <fmt/format.h>

namespace bitwright {
namespace weight_loops {

// How often a code occurs. In bytes: counts as wide as the result would have an eighth of the lanes.
BITWRIGHT_CLONES std::int64_t count_of(const std::uint8_t* codes, std::int64_t count, int code) noexcept {
  constexpr std::int64_t kPart = 192;
  std::int64_t total = 0;
  for (std::int64_t begin = 0; begin < count; begin += kPart) {
    std::uint8_t part = 0;
    for (std::int64_t i = begin; i < std::min(begin + kPart, count); ++i)
      part = static_cast<std::uint8_t>(part + (codes[i] == code ? 1 : 0));
    total += part;
  }
  return total;
}

// The least of code - 1, where 0 is above all others, and the largest code.
BITWRIGHT_CLONES void range_of(const std::uint8_t* codes, std::int64_t count, std::uint8_t* least, std::uint8_t* most) noexcept {
  std::uint8_t low = std::numeric_limits<std::uint8_t>::max();
  std::uint8_t high = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto below = static_cast<std::uint8_t>(codes[i] - 1);
    low = below < low ? below : low;
    high = high < codes[i] ? codes[i] : high;
  }
  *least = low;
  *most = high;
}

}  // namespace weight_loops

namespace {

constexpr int kMost = 127;
constexpr std::int64_t kMaxLevels = 256;

std::size_t at(std::int64_t index) noexcept { return static_cast<std::size_t>(index); }

// Nearest integer, ties to even, for |x| < 2^31.
int nearest(double x) noexcept { return static_cast<int>(std::nearbyint(x)); }

void measure(std::span<const float> values, std::int64_t depth, IntegerWeights& result) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double stands_for = static_cast<double>(result.codes[i]) * static_cast<double>(result.scale[i / at(depth)]);
    const double error = std::abs(stands_for - static_cast<double>(values[i]));
    if (error > 0.0) ++result.rounded;
    result.largest_error = std::max(result.largest_error, error);
  }
}

// Exponents so far apart that 8 bits hold all of them but one of +-128.
constexpr int kTightSpan = 7;

// The least and the largest exponent of one output, none when all are zero, and where it matters how often the largest occurs with each
// sign. Codes are PowerOfTwo's.
struct ExponentRange {
  int least = std::numeric_limits<int>::max();
  int most = std::numeric_limits<int>::min();
  std::int64_t positive_tops = 0;
  std::int64_t negative_tops = 0;
};

ExponentRange exponents_of(std::span<const std::uint8_t> codes) {
  // Code 0 is zero, all others count from 1: one less, it is above them all.
  std::uint8_t least = 0;
  std::uint8_t most = 0;
  weight_loops::range_of(codes.data(), std::ssize(codes), &least, &most);
  ExponentRange range;
  if (most == 0) return range;
  range.least = least >> 1;
  range.most = (most - 1) >> 1;
  if (range.most - range.least != kTightSpan) return range;
  const int positive = 1 + 2 * range.most;
  range.positive_tops = weight_loops::count_of(codes.data(), std::ssize(codes), positive);
  range.negative_tops = weight_loops::count_of(codes.data(), std::ssize(codes), positive + 1);
  return range;
}

IntegerWeights from_powers_of_two(const QuantizedTensor& tensor, std::int64_t outputs, std::int64_t depth,
                                  std::vector<std::int8_t> storage) {
  const auto& parameters = std::get<PowerOfTwo::Parameters>(tensor.parameters());
  IntegerWeights result{.codes = std::move(storage),
                        .scale = std::vector<float>(at(outputs), 1.0F),
                        .largest_error = 0.0,
                        .rounded = 0,
                        .rule = "powers of two as integers"};
  result.codes.resize(at(outputs * depth));
  const QuantizeKernel& kernel = select_quantize(active_isa());
  std::array<std::int8_t, 256> table{};
  std::vector<std::uint8_t> codes(at(depth));
  for (std::int64_t o = 0; o < outputs; ++o) {
    tensor.copy_codes(o * depth, codes);
    std::int8_t* dst = result.codes.data() + o * depth;
    const ExponentRange range = exponents_of(codes);
    if (range.most < range.least) {
      std::fill_n(dst, depth, std::int8_t{0});
      continue;
    }
    const int span = range.most - range.least;
    // Exponent of the integer 1, relative to exp_min, and the sign that lets the rarer of +-128 saturate.
    const int unit = span <= kTightSpan ? range.least : range.most - 6;
    const bool turns = span == kTightSpan && range.positive_tops > range.negative_tops;
    const int last = std::min(2 * range.most + 2, static_cast<int>(table.size()) - 1);  // -2^most, where the format has it
    for (int code = 1; code <= last; ++code) {
      const double magnitude = std::ldexp(1.0, (code - 1) / 2 - unit);
      const bool is_negative = (((code - 1) & 1) != 0) != turns;
      std::int8_t& integer = table[at(code)];
      integer = static_cast<std::int8_t>(std::clamp(nearest(is_negative ? -magnitude : magnitude), -128, kMost));
      if (integer != (is_negative ? -magnitude : magnitude)) {
        const std::int64_t count = weight_loops::count_of(codes.data(), std::ssize(codes), code);
        const double step = std::ldexp(1.0, parameters.exp_min + unit);
        result.rounded += count;
        if (count > 0)
          result.largest_error = std::max(result.largest_error, step * std::abs(integer - (is_negative ? -magnitude : magnitude)));
      }
    }
    kernel.lookup({.codes = codes.data(), .count = depth, .table = &table, .levels = last + 1, .dst = dst});  // table[0] stays 0
    const double scale = std::ldexp(1.0, parameters.exp_min + unit);
    result.scale[at(o)] = static_cast<float>(turns ? -scale : scale);
  }
  return result;
}

/// Integers for the levels of a table, and the value of the integer 1.
struct LevelIntegers {
  std::vector<std::int8_t> integers;
  double scale = 1.0;
  double error = 0.0;
};

LevelIntegers integers_of(std::span<const float> levels) {
  double largest = 0.0;
  for (const float level : levels) largest = std::max(largest, std::abs(static_cast<double>(level)));
  LevelIntegers best{.integers = std::vector<std::int8_t>(levels.size()), .scale = 1.0, .error = 0.0};
  if (largest == 0.0) return best;
  best.error = std::numeric_limits<double>::infinity();
  for (int k = 1; k <= 128; ++k) {
    // What a factor of float32 makes of it: the scale is stored in that.
    const auto scale = static_cast<double>(static_cast<float>(largest / k));
    double error = 0.0;
    for (const float level : levels) {
      const int integer = std::clamp(nearest(level / scale), -128, kMost);
      error = std::max(error, std::abs(integer * scale - level));
    }
    // A few roundings of float32 are no error of the integers.
    if (error < best.error && error < best.error - largest * 0x1p-22) {
      best.error = error;
      best.scale = scale;
    }
  }
  for (std::size_t i = 0; i < levels.size(); ++i) {
    best.integers[i] = static_cast<std::int8_t>(std::clamp(nearest(levels[i] / best.scale), -128, kMost));
  }
  return best;
}

// Levels of a format whose elements all share one table; nothing when no small integers come as near as 8 bits per output do.
std::optional<IntegerWeights> from_levels(const QuantizedTensor& tensor, std::int64_t outputs, std::vector<std::int8_t>& storage) {
  const CodeTable table = code_table(tensor, kMaxLevels);
  if (table.buckets > 1 || table.values.empty()) return std::nullopt;
  std::vector<bool> occurs(table.values.size());
  for (const std::uint8_t code : table.codes) occurs[at(code)] = true;
  std::vector<float> levels = table.values;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (!occurs[i]) levels[i] = 0.0F;  // asks for nothing
  }
  const LevelIntegers found = integers_of(levels);
  double largest = 0.0;
  for (const float level : levels) largest = std::max(largest, std::abs(static_cast<double>(level)));
  if (found.error > largest / (2 * kMost)) return std::nullopt;
  IntegerWeights result{.codes = std::move(storage),
                        .scale = std::vector<float>(at(outputs), static_cast<float>(found.scale)),
                        .largest_error = 0.0,
                        .rounded = 0,
                        .rule = std::string(kLevelIntegersRule)};
  result.codes.resize(table.codes.size());
  std::array<std::int8_t, kMaxLevels> integers{};
  std::ranges::copy(found.integers, integers.begin());
  select_quantize(active_isa())
      .lookup({.codes = table.codes.data(),
               .count = std::ssize(table.codes),
               .table = &integers,
               .levels = static_cast<int>(levels.size()),
               .dst = result.codes.data()});
  std::vector<std::int64_t> counts(levels.size());
  for (const std::uint8_t code : table.codes) ++counts[at(code)];
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double error = std::abs(found.integers[i] * found.scale - static_cast<double>(levels[i]));
    if (error > largest * 0x1p-22) result.rounded += counts[i];
    result.largest_error = std::max(result.largest_error, error);
  }
  return result;
}

IntegerWeights from_values(std::span<const float> values, std::int64_t outputs, std::int64_t depth, std::vector<std::int8_t> storage) {
  IntegerWeights result{.codes = std::move(storage),
                        .scale = std::vector<float>(at(outputs), 1.0F),
                        .largest_error = 0.0,
                        .rounded = 0,
                        .rule = "rounded to 8 bits per output"};
  result.codes.assign(values.size(), 0);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const float* src = values.data() + o * depth;
    float largest = 0.0F;
    for (std::int64_t i = 0; i < depth; ++i) largest = std::max(largest, std::abs(src[i]));
    // Below it the factor would lose bits as a subnormal number; such weights are nothing.
    if (largest < 0x1p-100F) continue;
    const float scale = largest / kMost;
    const float inverse = kMost / largest;
    std::int8_t* dst = result.codes.data() + o * depth;
    for (std::int64_t i = 0; i < depth; ++i) dst[i] = static_cast<std::int8_t>(std::clamp(nearest(src[i] * inverse), -kMost, kMost));
    result.scale[at(o)] = scale;
  }
  measure(values, depth, result);
  return result;
}

}  // namespace

IntegerWeights integer_weights(const Weight& weight, std::vector<std::int8_t> storage) {
  const Shape& shape = weight_shape(weight);
  const std::int64_t outputs = shape[0];
  const std::int64_t depth = outputs == 0 ? 0 : shape.element_count() / outputs;
  const auto* tensor = std::get_if<QuantizedTensor>(&weight);
  if (tensor == nullptr) return from_values(std::get<FloatTensor>(weight).values, outputs, depth, std::move(storage));
  if (tensor->format().get_if<PowerOfTwo>() != nullptr) return from_powers_of_two(*tensor, outputs, depth, std::move(storage));
  if (std::optional<IntegerWeights> levels = from_levels(*tensor, outputs, storage)) return *std::move(levels);
  return from_values(tensor->dequantize(), outputs, depth, std::move(storage));
}

Weight transposed(const Weight& weight) {
  const Shape& shape = weight_shape(weight);
  const std::int64_t rows = shape[0];
  const std::int64_t columns = shape[1];
  const auto exchange = [rows, columns](const auto& src) {
    auto dst = std::vector(src.begin(), src.end());
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) dst[at(j * rows + i)] = src[at(i * columns + j)];
    }
    return dst;
  };
  const auto* tensor = std::get_if<QuantizedTensor>(&weight);
  if (tensor != nullptr && code_table(*tensor, 0).buckets == 1)
    return QuantizedTensor(tensor->format(), Shape{columns, rows}, exchange(tensor->codes()), tensor->parameters());
  return FloatTensor{.shape = Shape{columns, rows}, .values = exchange(weight_values(weight))};
}

}  // namespace bitwright
