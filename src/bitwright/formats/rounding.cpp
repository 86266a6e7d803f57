// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/rounding.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace bitwright {
namespace {

struct NamedRounding {
  Rounding rounding;
  std::string_view name;
};

constexpr std::array kRoundings = std::to_array<NamedRounding>({{Rounding::nearest_even, "nearest_even"},
                                                                {Rounding::nearest_down, "nearest_down"},
                                                                {Rounding::toward_zero, "toward_zero"},
                                                                {Rounding::floor, "floor"},
                                                                {Rounding::stochastic, "stochastic"}});

}  // namespace

std::string_view rounding_name(Rounding rounding) noexcept {
  for (const NamedRounding& entry : kRoundings) {
    if (entry.rounding == rounding) return entry.name;
  }
  return "unknown";
}

Rounding parse_rounding(std::string_view name) {
  std::vector<std::string> known;
  for (const NamedRounding& entry : kRoundings) {
    if (entry.name == name) return entry.rounding;
    known.emplace_back(entry.name);
  }
  fail(ErrorCode::usage, "rounding {}: unknown mode (found {}, need one of {}); did you mean {}?", name, name, join_names(known),
       nearest_name(name, known));
}

double round_scaled(double scaled, const RoundingContext& context, std::uint64_t index) {
  BITWRIGHT_ASSERT(std::abs(scaled) < 0x1.0p52);
  // `whole` holds a subset of the bits of `scaled`, so `fraction` is exact; floor(scaled) would lose bits of tiny negative numbers.
  const double whole = std::trunc(scaled);
  const double fraction = scaled - whole;
  switch (context.mode) {
    case Rounding::nearest_even: {
      const double magnitude = std::abs(fraction);
      const bool is_odd = std::fmod(whole, 2.0) != 0.0;
      if (magnitude > 0.5 || (magnitude == 0.5 && is_odd)) return whole + std::copysign(1.0, fraction);
      return whole + 0.0;
    }
    case Rounding::nearest_down:  // (G4)
      if (fraction > 0.5) return whole + 1.0;
      return fraction <= -0.5 ? whole - 1.0 : whole + 0.0;
    case Rounding::toward_zero: return whole + 0.0;
    case Rounding::floor: return fraction < 0.0 ? whole - 1.0 : whole + 0.0;  // (G3)
    case Rounding::stochastic: {
      // (G5), (G6): up where U < p. U - 1 is exact, so a fraction below zero is compared without computing p = 1 + fraction.
      BITWRIGHT_ASSERT(context.rng != nullptr);
      const double u = context.rng->uniform01(index);
      if (fraction >= 0.0) return u < fraction ? whole + 1.0 : whole + 0.0;
      return u - 1.0 < fraction ? whole + 0.0 : whole - 1.0;
    }
  }
  BITWRIGHT_ASSERT(!"unknown rounding mode");
  return whole;
}

}  // namespace bitwright
