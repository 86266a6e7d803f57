// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/fixed_point/functions.h"

#include <algorithm>

namespace bitwright {

void fixed_point_tile__scalar(const FixedTileCall& call) noexcept {
  std::fill_n(call.sums, kFixedTileRows * kFixedPanelColumns, 0);
  for (std::int64_t run = 0; run < call.outer * call.inner; ++run) {
    const std::int64_t at_a = run / call.inner * call.a_outer + run % call.inner * call.a_inner;
    const std::int64_t at_b = run / call.inner * call.b_outer + run % call.inner * call.b_inner;
    for (std::int64_t t = 0; t < call.pairs; ++t) {
      for (int d = 0; d < call.digits.count; ++d) {
        const std::int16_t* b = call.b + at_b + t * call.b_step + d * call.b_digit;
        const std::int64_t weight = std::int64_t{1} << (call.digits.bits * d);
        for (int r = 0; r < call.rows; ++r) {
          const std::int64_t low = call.a[r][at_a + 2 * t] * weight;
          const std::int64_t high = call.a[r][at_a + 2 * t + 1] * weight;
          std::int64_t* sums = call.sums + r * kFixedPanelColumns;
          for (std::int64_t j = 0; j < kFixedPanelColumns; ++j) {
            const std::int16_t* digits = b + j / 16 * call.b_half + j % 16 * 2;
            sums[j] += low * digits[0] + high * digits[1];
          }
        }
      }
    }
  }
}

void fixed_point_split__scalar(const FixedSplitCall& call) noexcept {
  for (std::int64_t i = 0; i < call.count; ++i) {
    for_digits(call.even[i], call.digits, [&](int d, std::int16_t digit) { call.dst[d * call.digit_stride + 2 * i] = digit; });
    for_digits(call.odd[i], call.digits, [&](int d, std::int16_t digit) { call.dst[d * call.digit_stride + 2 * i + 1] = digit; });
  }
}

std::int64_t fixed_point_finish__scalar(const FixedFinishCall& call) noexcept {
  const int k = call.change.shift;
  const std::int64_t least = -(std::int64_t{1} << (call.change.word_bits - 1));
  const std::int64_t most = -least - 1;
  const bool is_stochastic = call.change.rounding == FixedRounding::stochastic && k > 0;
  const int r = std::min(call.change.random_bits, k);
  std::int64_t saturated = 0;
  for (std::int64_t i = 0; i < call.count; ++i) {
    std::int64_t sum = call.acc[i] + call.bias_all + (call.bias == nullptr ? 0 : call.bias[i]);
    if (call.positive != nullptr) call.positive[i] = sum > 0 ? 1 : 0;
    if (call.activation == FixedEpilogue::Activation::relu) sum = std::max<std::int64_t>(sum, 0);
    if (k <= 0) {
      // Clamped beforehand to where the shift cannot overflow, one step beyond what fits so that it is noticed.
      sum = std::clamp(sum, (least >> -k) - 1, (most >> -k) + 1) * (std::int64_t{1} << -k);
    } else {
      std::int64_t offset = (std::int64_t{1} << (k - 1)) - 1;
      if (is_stochastic) {
        const std::uint64_t index = call.first_index + static_cast<std::uint64_t>(i);
        const std::uint64_t random = r <= 32 ? call.change.rng->word(index) >> (32 - r) : call.change.rng->word_pair(index) >> (64 - r);
        offset = static_cast<std::int64_t>(random << (k - r));
      }
      sum = (sum + offset) >> k;
    }
    saturated += sum < least || sum > most ? 1 : 0;
    call.dst[i] = static_cast<std::int16_t>(std::clamp(sum, least, most));
  }
  return saturated;
}

}  // namespace bitwright
