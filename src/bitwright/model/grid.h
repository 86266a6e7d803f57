// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/number_format.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace bitwright {

/// First value that is not on the grid of a format, and what the grid asked for.
struct GridFault {
  std::int64_t index = 0;
  std::string need;
};

/// Checks decoded values against the definition of their format, never by the decoder's own arithmetic: bits of the float for powers of
/// two, exact products for fixed point, equality for ternary; for levels and points, the real number in double within the rounding error
/// that float32 decoding can have. Exactness: `FixedPoint`, `PowerOfTwo`, `Ternary` to the bit; `Uniform` and `Codebook` within three
/// roundings, derived in grid.cpp.
[[nodiscard]] std::optional<GridFault> find_grid_fault(const PowerOfTwo& format, const PowerOfTwo::Parameters& parameters,
                                                       std::span<const float> values);
[[nodiscard]] std::optional<GridFault> find_grid_fault(const FixedPoint& format, const FixedPoint::Parameters& parameters,
                                                       std::span<const float> values);
[[nodiscard]] std::optional<GridFault> find_grid_fault(const Ternary& format, const Ternary::Parameters& parameters,
                                                       std::span<const float> values);
[[nodiscard]] std::optional<GridFault> find_grid_fault(const Uniform& format, const Uniform::Parameters& parameters,
                                                       std::span<const float> values);
[[nodiscard]] std::optional<GridFault> find_grid_fault(const Codebook& format, const Codebook::Parameters& parameters,
                                                       std::span<const float> values);

}  // namespace bitwright
