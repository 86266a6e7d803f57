// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/fixed_point.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/finite.h"
#include "bitwright/formats/spec_fields.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bitwright {
namespace {

__extension__ using Wide = __int128;

/// (G8) on integers.
std::int32_t saturate(Wide code, const FixedPoint& format) noexcept {
  return static_cast<std::int32_t>(std::clamp<Wide>(code, format.min_code(), format.max_code()));
}

/// acc / 2^shift rounded; shift >= 1. Right shifts of negative numbers are arithmetic in C++20, so they are floors (G3).
Wide shift_right(Wide acc, int shift, const RoundingContext& rounding, std::uint64_t index) {
  const Wide one = 1;
  switch (rounding.mode) {
    case Rounding::nearest_even: {
      const Wide floor = acc >> shift;
      const Wide rest = acc - (floor << shift);
      const Wide half = one << (shift - 1);
      return floor + (rest > half || (rest == half && (floor & 1) != 0) ? 1 : 0);
    }
    case Rounding::nearest_down: return (acc + (one << (shift - 1)) - 1) >> shift;  // (G11)
    case Rounding::toward_zero: return acc < 0 ? -(-acc >> shift) : acc >> shift;
    case Rounding::floor: return acc >> shift;
    case Rounding::stochastic: {  // (G12)
      BITWRIGHT_ASSERT(rounding.rng != nullptr);
      // 32 bits where they are enough: vectorized kernels, which draw the same, then need half the blocks.
      const std::uint64_t random = shift <= 32 ? rounding.rng->word(index) >> (32 - shift) : rounding.rng->word_pair(index) >> (64 - shift);
      return (acc + static_cast<Wide>(random)) >> shift;
    }
  }
  BITWRIGHT_ASSERT(!"unknown rounding mode");
  return 0;
}

}  // namespace

double FixedPoint::step() const noexcept { return std::ldexp(1.0, -frac_bits); }
double FixedPoint::min_value() const noexcept { return -std::ldexp(1.0, int_bits - 1); }
double FixedPoint::max_value() const noexcept { return std::ldexp(1.0, int_bits - 1) - step(); }

FixedPoint FixedPoint::parse(std::string_view fields, std::string_view whole_text) {
  const std::size_t comma = fields.find(',');
  if (comma == std::string_view::npos || !fields.starts_with('<') || !fields.ends_with('>')) fail_format_syntax<FixedPoint>(whole_text);
  const auto integer = integer_field(fields.substr(1, comma - 1));
  const auto fraction = integer_field(fields.substr(comma + 1, fields.size() - comma - 2));
  if (!integer || !fraction) fail_format_syntax<FixedPoint>(whole_text);
  const FixedPoint format{.int_bits = clamped_int(*integer), .frac_bits = clamped_int(*fraction)};
  format.validate();
  return format;
}

void FixedPoint::validate() const {
  check_format_field(spec(), "IL", int_bits, 1, 32);
  check_format_field(spec(), "FL", frac_bits, 0, 31);
  check_format_field(spec(), "IL + FL", word_bits(), 2, 32);
}

std::string FixedPoint::spec() const { return fmt::format("fixed<{},{}>", int_bits, frac_bits); }

FixedPoint::Parameters FixedPoint::fit(std::span<const float> values) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) fail_not_finite(spec(), values[i], i);
  }
  return {};
}

void FixedPoint::encode(const Parameters&, std::span<const float> values, const RoundingContext& rounding,
                        std::span<std::int32_t> codes) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  for (std::size_t i = 0; i < values.size(); ++i) codes[i] = convert(values[i], *this, rounding, i);
}

void FixedPoint::decode(const Parameters&, std::span<const std::int32_t> codes, std::span<float> values) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  const double unit = step();
  for (std::size_t i = 0; i < codes.size(); ++i) values[i] = static_cast<float>(codes[i] * unit);  // (G1)
}

std::int32_t convert(double value, const FixedPoint& format, const RoundingContext& rounding, std::uint64_t index) {
  if (std::isnan(value)) fail_not_finite(format.spec(), static_cast<float>(value), index);
  // (G8) first: what remains is below 2^31, and a product with a power of two is exact.
  if (value <= format.min_value()) return format.min_code();
  if (value >= format.max_value()) return format.max_code();
  return static_cast<std::int32_t>(round_scaled(std::ldexp(value, format.frac_bits), rounding, index));
}

std::int32_t convert_acc(std::int64_t acc, int acc_frac_bits, const FixedPoint& format, const RoundingContext& rounding,
                         std::uint64_t index) {
  BITWRIGHT_ASSERT(acc_frac_bits >= 0 && acc_frac_bits <= 62);
  const int shift = acc_frac_bits - format.frac_bits;
  if (shift <= 0) return saturate(static_cast<Wide>(acc) << -shift, format);
  return saturate(shift_right(acc, shift, rounding, index), format);
}

std::int32_t convert_acc_with_random_bits(std::int64_t acc, int acc_frac_bits, const FixedPoint& format, const Rng& rng,
                                          std::uint64_t index, int random_bits) {
  BITWRIGHT_ASSERT(random_bits >= 1 && random_bits <= 32);
  const int shift = acc_frac_bits - format.frac_bits;
  if (shift <= random_bits) return convert_acc(acc, acc_frac_bits, format, {.mode = Rounding::stochastic, .rng = &rng}, index);
  BITWRIGHT_ASSERT(acc_frac_bits <= 62);
  const Wide random = rng.word(index) >> (32 - random_bits);
  return saturate((static_cast<Wide>(acc) + (random << (shift - random_bits))) >> shift, format);  // (G13)
}

std::int32_t change_format(std::int32_t code, const FixedPoint& from, const FixedPoint& to, const RoundingContext& rounding,
                           std::uint64_t index) {
  return convert_acc(code, from.frac_bits, to, rounding, index);
}

int accumulator_bits(int word_bits, std::int64_t depth) noexcept {
  BITWRIGHT_ASSERT(depth >= 1);
  return 2 * word_bits + static_cast<int>(std::bit_width(static_cast<std::uint64_t>(depth) - 1));
}

}  // namespace bitwright
