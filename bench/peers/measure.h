// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/peers/contender.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// Times of one contender: one number a turn, the median of the turn's runs. Units: milliseconds.
struct Timing {
  double median_ms = 0.0;
  double min_ms = 0.0;
  double max_ms = 0.0;
  int samples = 0;
};

/// Lets the contenders take turns, so that a drift of the machine's speed meets all alike; the order is reversed after every round. A turn
/// holds as many runs as fit in 50 milliseconds, at least one and at most 50: the steady state of a network that is used again and again.
[[nodiscard]] std::vector<Timing> measure_in_turn(std::span<const std::unique_ptr<Contender>> contenders, int samples);

/// The largest |a - b| in percent of the range of b. Requires: equally many.
[[nodiscard]] double difference_percent(std::span<const float> a, std::span<const float> b);

}  // namespace bitwright
