// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/ternary.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/finite.h"
#include "bitwright/formats/spec_fields.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace bitwright {
namespace {
constexpr double kMeanRatio = 0.7;  // (T13)
constexpr std::string_view kTwoBits = ":2bit";
}  // namespace

Ternary Ternary::parse(std::string_view fields, std::string_view whole_text) {
  if (fields.empty()) return {};
  if (fields != kTwoBits) fail_format_syntax<Ternary>(whole_text);
  return {.layout = TernaryLayout::two_bits};
}

std::string Ternary::spec() const {
  return layout == TernaryLayout::five_digits ? std::string("ternary") : fmt::format("ternary{}", kTwoBits);
}

std::string Ternary::parameter_problem(const Parameters& parameters, std::int64_t) const {
  for (const float scale : {parameters.positive_scale, parameters.negative_scale}) {
    if (!std::isfinite(scale) || scale <= 0.0F) {
      return fmt::format("a scale is wrong (found {}, need a finite number above 0)", scale);
    }
  }
  if (!std::isfinite(parameters.threshold) || parameters.threshold < 0.0F) {
    return fmt::format("the threshold is wrong (found {}, need a finite number, at least 0)", parameters.threshold);
  }
  return {};
}

void Ternary::write_parameters(const Parameters& parameters, ByteWriter& writer) const {
  writer.f32(parameters.positive_scale);
  writer.f32(parameters.negative_scale);
}

Ternary::Parameters Ternary::read_parameters(ByteReader& reader, std::int64_t) const {
  const float positive_scale = reader.f32();
  return {.positive_scale = positive_scale, .negative_scale = reader.f32(), .threshold = 0.0F};
}

Ternary::Parameters Ternary::fit(std::span<const float> values) const {
  check_finite(spec(), values);
  double sum = 0.0;
  for (const float value : values) sum += std::abs(value);
  const double mean = values.empty() ? 0.0 : sum / static_cast<double>(values.size());
  return fit_scales(values, static_cast<float>(kMeanRatio * mean));
}

Ternary::Parameters Ternary::fit_scales(std::span<const float> values, float threshold) const {
  check_finite(spec(), values);
  double positive_sum = 0.0;
  double negative_sum = 0.0;
  std::int64_t positive_count = 0;
  std::int64_t negative_count = 0;
  for (const float value : values) {
    if (value > threshold) {
      positive_sum += value;
      ++positive_count;
    } else if (value < -threshold) {
      negative_sum -= value;
      ++negative_count;
    }
  }
  if (positive_count == 0 && negative_count == 0) return {.positive_scale = 1.0F, .negative_scale = 1.0F, .threshold = threshold};
  const double positive_mean = positive_sum / static_cast<double>(std::max<std::int64_t>(1, positive_count));
  const double negative_mean = negative_sum / static_cast<double>(std::max<std::int64_t>(1, negative_count));
  return {.positive_scale = static_cast<float>(positive_count > 0 ? positive_mean : negative_mean),
          .negative_scale = static_cast<float>(negative_count > 0 ? negative_mean : positive_mean),
          .threshold = threshold};
}

float Ternary::threshold_for_ratio(std::span<const float> values, double threshold_ratio) {
  check_finite("ternary", values);
  float max_abs = 0.0F;
  for (const float value : values) max_abs = std::max(max_abs, std::abs(value));
  return static_cast<float>(threshold_ratio * max_abs);
}

float Ternary::threshold_for_sparsity(std::span<const float> values, double sparsity_target) {
  BITWRIGHT_ASSERT(sparsity_target >= 0.0 && sparsity_target < 1.0);
  check_finite("ternary", values);
  const auto nonzero = static_cast<std::size_t>(std::floor((1.0 - sparsity_target) * static_cast<double>(values.size())));
  if (nonzero >= values.size()) return 0.0F;
  std::vector<float> magnitudes(values.size());
  std::ranges::transform(values, magnitudes.begin(), [](float value) { return std::abs(value); });
  const auto threshold = magnitudes.begin() + static_cast<std::ptrdiff_t>(nonzero);
  std::nth_element(magnitudes.begin(), threshold, magnitudes.end(), std::greater<>());
  return *threshold;
}

void Ternary::encode(const Parameters& parameters, std::span<const float> values, const RoundingContext&,
                     std::span<std::int32_t> codes) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  check_finite(spec(), values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    codes[i] = values[i] > parameters.threshold ? 1 : values[i] < -parameters.threshold ? 2 : 0;
  }
}

void Ternary::decode(const Parameters& parameters, std::span<const std::int32_t> codes, std::span<float> values) const {
  BITWRIGHT_ASSERT(values.size() == codes.size());
  const float levels[] = {0.0F, parameters.positive_scale, -parameters.negative_scale};
  for (std::size_t i = 0; i < codes.size(); ++i) values[i] = levels[codes[i]];
}

}  // namespace bitwright
