// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"

#include <cstdint>
#include <string_view>

namespace bitwright {

/// How a real number becomes a multiple of the step.
enum class Rounding {
  nearest_even,  ///< to the nearest, ties to the even code
  nearest_down,  ///< to the nearest, ties toward minus infinity (Gupta; G4)
  toward_zero,   ///< truncation
  floor,         ///< toward minus infinity (G3)
  stochastic,    ///< up with probability equal to the fraction (G5)
};

[[nodiscard]] std::string_view rounding_name(Rounding rounding) noexcept;
/// Throws: `Error(usage)` on an unknown name.
[[nodiscard]] Rounding parse_rounding(std::string_view name);

/// What a rounding needs beyond its mode: for `stochastic`, the stream that element `index` draws from.
struct RoundingContext {
  Rounding mode = Rounding::nearest_even;
  const Rng* rng = nullptr;  ///< needed by `stochastic`, ignored otherwise
};

/// Rounds `scaled` (already divided by the step) to an integer; `index` addresses the draw of stochastic rounding.
/// Equation: (G3), (G4), (G5) in the form (G6), so (G7) holds; exact ties and fractions, whatever the sign. Requires: `scaled` is finite
/// and |scaled| < 2^52.
[[nodiscard]] double round_scaled(double scaled, const RoundingContext& context, std::uint64_t index);

}  // namespace bitwright
