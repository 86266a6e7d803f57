// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/bit_plan.h"
#include "bitwright/formats/fixed_point.h"
#include "bitwright/train/fixed_point/stage.h"
#include "bitwright/train/recipe.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace bitwright::fixed {

using fixed_point::Arithmetic;
using SaturatedErrors = fixed_point::ProductStage::SaturatedErrors;

/// Where the values between two updates live. `float_weights` turns the method into quantization-aware training and hides what nearest
/// rounding does; it exists so that a test can see exactly that (negative test 6 of the paper page).
enum class MasterCopy { none, float_weights };

/// What becomes of a code that leaves its range. `wrap` is the mistake of an integer addition without (G8); it exists so that a test can
/// see training break under it (negative test 5 of the paper page).
enum class Overflow { saturate, wrap };

/// Options of `[[method]] name = "fixed"`; docs/methods/fixed.md lists them.
struct FixedOptions {
  FixedPoint weights{.int_bits = 2, .frac_bits = 14};
  std::optional<FixedPoint> bias;  ///< absent: as the layer's weights
  FixedPoint outputs{.int_bits = 6, .frac_bits = 10};
  std::optional<FixedPoint> errors;   ///< absent: as `outputs`
  std::optional<FixedPoint> updates;  ///< absent: as the tensor that they are added to
  std::vector<BitRule> plan;          ///< before the rule "every weight gets `weights`"
  Rounding rounding = Rounding::stochastic;
  int random_bits = 64;  ///< of each draw at most (G13); more than a shift drops change nothing
  Arithmetic arithmetic = Arithmetic::exact;
  SaturatedErrors saturated_errors = SaturatedErrors::pass;
  std::optional<std::int64_t> switch_epoch;  ///< epochs after which every parameter changes to `switch_weights` (G14)
  std::optional<FixedPoint> switch_weights;
  std::optional<double> init_deviation;  ///< weights are drawn from N(0, deviation^2) and biases are 0; absent: the model's own
  MasterCopy master_copy = MasterCopy::none;
  Overflow overflow = Overflow::saturate;

  [[nodiscard]] FixedPoint errors_format() const { return errors.value_or(outputs); }
};

/// Throws: `Error(usage)` on unknown or wrong options.
[[nodiscard]] FixedOptions parse_fixed_options(const MethodRecipe& recipe);

}  // namespace bitwright::fixed
