// SPDX-License-Identifier: Apache-2.0
// What the drivers ask of an instruction set, and the functions that kernels.inc names.
#pragma once

#include "bitwright/kernels/fixed_point/fixed_point.h"

namespace bitwright {

inline constexpr int kFixedTileRows = 6;

/// Sums of up to 6 rows and 32 columns: sums[r * 32 + j] = sum over outer, inner, t, u in {0, 1}, d of
///     a[r][at_a + 2 t + u] * b[at_b + t * b_step + d * b_digit + (j / 16) * b_half + (j % 16) * 2 + u] * 2^(w d),
/// at_a = outer * a_outer + inner * a_inner, at_b likewise. Requires: 2 * pairs elements readable in every run of a.
struct FixedTileCall {
  int rows = 0;                                ///< 1 to 6
  const std::int16_t* a[kFixedTileRows] = {};  ///< pointers beyond `rows` are not read
  const std::int16_t* b = nullptr;
  std::int64_t b_step = 0;   ///< from pair to pair
  std::int64_t b_digit = 0;  ///< from digit to digit
  std::int64_t b_half = 32;  ///< from the first 16 columns to the second 16
  std::int64_t pairs = 0;    ///< of one run
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  std::int64_t a_outer = 0;
  std::int64_t b_outer = 0;
  std::int64_t a_inner = 0;
  std::int64_t b_inner = 0;
  FixedDigits digits = {};
  std::int64_t* sums = nullptr;  ///< 6 * 32, aligned to 64; `rows` rows are overwritten
};

/// Pairs of codes cut into digits: dst[d * digit_stride + 2 i] = digit d of even[i], dst[d * digit_stride + 2 i + 1] = of odd[i].
struct FixedSplitCall {
  const std::int16_t* even = nullptr;
  const std::int16_t* odd = nullptr;
  std::int64_t count = 0;
  FixedDigits digits = {};
  std::int16_t* dst = nullptr;
  std::int64_t digit_stride = 0;
};

/// FixedRoundCall with what comes before the rounding; sum(i) = acc(i) + bias_all + bias(i).
struct FixedFinishCall {
  const std::int64_t* acc = nullptr;
  std::int64_t count = 0;
  std::int64_t bias_all = 0;
  const std::int64_t* bias = nullptr;  ///< one per element, or null
  FixedEpilogue::Activation activation = FixedEpilogue::Activation::none;
  FixedFormatChange change = {};
  std::uint64_t first_index = 0;
  std::int16_t* dst = nullptr;
  std::uint8_t* positive = nullptr;
};

/// Digits of a code: w low bits at a time as a signed number, the carry going on; the last digit is what remains.
template <typename Store>
void for_digits(std::int32_t code, const FixedDigits& digits, Store store) noexcept {
  const std::int32_t half = std::int32_t{1} << (digits.bits - 1);
  for (int d = 0; d + 1 < digits.count; ++d) {
    const std::int32_t digit = ((code + half) & (2 * half - 1)) - half;
    store(d, static_cast<std::int16_t>(digit));
    code = (code - digit) >> digits.bits;
  }
  store(digits.count - 1, static_cast<std::int16_t>(code));
}

#define BITWRIGHT_FIXED_POINT_KERNEL(isa, suffix)                        \
  void fixed_point_tile__##suffix(const FixedTileCall& call) noexcept;   \
  void fixed_point_split__##suffix(const FixedSplitCall& call) noexcept; \
  std::int64_t fixed_point_finish__##suffix(const FixedFinishCall& call) noexcept;
#include "bitwright/kernels/fixed_point/kernels.inc"
#undef BITWRIGHT_FIXED_POINT_KERNEL

}  // namespace bitwright
