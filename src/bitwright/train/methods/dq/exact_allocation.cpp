// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/exact_allocation.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bitwright::dq {

std::vector<std::size_t> allocate_exactly(std::span<const std::vector<LayerChoice>> layers, std::int64_t byte_budget) {
  std::int64_t least = 0;
  std::int64_t most = 0;
  std::vector<std::int64_t> least_of_layer;
  for (const std::vector<LayerChoice>& choices : layers) {
    BITWRIGHT_ASSERT(!choices.empty() && choices.size() <= std::numeric_limits<std::uint8_t>::max());
    const auto [low, high] = std::ranges::minmax(choices, {}, &LayerChoice::bytes);
    least_of_layer.push_back(low.bytes);
    least += low.bytes;
    most += high.bytes;
  }
  if (least > byte_budget) {
    fail(ErrorCode::usage, "bit allocation: the smallest settings do not fit (found {} bytes, need at most {}); allow fewer bits.", least,
         byte_budget);
  }
  // Only what is above the smallest settings is to be shared out, in steps of the common divisor of all differences.
  std::int64_t unit = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (const LayerChoice& choice : layers[l]) unit = std::gcd(unit, choice.bytes - least_of_layer[l]);
  }
  unit = std::max<std::int64_t>(unit, 1);
  const auto states = static_cast<std::size_t>((std::min(byte_budget, most) - least) / unit) + 1;

  // best[c]: the smallest sum of the layers so far within c units.
  std::vector<double> best(states, 0.0);
  std::vector<std::vector<std::uint8_t>> chosen(layers.size(), std::vector<std::uint8_t>(states));
  for (std::size_t l = 0; l < layers.size(); ++l) {
    std::vector<double> next(states, std::numeric_limits<double>::infinity());
    for (std::size_t k = 0; k < layers[l].size(); ++k) {
      const LayerChoice& choice = layers[l][k];
      BITWRIGHT_ASSERT(std::isfinite(choice.sensitivity));
      const auto units = static_cast<std::size_t>((choice.bytes - least_of_layer[l]) / unit);
      for (std::size_t c = units; c < states; ++c) {
        const double sum = best[c - units] + choice.sensitivity;
        if (sum >= next[c]) continue;
        next[c] = sum;
        chosen[l][c] = static_cast<std::uint8_t>(k);
      }
    }
    best = std::move(next);
  }
  // `best` does not rise with c: the first state as good as the last spends the fewest bytes.
  auto state = static_cast<std::size_t>(std::ranges::find(best, best.back()) - best.begin());
  std::vector<std::size_t> result(layers.size());
  for (std::size_t l = layers.size(); l-- > 0;) {
    result[l] = chosen[l][state];
    state -= static_cast<std::size_t>((layers[l][result[l]].bytes - least_of_layer[l]) / unit);
  }
  return result;
}

}  // namespace bitwright::dq
