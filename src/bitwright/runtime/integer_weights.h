// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// A weight matrix as 8-bit integers with one factor per output: value(o, i) = codes[o * depth + i] * scale[o], up to `largest_error`.
struct IntegerWeights {
  std::vector<std::int8_t> codes;  ///< [outputs, depth]
  std::vector<float> scale;        ///< per output, above 0 or, where that makes codes fit, below
  double largest_error = 0.0;      ///< largest |value - codes * scale| of the whole matrix
  std::int64_t rounded = 0;        ///< weights that are not exact
  std::string rule;                ///< how the integers were found, one line for reports
};

/// `rule` of the matrix whose integers stand for the levels of its format.
inline constexpr std::string_view kLevelIntegersRule = "levels as small integers";

/// Integers of a weight [outputs, …], taken from its number format, never fitted to its values again.
///
/// pow2: multiples of the least power of two that occurs in the output; +2^7 times it, which 8 bits lack, is kept by turning the signs of
/// the output, or, where +2^7 and -2^7 both occur, becomes 127 for the rarer sign: an error of 1/128 of that weight. Exponents that lie
/// more than 7 apart: multiples of 2^-6 of the largest weight of the output, to the nearest.
/// ternary, codebook, uniform and fixed of one bucket: the small integers k = 1 .. 128 for the largest level whose multiples are nearest to
/// all levels; exact when the levels have such integers. For ternary these are the fraction b / a with
/// a <= 127 that is nearest to the ratio of the scales: off by at most 1/254 of the larger scale, by some 10^-4 where the ratio is not near
/// 0 or 1. Everything else, and levels that no small integers come near: 1/127 of the output's largest weight, to the nearest. Rounding:
/// nearest, ties to even. Exactness: `largest_error` and `rounded` are measured, not estimated. `storage` lends its memory to the codes.
[[nodiscard]] IntegerWeights integer_weights(const Weight& weight, std::vector<std::int8_t> storage = {});

/// The same matrix with its two axes exchanged; values of several buckets become floats, since buckets run along rows.
/// Requires: rank 2.
[[nodiscard]] Weight transposed(const Weight& weight);

}  // namespace bitwright
