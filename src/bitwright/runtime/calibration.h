// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

/// How the scale of a value's codes follows from the values that images bring.
enum class CalibrationRule : std::uint8_t {
  minmax,      ///< the largest magnitude is the last code: nothing saturates on these images
  percentile,  ///< a share of all elements lies within the codes, the rest saturates
  mse,         ///< the range with the least mean squared error of rounding and saturating together
};

[[nodiscard]] std::string_view calibration_rule_name(CalibrationRule rule) noexcept;
/// Throws: `Error(usage)` on an unknown name (lists the known ones).
[[nodiscard]] CalibrationRule parse_calibration_rule(std::string_view name);

struct CalibrationOptions {
  CalibrationRule rule = CalibrationRule::mse;
  double percentile = 99.99;  ///< of `percentile`: percent of the elements that keep their value
  int threads = 1;
  std::int64_t batch = 16;  ///< images at a time; the result does not depend on it but for float32's rounding
};

/// Measures a model's values on images in float32 and returns it with a scale for every value that int8 may hold as codes
/// (`kInputScaleAttribute`, `kOutputScaleAttribute`); older scales are dropped.
///
/// Equation: scale = T / 255 for values that are never negative, else T / 127. minmax: T = max |x|. percentile and mse choose T from a
/// histogram of |x| with 2048 bins up to max |x|; mse tries every eighth edge. A value that is 0 on all images has scale 1. Sources and
/// result of a Concat, a pool or a view share the largest of their scales, so that codes move as they are. Shapes: images NCHW, whole
/// images one behind the other, already transformed. Throws: `Error(usage)`: no image, a bad percentile, a fixed-point model;
/// `Error(invalid_input)`: not whole images; `Error(numerical)`: a value is not finite. Cost: one run in float32 over the images, two for
/// percentile and mse.
[[nodiscard]] Model calibrate(const Model& model, std::span<const float> images, const CalibrationOptions& options = {});

}  // namespace bitwright
