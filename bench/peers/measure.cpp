// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/measure.h"

#include "bench/median.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitwright {
namespace {

constexpr double kTurnSeconds = 50e-3;
constexpr double kMostRepeats = 50.0;

}  // namespace

std::vector<Timing> measure_in_turn(std::span<const std::unique_ptr<Contender>> contenders, int samples) {
  std::vector<int> repeats;
  for (const auto& contender : contenders) {
    const double seconds = median(contender->turn(3));
    repeats.push_back(static_cast<int>(std::clamp(std::ceil(kTurnSeconds / seconds), 1.0, kMostRepeats)));
  }
  std::vector<std::vector<double>> times(contenders.size());
  std::vector<std::size_t> order(contenders.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int sample = 0; sample < samples; ++sample) {
    for (const std::size_t i : order) times[i].push_back(1e3 * median(contenders[i]->turn(repeats[i])));
    std::ranges::reverse(order);
  }
  std::vector<Timing> timings;
  for (const std::vector<double>& one : times) {
    const auto [lowest, highest] = std::ranges::minmax(one);
    timings.push_back({.median_ms = median(one), .min_ms = lowest, .max_ms = highest, .samples = samples});
  }
  return timings;
}

double difference_percent(std::span<const float> a, std::span<const float> b) {
  const auto [lowest, highest] = std::ranges::minmax(b);
  double largest = 0.0;
  for (std::size_t i = 0; i < b.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  const double range = static_cast<double>(highest) - lowest;
  return range > 0.0 ? 100.0 * largest / range : 100.0 * largest;
}

}  // namespace bitwright
