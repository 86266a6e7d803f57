// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/power_of_two.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/finite.h"
#include "bitwright/formats/spec_fields.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace bitwright {
namespace {

constexpr int kLowestExponent = -126;
constexpr int kHighestExponent = 127;

/// Number of exponents minus one: n1 - n2 by (I3).
int exponent_span(int bits) noexcept { return (1 << (bits - 2)) - 1; }

/// Exponent of the codebook value nearest to `value`; nothing means zero. Equation: (I5).
std::optional<int> nearest_exponent(const PowerOfTwo::Parameters& parameters, float value) noexcept {
  const float magnitude = std::abs(value);
  // In double 2^(n2-1) is exact also for the lowest exponent.
  if (static_cast<double>(magnitude) < std::ldexp(1.0, parameters.exp_min - 1)) return std::nullopt;
  return std::clamp(PowerOfTwo::exponent_for(magnitude), parameters.exp_min, parameters.exp_max);
}

}  // namespace

int PowerOfTwo::exponent_for(float max_abs) noexcept {
  int exponent = 0;
  const float fraction = std::frexp(max_abs, &exponent);  // in [0.5, 1)
  return fraction < 0.75F ? exponent - 1 : exponent;
}

PowerOfTwo::Parameters PowerOfTwo::parameters_for(float max_abs) const noexcept {
  if (max_abs == 0.0F) return {};
  const int exp_max = exponent_for(max_abs);
  return {.exp_max = exp_max, .exp_min = exp_max - exponent_span(bits)};
}

float PowerOfTwo::quantize_value(const Parameters& parameters, float value) const noexcept {
  const std::optional<int> exponent = nearest_exponent(parameters, value);
  return exponent ? std::copysign(std::ldexp(1.0F, *exponent), value) : 0.0F;
}

PowerOfTwo PowerOfTwo::parse(std::string_view fields, std::string_view whole_text) {
  const auto bits = fields.starts_with(':') ? integer_field(fields.substr(1)) : std::nullopt;
  if (!bits) fail_format_syntax<PowerOfTwo>(whole_text);
  const PowerOfTwo format{.bits = clamped_int(*bits)};
  format.validate();
  return format;
}

void PowerOfTwo::validate() const { check_format_field(spec(), "BITS", bits, 2, 8); }

std::string PowerOfTwo::spec() const { return fmt::format("pow2:{}", bits); }

std::string PowerOfTwo::parameter_problem(const Parameters& parameters, std::int64_t) const {
  const auto [exp_max, exp_min] = parameters;
  if (exp_max == 0 && exp_min == 0) return {};  // (I8)
  if (exp_min < kLowestExponent || exp_max > kHighestExponent) {
    return fmt::format("the exponents are out of range (found {} to {}, need {} to {})", exp_min, exp_max, kLowestExponent,
                       kHighestExponent);
  }
  if (exp_max - exp_min != exponent_span(bits)) {
    return fmt::format("the exponents do not belong to {} (found {} to {}, need a difference of {})", spec(), exp_min, exp_max,
                       exponent_span(bits));
  }
  return {};
}

void PowerOfTwo::write_parameters(const Parameters& parameters, ByteWriter& writer) const {
  writer.u8(static_cast<std::uint8_t>(parameters.exp_max));
  writer.u8(static_cast<std::uint8_t>(parameters.exp_min));
}

PowerOfTwo::Parameters PowerOfTwo::read_parameters(ByteReader& reader, std::int64_t) const {
  const auto exp_max = static_cast<std::int8_t>(reader.u8());
  return {.exp_max = exp_max, .exp_min = static_cast<std::int8_t>(reader.u8())};
}

PowerOfTwo::Parameters PowerOfTwo::fit(std::span<const float> values) const {
  check_finite(spec(), values);
  float max_abs = 0.0F;
  for (const float value : values) max_abs = std::max(max_abs, std::abs(value));
  const Parameters parameters = parameters_for(max_abs);
  if (const std::string problem = parameter_problem(parameters, 0); !problem.empty()) {
    fail(ErrorCode::numerical, "{}: the largest magnitude is {}, so {}; scale the tensor.", spec(), max_abs, problem);
  }
  return parameters;
}

void PowerOfTwo::encode(const Parameters& parameters, std::span<const float> values, const RoundingContext&,
                        std::span<std::int32_t> codes) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  check_finite(spec(), values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::optional<int> exponent = nearest_exponent(parameters, values[i]);
    codes[i] = exponent ? 1 + 2 * (*exponent - parameters.exp_min) + (values[i] < 0.0F ? 1 : 0) : 0;  // (I12)
  }
}

void PowerOfTwo::decode(const Parameters& parameters, std::span<const std::int32_t> codes, std::span<float> values) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  constexpr std::size_t kMostCodes = std::size_t{1} << 8;
  std::array<float, kMostCodes> levels;
  levels[0] = 0.0F;
  for (std::size_t i = 1; i < static_cast<std::size_t>(code_count()); ++i) {
    const int code = static_cast<int>(i) - 1;
    levels[i] = std::ldexp((code & 1) != 0 ? -1.0F : 1.0F, parameters.exp_min + (code >> 1));
  }
  for (std::size_t i = 0; i < codes.size(); ++i) values[i] = levels[static_cast<std::size_t>(codes[i])];
}

}  // namespace bitwright
