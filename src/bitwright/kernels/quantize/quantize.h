// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/kernels/isa.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

/// Rounding and quantizing of long arrays at the speed of memory. The oracle of every function is the slow obvious one of `formats`,
/// which it equals bit for bit on every instruction set; tests/property/quantize_kernels_test.cpp holds them to it.
///
/// Everything is `noexcept` and runs on the calling thread. Where `formats` refuses a value (NaN; infinity but for fixed point), the
/// functions here finish and return how many such values they saw; what they wrote for these means nothing.

/// Which draw of the stream belongs to an element.
enum class RoundDraw : std::uint8_t {
  block,  ///< Rng::uniform01(index), what Rounding::stochastic draws: three of four words of a block are thrown away
  word,   ///< Rng::word(index) * 2^-32: the same law at a quarter of the work, but other numbers
};

enum class RoundMode : std::uint8_t { nearest_even, nearest_down, stochastic };

/// dst[i] = the multiple of 2^-frac_bits that src[i] rounds to, saturated to `int_bits` (with sign): fixed-point values as floats.
/// Equation: (G3)-(G6) by mode, then (G8), then (G1). Element i draws with index first_index + i. In place where dst == src.
/// Exactness: bit for bit decode(convert(src[i])) of formats/fixed_point.h. Requires: 2 <= int_bits + frac_bits <= 24, so that every
/// value is a float; `rng` with `stochastic`. Returns: how many are NaN.
struct RoundCall {
  const float* src = nullptr;
  float* dst = nullptr;
  std::int64_t count = 0;
  int int_bits = 2;
  int frac_bits = 14;
  RoundMode mode = RoundMode::nearest_even;
  RoundDraw draw = RoundDraw::block;
  const Rng* rng = nullptr;
  std::uint64_t first_index = 0;
};
using RoundFunction = std::int64_t (*)(const RoundCall& call) noexcept;

/// One bucket of floats to codes.
struct EncodeCall {
  const float* src = nullptr;
  std::int32_t* codes = nullptr;
  std::int64_t count = 0;
};

/// codes = round_even(clamp((src - min) / scale * last, 0, last)), in double. Equation: (D4); a bucket that (D3) calls constant is the
/// caller's. Exactness: Uniform::encode with nearest_even.
struct UniformCall : EncodeCall {
  float scale = 1.0F;
  float min = 0.0F;
  std::int32_t last = 15;  ///< 2^bits - 1
};
using UniformFunction = std::int64_t (*)(const UniformCall& call) noexcept;

/// codes = 1 above the threshold, 2 below its negative, else 0. Equation: (T3). Exactness: Ternary::encode.
struct TernaryCall : EncodeCall {
  float threshold = 0.0F;
};
using TernaryFunction = std::int64_t (*)(const TernaryCall& call) noexcept;

/// codes = that of the nearest of 0 and +-2^n, exp_min <= n <= exp_max. Equation: (I4), (I5), (I12). Exactness: PowerOfTwo::encode.
struct PowerCall : EncodeCall {
  int exp_min = 0;
  int exp_max = 0;
};
using PowerFunction = std::int64_t (*)(const PowerCall& call) noexcept;

/// codes = how many midpoints are at most (src - min) / scale, in double. Equation: (D7). Exactness: Codebook::encode. Vectors up to 15
/// midpoints; a binary search for each value beyond.
struct CodebookCall : EncodeCall {
  float scale = 1.0F;
  float min = 0.0F;
  std::span<const double> midpoints;  ///< ascending
};
using CodebookFunction = std::int64_t (*)(const CodebookCall& call) noexcept;

/// Codes of 1 to 8 bits, code i in bits [i b, i b + b) of the bytes, least significant bit first; bits behind the last code are zero.
/// Exactness: pack_codes of formats/layout.h with unsigned_bits or signed_bits, which are the same when packing.
struct PackCall {
  int code_bits = 4;
  const std::int32_t* codes = nullptr;
  std::int64_t count = 0;
  std::byte* bytes = nullptr;
};
using PackFunction = void (*)(const PackCall& call) noexcept;

enum class CodeSign : std::uint8_t { unsigned_codes, twos_complement };

/// Reads back what packing wrote. Exactness: unpack_codes.
struct UnpackCall {
  int code_bits = 4;
  CodeSign sign = CodeSign::unsigned_codes;
  const std::byte* bytes = nullptr;
  std::int64_t count = 0;
  std::int32_t* codes = nullptr;
};
using UnpackFunction = void (*)(const UnpackCall& call) noexcept;

/// dst[i] = table[codes[i]]: codes as small integers. Requires: every code below `levels`.
struct LookupCall {
  const std::uint8_t* codes = nullptr;
  std::int64_t count = 0;
  const std::array<std::int8_t, 256>* table = nullptr;
  int levels = 256;  ///< fewer are found sooner: sixteen at a time
  std::int8_t* dst = nullptr;
};
using LookupFunction = void (*)(const LookupCall& call) noexcept;

/// All functions for one instruction set.
struct QuantizeKernel {
  Isa isa;
  std::string_view name;  ///< e.g. `quantize:avx512`
  RoundFunction round;
  UniformFunction uniform;
  TernaryFunction ternary;
  PowerFunction power;
  CodebookFunction codebook;
  PackFunction pack;
  UnpackFunction unpack;
  LookupFunction lookup;
};

/// All kernels of this build, slowest first.
[[nodiscard]] std::span<const QuantizeKernel> quantize_kernels() noexcept;
/// The fastest that may run on `isa`.
[[nodiscard]] const QuantizeKernel& select_quantize(Isa isa) noexcept;

}  // namespace bitwright
