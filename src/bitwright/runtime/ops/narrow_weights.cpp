// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/narrow_weights.h"

#include "bitwright/runtime/integer_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace bitwright {
namespace {

std::size_t depth_of(const Weight& weight) {
  const Shape& shape = weight_shape(weight);
  return shape[0] == 0 ? 0 : static_cast<std::size_t>(shape.element_count() / shape[0]);
}

// bias / factor for outputs where float32 can hold it; others keep nothing but their bias.
template <typename Zero>
void divide_bias(const std::vector<float>& bias, NarrowWeights& weights, Zero make_zero) {
  for (std::size_t o = 0; o < bias.size(); ++o) {
    const double divided = static_cast<double>(bias[o]) / weights.factor[o];
    if (std::isfinite(divided) && std::abs(divided) < 0x1p100 && std::abs(weights.factor[o]) >= 0x1p-120) {
      weights.bias.push_back(static_cast<float>(divided));
      continue;
    }
    make_zero(o);
    weights.factor[o] = 1.0;
    weights.bias.push_back(bias[o]);
  }
}

std::string note_of(const IntegerWeights& integers) {
  if (integers.rounded == 0) return {};
  return fmt::format("weights: {}, {} of {} not exact, by at most {:.2g}", integers.rule, integers.rounded, integers.codes.size(),
                     integers.largest_error);
}

}  // namespace

float round_to_bfloat16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U);
}

NarrowWeights int8_weights(const Weight& weight, const std::vector<float>& tail_scale, const std::vector<float>& bias, float source_scale,
                           std::vector<std::int8_t> storage) {
  IntegerWeights integers = integer_weights(weight, std::move(storage));
  NarrowWeights result;
  result.note = note_of(integers);
  for (std::size_t o = 0; o < bias.size(); ++o) {
    const double tail = tail_scale.empty() ? 1.0 : static_cast<double>(tail_scale[o]);
    result.factor.push_back(tail * static_cast<double>(integers.scale[o]) * static_cast<double>(source_scale));
  }
  const std::size_t depth = depth_of(weight);
  divide_bias(bias, result, [&](std::size_t o) { std::fill_n(integers.codes.begin() + static_cast<std::ptrdiff_t>(o * depth), depth, 0); });
  result.codes = std::move(integers.codes);
  return result;
}

NarrowWeights bfloat16_weights(const Weight& weight, const std::vector<float>& tail_scale, const std::vector<float>& bias,
                               std::vector<float> storage) {
  const std::size_t depth = depth_of(weight);
  NarrowWeights result;
  result.values = std::move(storage);
  result.values.resize(static_cast<std::size_t>(weight_shape(weight).element_count()));
  const auto* tensor = std::get_if<QuantizedTensor>(&weight);
  bool is_done = false;
  if (tensor != nullptr && tensor->format().get_if<PowerOfTwo>() != nullptr) {
    tensor->dequantize_into(result.values);
    is_done = true;
    for (const float scale : tail_scale) result.factor.push_back(static_cast<double>(scale));
  } else if (tensor != nullptr) {
    const IntegerWeights integers = integer_weights(weight);
    is_done = integers.rule == kLevelIntegersRule;
    if (is_done) {
      result.values.assign(integers.codes.begin(), integers.codes.end());
      result.note = note_of(integers);
      for (std::size_t o = 0; o < bias.size(); ++o) {
        result.factor.push_back(static_cast<double>(integers.scale[o]) * (tail_scale.empty() ? 1.0 : static_cast<double>(tail_scale[o])));
      }
    }
  }
  if (!is_done) {
    copy_weight_values(weight, result.values);
    for (std::size_t i = 0; i < result.values.size(); ++i) {
      const float scaled = tail_scale.empty() ? result.values[i] : result.values[i] * tail_scale[i / depth];
      result.values[i] = round_to_bfloat16(scaled);
    }
    result.note = "weights: rounded to bfloat16, each by at most 1/512 of itself";
  }
  if (result.factor.empty()) {
    result.bias = bias;
  } else {
    divide_bias(bias, result,
                [&](std::size_t o) { std::fill_n(result.values.begin() + static_cast<std::ptrdiff_t>(o * depth), depth, 0.0F); });
  }
  return result;
}

}  // namespace bitwright
