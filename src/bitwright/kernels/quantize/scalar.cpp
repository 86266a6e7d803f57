// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/quantize/functions.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bitwright {
namespace {

template <typename Code>
std::int64_t encode(const EncodeCall& call, const Code& code) {
  std::int64_t not_finite = 0;
  for (std::int64_t i = 0; i < call.count; ++i) {
    if (!std::isfinite(call.src[i])) {
      ++not_finite;
      call.codes[i] = 0;
    } else {
      call.codes[i] = code(call.src[i]);
    }
  }
  return not_finite;
}

}  // namespace

std::int64_t quantize_round__scalar(const RoundCall& call) noexcept {
  std::int64_t nan = 0;
  const float step = std::ldexp(1.0F, -call.frac_bits);
  const float least = -std::ldexp(1.0F, call.int_bits - 1);
  const float most = -least - step;
  for (std::int64_t i = 0; i < call.count; ++i) {
    nan += std::isnan(call.src[i]) ? 1 : 0;
    const double scaled = std::ldexp(static_cast<double>(std::clamp(call.src[i], least, most)), call.frac_bits);
    double whole = std::trunc(scaled);
    const double fraction = scaled - whole;
    switch (call.mode) {
      case RoundMode::nearest_even: whole = std::nearbyint(scaled); break;
      case RoundMode::nearest_down: whole += fraction > 0.5 ? 1.0 : fraction <= -0.5 ? -1.0 : 0.0; break;
      case RoundMode::stochastic: {
        const std::uint64_t index = call.first_index + static_cast<std::uint64_t>(i);
        const double u = (call.draw == RoundDraw::block ? call.rng->bits32(index) : call.rng->word(index)) * 0x1.0p-32;
        if (fraction >= 0.0) {
          whole += u < fraction ? 1.0 : 0.0;
        } else {
          whole -= u - 1.0 < fraction ? 0.0 : 1.0;
        }
        break;
      }
    }
    call.dst[i] = (static_cast<float>(whole) + 0.0F) * step;
  }
  return nan;
}

std::int64_t quantize_uniform__scalar(const UniformCall& call) noexcept {
  const auto last = static_cast<double>(call.last);
  return encode(call, [&](float value) {
    const double scaled = (static_cast<double>(value) - call.min) / call.scale * last;
    return static_cast<std::int32_t>(std::nearbyint(std::clamp(scaled, 0.0, last)));
  });
}

std::int64_t quantize_ternary__scalar(const TernaryCall& call) noexcept {
  return encode(call, [&](float value) { return value > call.threshold ? 1 : value < -call.threshold ? 2 : 0; });
}

std::int64_t quantize_power__scalar(const PowerCall& call) noexcept {
  const auto threshold = std::bit_cast<std::int32_t>(static_cast<float>(std::ldexp(1.0, call.exp_min - 1)));
  return encode(call, [&](float value) {
    const auto bits = std::bit_cast<std::int32_t>(value);
    const std::int32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude < threshold) return 0;
    // A mantissa from 1.5 on belongs to the next power.
    const int exponent = ((magnitude + 0x00400000) >> 23) - 127;
    return 1 + 2 * (std::clamp(exponent, call.exp_min, call.exp_max) - call.exp_min) + (bits < 0 ? 1 : 0);
  });
}

std::int64_t quantize_codebook__scalar(const CodebookCall& call) noexcept {
  return encode(call, [&](float value) {
    const double scaled = (static_cast<double>(value) - call.min) / call.scale;
    return static_cast<std::int32_t>(std::ranges::upper_bound(call.midpoints, scaled) - call.midpoints.begin());
  });
}

void quantize_pack__scalar(const PackCall& call) noexcept {
  const std::uint32_t mask = (1U << call.code_bits) - 1U;
  std::uint32_t pending = 0;
  int pending_bits = 0;
  std::byte* to = call.bytes;
  for (std::int64_t i = 0; i < call.count; ++i) {
    pending |= (static_cast<std::uint32_t>(call.codes[i]) & mask) << pending_bits;
    for (pending_bits += call.code_bits; pending_bits >= 8; pending_bits -= 8, pending >>= 8)
      *to++ = static_cast<std::byte>(pending & 0xFF);
  }
  if (pending_bits > 0) *to = static_cast<std::byte>(pending & 0xFF);
}

void quantize_unpack__scalar(const UnpackCall& call) noexcept {
  const std::uint32_t mask = (1U << call.code_bits) - 1U;
  const std::uint32_t sign = call.sign == CodeSign::twos_complement ? 1U << (call.code_bits - 1) : 0U;
  std::uint32_t pending = 0;
  int pending_bits = 0;
  const std::byte* from = call.bytes;
  for (std::int64_t i = 0; i < call.count; ++i) {
    if (pending_bits < call.code_bits) {
      pending |= std::to_integer<std::uint32_t>(*from++) << pending_bits;
      pending_bits += 8;
    }
    call.codes[i] = static_cast<std::int32_t>(((pending & mask) ^ sign) - sign);
    pending >>= call.code_bits;
    pending_bits -= call.code_bits;
  }
}

void quantize_lookup__scalar(const LookupCall& call) noexcept {
  for (std::int64_t i = 0; i < call.count; ++i) call.dst[i] = (*call.table)[call.codes[i]];
}

}  // namespace bitwright
