// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/fixed/update.h"

#include "bitwright/core/assert.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

namespace bitwright::fixed {
namespace {

/// Words of one block of the generator.
constexpr std::int64_t kWords = 4;

/// Integer nearest below; no call into the mathematical library, so that the loop is made of vectors. Requires: |value| < 2^31.
std::int32_t floor_code(double value) {
  const auto truncated = static_cast<std::int32_t>(value);
  return truncated - static_cast<std::int32_t>(static_cast<double>(truncated) > value);
}

/// A value in steps, held where floor_code and one more step cannot leave int32; formats of at most 24 bits saturate long before.
double held(double scaled) { return std::clamp(scaled, -0x1.0p30, 0x1.0p30); }

/// Constants of one call, and what an element does with them.
struct Step {
  const UpdateRule& rule;
  FixedPoint format;
  FixedPoint update_format;
  double gradient_scale;
  double steps_per_unit;
  double step;

  Step(const ParameterCodes& parameter, const UpdateRule& own_rule)
      : rule(own_rule),
        format(parameter.format),
        update_format(parameter.update_format),
        gradient_scale(std::ldexp(1.0, -own_rule.gradient_frac_bits)),
        steps_per_unit(std::ldexp(1.0, parameter.update_format.frac_bits)),
        step(parameter.format.step()) {}

  /// The bracket of (G15). Products with powers of two are exact.
  [[nodiscard]] double bracket(double update, std::int64_t gradient, double value) const {
    const double mean = static_cast<double>(gradient) * gradient_scale / static_cast<double>(rule.batch);
    return rule.momentum * update - rule.lr * (mean + rule.weight_decay * value);
  }

  [[nodiscard]] std::int32_t fit(std::int32_t code, const FixedPoint& into, std::int64_t& saturated) const {
    const std::int32_t clamped = std::clamp(code, into.min_code(), into.max_code());
    saturated += clamped != code ? 1 : 0;
    if (rule.overflow == Overflow::wrap && clamped != code) {
      const std::int64_t count = std::int64_t{into.max_code()} - into.min_code() + 1;
      return static_cast<std::int32_t>(into.min_code() + (((code - std::int64_t{into.min_code()}) % count) + count) % count);
    }
    return clamped;
  }

  /// `u` in [0, 1).
  void apply(std::int32_t& code, std::int32_t& update, std::int64_t gradient, double u, UpdateCounts& counts) const {
    const double scaled = held(bracket(update * step, gradient, code * step) * steps_per_unit);
    const std::int32_t rounded = rule.rounding == Rounding::stochastic ? floor_code(scaled + u) : -floor_code(0.5 - scaled);
    update = fit(rounded, update_format, counts.saturated_updates);
    counts.zero_updates += update == 0 ? 1 : 0;
    code = fit(code + update, format, counts.saturated_codes);  // (G16)
  }
};

/// The update with a float copy of the weights: only for `MasterCopy::float_weights`.
void update_master(ParameterCodes& parameter, std::span<const std::int64_t> gradient, const Step& step) {
  if (parameter.master.empty()) {
    for (const std::int32_t code : parameter.codes) parameter.master.push_back(code * step.step);
    parameter.master_updates.assign(parameter.codes.size(), 0.0);
  }
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    double& update = parameter.master_updates[i];
    update = step.bracket(update, gradient[i], parameter.master[i]);
    parameter.master[i] += update;
    parameter.codes[i] = convert(parameter.master[i], parameter.format, {.mode = Rounding::nearest_down}, i);
  }
}

}  // namespace

UpdateCounts& UpdateCounts::operator+=(const UpdateCounts& other) {
  saturated_updates += other.saturated_updates;
  saturated_codes += other.saturated_codes;
  zero_updates += other.zero_updates;
  return *this;
}

UpdateCounts update(ParameterCodes& parameter, std::span<const std::int64_t> gradient, const UpdateRule& rule, const Rng& rng) {
  BITWRIGHT_ASSERT(gradient.size() == parameter.codes.size());
  BITWRIGHT_ASSERT(parameter.update_format.frac_bits == parameter.format.frac_bits);
  const Step step(parameter, rule);
  UpdateCounts total;
  if (rule.master_copy == MasterCopy::float_weights) {
    update_master(parameter, gradient, step);
    return total;
  }
  constexpr std::int64_t kBlocksPerTask = 2048;
  const std::uint32_t mask = rule.random_bits >= 32 ? ~0U : ~0U << (32 - rule.random_bits);
  const auto count = static_cast<std::int64_t>(gradient.size());
  std::mutex lock;
  at::parallel_for(0, (count + kWords - 1) / kWords, kBlocksPerTask, [&](std::int64_t begin, std::int64_t end) {
    UpdateCounts own;
    std::array<std::uint32_t, kWords> words = {};
    for (std::int64_t block = begin; block < end; ++block) {
      if (rule.rounding == Rounding::stochastic) words = rng.block(static_cast<std::uint64_t>(block));
      const std::int64_t first = block * kWords;
      const std::int64_t size = std::min(kWords, count - first);
      for (std::int64_t j = 0; j < size; ++j) {
        const auto i = static_cast<std::size_t>(first + j);
        const double u = (words[static_cast<std::size_t>(j)] & mask) * 0x1.0p-32;
        step.apply(parameter.codes[i], parameter.updates[i], gradient[i], u, own);
      }
    }
    const std::lock_guard guard(lock);  // sums of integers: the order of the threads does not matter
    total += own;
  });
  return total;
}

void change_format(ParameterCodes& parameter, const FixedPoint& format) {
  const int shift = format.frac_bits - parameter.format.frac_bits;
  BITWRIGHT_ASSERT(shift >= 0 && format.int_bits >= parameter.format.int_bits && format.int_bits >= parameter.update_format.int_bits);
  // Shifts left of negative numbers are products with 2^shift in C++20.
  for (std::int32_t& code : parameter.codes) code <<= shift;
  for (std::int32_t& update : parameter.updates) update <<= shift;
  parameter.format = format;
  parameter.update_format = format;
}

}  // namespace bitwright::fixed
