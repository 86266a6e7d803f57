// SPDX-License-Identifier: Apache-2.0
// The loops once, for every instruction set that Highway compiles them for; kernels.inc says which of them are used.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/quantize/simd.cpp"
#include "bitwright/kernels/quantize/functions.h"

#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bitwright/kernels/leave_avx-inl.h"
#include "bitwright/kernels/lookup-inl.h"
#include "bitwright/kernels/philox-inl.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;
using I32 = hn::RebindToSigned<F32>;
using U32 = hn::RebindToUnsigned<F32>;
using F64 = hn::Repartition<double, F32>;
using VF = hn::Vec<F32>;
using VI = hn::Vec<I32>;
using VU = hn::Vec<U32>;
using VD = hn::Vec<F64>;

// Random words made at once: few, so that making them and waiting for memory take turns quickly.
constexpr std::int64_t kChunk = 128;
// How far ahead of what is rounded memory is asked for.
constexpr std::int64_t kAhead = 4096;
// What lies a page apart is read in turns, as memcpy does: one core gets more out of memory that way.
constexpr std::int64_t kPage = 4096 / sizeof(float);
constexpr std::int64_t kPages = 4;
// From this many elements on stores go past the caches, which such an array would only flush: no line is read before it is overwritten.
constexpr std::int64_t kStreamCount = std::int64_t{1} << 23;

template <typename Mask>
HWY_INLINE std::int64_t Count(Mask mask) {
  return static_cast<std::int64_t>(hn::CountTrue(F32(), mask));
}

struct Rounder {
  VF least, most, scale, step;
  RoundMode mode;
  int word_bits, frac_bits;

  explicit HWY_INLINE Rounder(const RoundCall& call)
      : mode(call.mode), word_bits(call.int_bits + call.frac_bits), frac_bits(call.frac_bits) {
    const F32 d;
    const float unit = std::ldexp(1.0F, -call.frac_bits);
    const float limit = std::ldexp(1.0F, call.int_bits - 1);
    least = hn::Set(d, -limit);
    most = hn::Set(d, limit - unit);
    scale = hn::Set(d, std::ldexp(1.0F, call.frac_bits));
    step = hn::Set(d, unit);
  }

  // Scaling by a power of two is exact, and after it |x| <= 2^23, so every operation below is exact too.
  HWY_INLINE VF Scaled(VF src) const { return hn::Mul(hn::Min(hn::Max(src, least), most), scale); }
  // The product is exact; adding 0 makes -0 the code 0.
  HWY_INLINE VF Value(VF whole) const { return hn::MulAdd(whole, step, hn::Zero(F32())); }

  HWY_INLINE VF NearestEven(VF src) const { return Value(hn::Round(Scaled(src))); }

  HWY_INLINE VF NearestDown(VF src) const {
    const F32 d;
    const VF x = Scaled(src);
    const VF whole = hn::Trunc(x);
    const VF fraction = hn::Sub(x, whole);
    const VF up = hn::IfThenElseZero(hn::Gt(fraction, hn::Set(d, 0.5F)), hn::Set(d, 1.0F));
    const VF down = hn::IfThenElseZero(hn::Le(fraction, hn::Set(d, -0.5F)), hn::Set(d, -1.0F));
    return Value(hn::Add(whole, hn::Add(up, down)));
  }

#if HWY_TARGET == HWY_AVX3
  // Whether `StochasticFromNearest` may stand for `Stochastic`: adding its constant must leave whole numbers, and no power of two that it
  // uses may leave float32.
  [[nodiscard]] HWY_INLINE bool TakesNearest() const { return word_bits <= 23 && frac_bits >= -64 && frac_bits <= 64; }

  // `Stochastic` in fewer instructions: from the nearest whole number n instead of the one toward zero. Everything is 2^32 times as large,
  // so that the rest r = x - n, within [-1/2, 1/2], is 2^32 r at once, which converts with a sign, and rounding up comes with converting.
  // Above n it goes up where R < ceil(2^32 r), as before. Below n, which is above n - 1 by 1 - r', r' = -r: the fraction toward zero is
  // 1 - r' for x > 0, up where R < 2^32 - floor(2^32 r'), so down from n where 2^32 - 1 - R < floor(2^32 r'); and for x < 0 it is -r', down
  // by the same condition. 2^31, which signed integers lack, becomes -2^31, whose magnitude without a sign is right.
  HWY_INLINE VF StochasticFromNearest(VF src, VU random) const {
    const F32 d;
    const I32 di;
    const U32 du;
    const VF scale32 = hn::Mul(scale, hn::Set(d, 0x1p32F));
    const VF whole_numbers = hn::Set(d, 0x1.8p55F);
    const VF x = hn::Min(hn::Max(src, least), most);
    const VF nearest = hn::Sub(hn::MulAdd(x, scale32, whole_numbers), whole_numbers);
    const VF rest = hn::MulSub(x, scale32, nearest);
    const VI next{_mm512_cvt_roundps_epi32(rest.raw, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)};
    const VU reach = hn::BitCast(du, hn::Abs(next));
    const VU drawn = hn::Xor(random, hn::BitCast(du, hn::ShiftRight<31>(hn::BitCast(di, rest))));
    const VF one = hn::CopySign(hn::Set(d, 0x1p32F), rest);
    const VF whole{_mm512_mask_add_ps(nearest.raw, _mm512_cmplt_epu32_mask(drawn.raw, reach.raw), nearest.raw, one.raw)};
    return hn::MulAdd(whole, hn::Mul(step, hn::Set(d, 0x1p-32F)), hn::Zero(d));
  }
#else
  [[nodiscard]] HWY_INLINE bool TakesNearest() const { return false; }
  HWY_INLINE VF StochasticFromNearest(VF src, VU random) const { return Stochastic(src, random); }
#endif

  // With u = R / 2^32 and g = |fraction| * 2^32, exact in float32: a fraction above zero goes up where u < fraction, that is
  // R < ceil(g); one below zero goes down where u - 1 >= fraction, that is 2^32 - 1 - R < floor(g).
  HWY_INLINE VF Stochastic(VF src, VU random) const {
    const F32 d;
    const I32 di;
    const U32 du;
    const VF x = Scaled(src);
    const VF whole = hn::Trunc(x);
    const VF fraction = hn::Sub(x, whole);
#if HWY_TARGET == HWY_AVX3
    // ceil(g) and -floor(|g|) are both the next integer above, and their magnitudes convert to 32 bits without a sign.
    const VF next = hn::Ceil(hn::Mul(fraction, hn::Set(d, 0x1p32F)));
    const VU reach{_mm512_cvtps_epu32(hn::Abs(next).raw)};
    const VU drawn = hn::Xor(random, hn::BitCast(du, hn::ShiftRight<31>(hn::BitCast(di, fraction))));
    const VF one = hn::CopySign(hn::Set(d, 1.0F), fraction);
    return Value(VF{_mm512_mask_add_ps(whole.raw, _mm512_cmplt_epu32_mask(drawn.raw, reach.raw), whole.raw, one.raw)});
#else
    const auto is_negative = hn::Lt(fraction, hn::Zero(d));
    const VF g = hn::Mul(hn::Abs(fraction), hn::Set(d, 0x1p32F));
    const VF bound = hn::IfThenElse(is_negative, hn::Floor(g), hn::Ceil(g));
    // Conversion is signed; 2^32 less is the same 32 bits.
    const VF wrapped = hn::IfThenElse(hn::Ge(bound, hn::Set(d, 0x1p31F)), hn::Sub(bound, hn::Set(d, 0x1p32F)), bound);
    const VU limit = hn::BitCast(du, hn::ConvertTo(di, wrapped));
    const VU draw = hn::Xor(random, hn::BitCast(du, hn::IfThenElseZero(is_negative, hn::BitCast(d, hn::Set(du, ~0U)))));
    const auto moves = hn::MaskFromVec(hn::BitCast(d, hn::VecFromMask(du, hn::Lt(draw, limit))));
    const VF away = hn::IfThenElseZero(moves, hn::IfThenElse(is_negative, hn::Set(d, -1.0F), hn::Set(d, 1.0F)));
    return Value(hn::Add(whole, away));
#endif
  }
};

// Calls make(i, src) -> dst for every vector; what is beyond the end is computed on zeros and thrown away. Returns how many are NaN.
template <typename Make>
HWY_INLINE std::int64_t ForVectors(const RoundCall& call, std::int64_t begin, std::int64_t end, std::int64_t streamed, const Make& make) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t nan = 0;
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    const VF src = hn::LoadU(d, call.src + i);
    const auto is_nan = hn::IsNaN(src);
    if (HWY_UNLIKELY(!hn::AllFalse(d, is_nan))) nan += Count(is_nan);
    const VF dst = make(i, src);
    if (streamed != 0) {
      hn::Stream(dst, d, call.dst + i);
    } else {
      hn::StoreU(dst, d, call.dst + i);
    }
  }
  if (i < end) {
    HWY_ALIGN float rest[16] = {};
    std::copy(call.src + i, call.src + end, rest);
    const VF src = hn::Load(d, rest);
    nan += Count(hn::IsNaN(src));
    hn::Store(make(i, src), d, rest);
    std::copy(rest, rest + (end - i), call.dst + i);
  }
  return nan;
}

// Makes kChunk words from a block's beginning on and returns where among them R of element `index` stands: at most three behind the first.
HWY_INLINE const std::uint32_t* Draw(const RoundCall& call, std::uint64_t index, std::uint32_t* HWY_RESTRICT words) {
  if (call.draw == RoundDraw::block) {
    philox::FillFirstWords(index, *call.rng, kChunk, words);
    return words;
  }
  philox::FillWords(index / 4, *call.rng, kChunk / 4, words);
  return words + index % 4;
}

// ForVectors for an array that goes past the caches: `begin` is where dst is aligned.
template <typename Make>
HWY_INLINE std::int64_t ForPages(const RoundCall& call, std::int64_t begin, std::int64_t end, const Make& make) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t nan = 0;
  std::int64_t i = begin;
  for (; i + kPages * kPage <= end; i += kPages * kPage) {
    for (std::int64_t line = i; line < i + kPage; line += lanes) {
      HWY_UNROLL(4)
      for (std::int64_t page = 0; page < kPages; ++page) {
        const std::int64_t at = line + page * kPage;
        const VF src = hn::LoadU(d, call.src + at);
        const auto is_nan = hn::IsNaN(src);
        if (HWY_UNLIKELY(!hn::AllFalse(d, is_nan))) nan += Count(is_nan);
        hn::Stream(make(at, src), d, call.dst + at);
      }
    }
  }
  return nan + ForVectors(call, i, end, 1, make);
}

std::int64_t Round(const RoundCall& call) {
  const Rounder rounder(call);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  // The vectors in front of the first aligned one are stored as usual.
  const auto misplaced = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(call.dst) / sizeof(float)) % lanes;
  const std::int64_t head = std::min(call.count, (lanes - misplaced) % lanes);
  const std::int64_t streamed = call.count >= kStreamCount && call.src != call.dst ? 1 : 0;
  std::int64_t nan = 0;
  const auto in_two = [&](const auto& make) HWY_ATTR {
    if (streamed == 0) {
      nan += ForVectors(call, 0, call.count, 0, make);
    } else {
      nan += ForVectors(call, 0, head, 0, make);
      nan += ForPages(call, head, call.count, make);
    }
  };
  if (call.mode == RoundMode::nearest_even) {
    in_two([&](std::int64_t, VF src) HWY_ATTR { return rounder.NearestEven(src); });
  } else if (call.mode == RoundMode::nearest_down) {
    in_two([&](std::int64_t, VF src) HWY_ATTR { return rounder.NearestDown(src); });
  } else {
    HWY_ALIGN std::uint32_t words[kChunk];
    const std::uint32_t* draws = words;
    std::int64_t first = 0;
    // Whole vectors of words behind those that the first element may have to skip.
    const std::int64_t step =
        call.draw == RoundDraw::word && (call.first_index + static_cast<std::uint64_t>(head)) % 4 != 0 ? kChunk - 16 : kChunk;
    const auto in_chunks = [&](const auto& stochastic) HWY_ATTR {
      const auto make = [&](std::int64_t i, VF src) HWY_ATTR {
        hwy::Prefetch(call.src + i + kAhead);  // may be beyond the end: that is no access
        return stochastic(src, hn::LoadU(U32(), draws + (i - first)));
      };
      while (first < call.count) {
        draws = Draw(call, call.first_index + static_cast<std::uint64_t>(first), words);
        const std::int64_t end = std::min(call.count, first == 0 && head > 0 ? head : first + step);
        nan += ForVectors(call, first, end, streamed != 0 && first >= head ? 1 : 0, make);
        first = end;
      }
    };
    if (rounder.TakesNearest()) {
      in_chunks([&](VF src, VU random) HWY_ATTR { return rounder.StochasticFromNearest(src, random); });
    } else {
      in_chunks([&](VF src, VU random) HWY_ATTR { return rounder.Stochastic(src, random); });
    }
  }
  if (streamed != 0) hwy::FlushStream();
  LeaveAvx();
  return nan;
}

// Calls code(src) -> codes for every vector. Returns how many values are not finite.
template <typename Code>
HWY_INLINE std::int64_t Encode(const EncodeCall& call, const Code& code) {
  const F32 d;
  const I32 di;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t not_finite = 0;
  const auto count_bad = [&](VF src) HWY_ATTR {
    const auto is_finite = hn::IsFinite(src);
    if (HWY_UNLIKELY(!hn::AllTrue(d, is_finite))) not_finite += lanes - Count(is_finite);
    return hn::IfThenElseZero(is_finite, src);
  };
  std::int64_t i = 0;
  for (; i + lanes <= call.count; i += lanes) hn::StoreU(code(count_bad(hn::LoadU(d, call.src + i))), di, call.codes + i);
  if (i < call.count) {
    HWY_ALIGN float rest[16] = {};
    HWY_ALIGN std::int32_t codes[16];
    std::copy(call.src + i, call.src + call.count, rest);
    hn::Store(code(count_bad(hn::Load(d, rest))), di, codes);
    std::copy(codes, codes + (call.count - i), call.codes + i);
  }
  LeaveAvx();
  return not_finite;
}

// both(x) on the lower and upper half of src as doubles; returns the codes that it gives, as doubles, joined.
template <typename Both>
HWY_INLINE VI InDoubles(VF src, const Both& both) {
  const F64 d64;
  const hn::Half<F32> half;
  const hn::Half<I32> half_int;
  const auto low = hn::DemoteTo(half_int, both(hn::PromoteTo(d64, hn::LowerHalf(half, src))));
  const auto high = hn::DemoteTo(half_int, both(hn::PromoteTo(d64, hn::UpperHalf(half, src))));
  return hn::Combine(I32(), high, low);
}

std::int64_t EncodeUniform(const UniformCall& call) {
  const F64 d;
  const VD min = hn::Set(d, static_cast<double>(call.min));
  const VD scale = hn::Set(d, static_cast<double>(call.scale));
  const VD last = hn::Set(d, static_cast<double>(call.last));
  return Encode(call, [&](VF src) HWY_ATTR {
    return InDoubles(src, [&](VD x) HWY_ATTR {
      const VD scaled = hn::Mul(hn::Div(hn::Sub(x, min), scale), last);
      return hn::Round(hn::Min(hn::Max(scaled, hn::Zero(F64())), last));
    });
  });
}

std::int64_t EncodeTernary(const TernaryCall& call) {
  const F32 d;
  const I32 di;
  const VF threshold = hn::Set(d, call.threshold);
  const VF negative = hn::Set(d, -call.threshold);
  return Encode(call, [&](VF src) HWY_ATTR {
    const VF one = hn::IfThenElseZero(hn::Gt(src, threshold), hn::BitCast(F32(), hn::Set(I32(), 1)));
    const VF two = hn::IfThenElseZero(hn::Lt(src, negative), hn::BitCast(F32(), hn::Set(I32(), 2)));
    return hn::Or(hn::BitCast(di, one), hn::BitCast(di, two));
  });
}

std::int64_t EncodePower(const PowerCall& call) {
  const I32 di;
  const auto lowest = static_cast<float>(std::ldexp(1.0, call.exp_min - 1));
  std::int32_t threshold = 0;
  std::memcpy(&threshold, &lowest, sizeof(threshold));
  return Encode(call, [&](VF src) HWY_ATTR {
    const I32 d;
    const VI bits = hn::BitCast(di, src);
    const VI magnitude = hn::And(bits, hn::Set(d, 0x7FFFFFFF));
    // A mantissa from 1.5 on belongs to the next power.
    const VI rounded = hn::ShiftRight<23>(hn::Add(magnitude, hn::Set(d, 0x00400000)));
    const VI exponent = hn::Min(hn::Max(hn::Sub(rounded, hn::Set(d, 127)), hn::Set(d, call.exp_min)), hn::Set(d, call.exp_max));
    const VI sign = hn::BitCast(di, hn::ShiftRight<31>(hn::BitCast(U32(), bits)));
    const VI code = hn::Add(hn::Add(hn::ShiftLeft<1>(hn::Sub(exponent, hn::Set(d, call.exp_min))), hn::Set(d, 1)), sign);
    return hn::IfThenElseZero(hn::Gt(magnitude, hn::Set(d, threshold - 1)), code);
  });
}

std::int64_t EncodeCodebook(const CodebookCall& call) {
  if (call.midpoints.size() > 15) return quantize_codebook__scalar(call);
  const F64 d;
  const VD min = hn::Set(d, static_cast<double>(call.min));
  const VD scale = hn::Set(d, static_cast<double>(call.scale));
  return Encode(call, [&](VF src) HWY_ATTR {
    return InDoubles(src, [&](VD x) HWY_ATTR {
      const F64 d64;
      const VD scaled = hn::Div(hn::Sub(x, min), scale);
      VD count = hn::Zero(d64);
      for (const double midpoint : call.midpoints) {
        count = hn::Add(count, hn::IfThenElseZero(hn::Ge(scaled, hn::Set(d64, midpoint)), hn::Set(d64, 1.0)));
      }
      return count;
    });
  });
}

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
// Eight codes are `code_bits` bytes: gathered from, and spread over, the bytes of one word in one instruction.
void Pack(const PackCall& call) {
  const hn::CappedTag<std::int32_t, 8> d;
  const hn::Rebind<std::uint8_t, decltype(d)> d8;
  const std::uint64_t mask = ((std::uint64_t{1} << call.code_bits) - 1) * 0x0101010101010101ULL;
  const std::int64_t total = (call.count * call.code_bits + 7) / 8;
  const auto low_byte = hn::Set(d, 0xFF);
  std::int64_t i = 0;
  // Eight bytes are written at once, the last of them only to be overwritten.
  for (std::byte* to = call.bytes; i + 8 <= call.count && i / 8 * call.code_bits + 8 <= total; i += 8, to += call.code_bits) {
    alignas(8) std::uint8_t bytes[8];
    hn::Store(hn::DemoteTo(d8, hn::And(hn::LoadU(d, call.codes + i), low_byte)), d8, bytes);
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    word = _pext_u64(word, mask);
    std::memcpy(to, &word, sizeof(word));
  }
  LeaveAvx();
  quantize_pack__scalar(
      {.code_bits = call.code_bits, .codes = call.codes + i, .count = call.count - i, .bytes = call.bytes + i / 8 * call.code_bits});
}

void Unpack(const UnpackCall& call) {
  const hn::CappedTag<std::int32_t, 8> d;
  const hn::Rebind<std::uint8_t, decltype(d)> d8;
  const std::uint64_t mask = ((std::uint64_t{1} << call.code_bits) - 1) * 0x0101010101010101ULL;
  const std::int64_t total = (call.count * call.code_bits + 7) / 8;
  const auto sign = hn::Set(d, call.sign == CodeSign::twos_complement ? 1 << (call.code_bits - 1) : 0);
  std::int64_t i = 0;
  for (const std::byte* from = call.bytes; i + 8 <= call.count && i / 8 * call.code_bits + 8 <= total; i += 8, from += call.code_bits) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof(word));
    word = _pdep_u64(word, mask);
    alignas(8) std::uint8_t bytes[8];
    std::memcpy(bytes, &word, sizeof(word));
    hn::StoreU(hn::Sub(hn::Xor(hn::PromoteTo(d, hn::Load(d8, bytes)), sign), sign), d, call.codes + i);
  }
  LeaveAvx();
  quantize_unpack__scalar({.code_bits = call.code_bits,
                           .sign = call.sign,
                           .bytes = call.bytes + i / 8 * call.code_bits,
                           .count = call.count - i,
                           .codes = call.codes + i});
}
#else
// Without an instruction that gathers bits, vectors have nothing to offer.
void Pack(const PackCall& call) { quantize_pack__scalar(call); }
void Unpack(const UnpackCall& call) { quantize_unpack__scalar(call); }
#endif

// kParts tables of sixteen: each answers for its own codes and gives 0 for all others.
template <int kParts>
HWY_INLINE std::int64_t LookupParts(const LookupCall& call) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto* table = reinterpret_cast<const std::uint8_t*>(call.table->data());
  hn::Vec<decltype(d)> parts[kParts];
  for (int p = 0; p < kParts; ++p) parts[p] = hn::LoadDup128(d, table + 16 * p);
  std::int64_t i = 0;
  for (; i + lanes <= call.count; i += lanes) {
    const auto code = hn::LoadU(d, call.codes + i);
    auto found = hn::Zero(d);
    for (int p = 0; p < kParts; ++p) found = hn::Or(found, LookupPart(parts[p], code, p));
    hn::StoreU(found, d, reinterpret_cast<std::uint8_t*>(call.dst) + i);
  }
  return i;
}

void Lookup(const LookupCall& call) {
  const std::int64_t done = call.levels <= 16   ? LookupParts<1>(call)
                            : call.levels <= 32 ? LookupParts<2>(call)
                            : call.levels <= 64 ? LookupParts<4>(call)
                                                : 0;  // beyond, vectors are no faster
  LeaveAvx();
  LookupCall rest = call;
  rest.codes += done;
  rest.dst += done;
  rest.count -= done;
  quantize_lookup__scalar(rest);
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(isa, target)                                                                               \
  std::int64_t quantize_round__##isa(const RoundCall& call) noexcept { return target::Round(call); }                \
  std::int64_t quantize_uniform__##isa(const UniformCall& call) noexcept { return target::EncodeUniform(call); }    \
  std::int64_t quantize_ternary__##isa(const TernaryCall& call) noexcept { return target::EncodeTernary(call); }    \
  std::int64_t quantize_power__##isa(const PowerCall& call) noexcept { return target::EncodePower(call); }          \
  std::int64_t quantize_codebook__##isa(const CodebookCall& call) noexcept { return target::EncodeCodebook(call); } \
  void quantize_pack__##isa(const PackCall& call) noexcept { target::Pack(call); }                                  \
  void quantize_unpack__##isa(const UnpackCall& call) noexcept { target::Unpack(call); }                            \
  void quantize_lookup__##isa(const LookupCall& call) noexcept { target::Lookup(call); }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(sse4, N_SSE4)
BITWRIGHT_DEFINE(avx2, N_AVX2)
BITWRIGHT_DEFINE(avx512, N_AVX3)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(neon, N_NEON)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
