// SPDX-License-Identifier: Apache-2.0
// The algorithm once, for every instruction set that Highway compiles it for; kernels.inc says which of them are used.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bitwright/kernels/gemv_packed/simd.cpp"
#include "bitwright/kernels/gemv_packed/functions.h"

#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "bitwright/kernels/leave_avx-inl.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_SSSE3  // compiled for every baseline, wanted for none of these
HWY_BEFORE_NAMESPACE();
namespace bitwright {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: one block of outputs. Narrower vectors take 2 or 4 steps per block.
using F32 = hn::CappedTag<float, 16>;
using U32 = hn::RebindToUnsigned<F32>;
using I32 = hn::RebindToSigned<F32>;
using VF = hn::Vec<F32>;
using VU = hn::Vec<U32>;

constexpr std::int64_t kGroup = kGemvPackedGroup;
constexpr std::int64_t kAheadLines = 16;  // asked for before they are read; the processor's own prefetching begins anew in every page of 4 KB
constexpr std::int64_t kJointTile = 64;  // at most, as GemvPackedWeights cuts them

// How a code becomes what is added.
enum class Path : std::uint8_t {
  joint,   // a term of several inputs, looked up in a table made for these activations
  plain,   // a value, times one activation
  scaled,  // minimum + scale * value, times one activation
};

// Values of the codes in the lowest kBits bits of each lane; higher bits may hold anything.
#if HWY_TARGET == HWY_AVX3
template <int kBits>
HWY_INLINE VF Lookup(const float* table, VU codes) {
  const F32 d;
  // Both instructions ignore the bits they do not need, which saves masking.
  if constexpr (kBits <= 4) return VF{_mm512_permutexvar_ps(codes.raw, hn::Load(d, table).raw)};
  if constexpr (kBits == 5) return VF{_mm512_permutex2var_ps(hn::Load(d, table).raw, codes.raw, hn::Load(d, table + 16).raw)};
  return hn::GatherIndex(d, table, hn::BitCast(I32(), hn::And(codes, hn::Set(U32(), (1U << kBits) - 1U))));
}
#elif HWY_TARGET == HWY_AVX2
template <int kBits>
HWY_INLINE VF Lookup(const float* table, VU codes) {
  const F32 d;
  const auto part = [table, codes](int i) HWY_ATTR { return VF{_mm256_permutevar8x32_ps(hn::Load(F32(), table + 8 * i).raw, codes.raw)}; };
  if constexpr (kBits <= 3) return part(0);
  if constexpr (kBits <= 5) {
    // The blend looks at the sign bit alone, so shifting bit 3 (or 4) there is the whole comparison.
    const auto bit3 = hn::MaskFromVec(hn::BitCast(d, hn::ShiftLeft<28>(codes)));
    const VF low = hn::IfThenElse(bit3, part(1), part(0));
    if constexpr (kBits == 4) return low;
    const VF high = hn::IfThenElse(bit3, part(3), part(2));
    return hn::IfThenElse(hn::MaskFromVec(hn::BitCast(d, hn::ShiftLeft<27>(codes))), high, low);
  }
  return hn::GatherIndex(d, table, hn::BitCast(I32(), hn::And(codes, hn::Set(U32(), (1U << kBits) - 1U))));
}
#else
template <int kBits>
HWY_INLINE VF Lookup(const float* table, VU codes) {
  return hn::GatherIndex(F32(), table, hn::BitCast(I32(), hn::And(codes, hn::Set(U32(), (1U << kBits) - 1U))));
}
#endif

// Unrolled where a lookup is an instruction or two; under a sanitizer, whose checks multiply the code, never.
#undef BITWRIGHT_UNROLL_PLACES
#if (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2) && !defined(BITWRIGHT_SANITIZED)
#define BITWRIGHT_UNROLL_PLACES 1
#else
#define BITWRIGHT_UNROLL_PLACES 0
#endif

#if BITWRIGHT_UNROLL_PLACES
template <typename Step, std::size_t... kPlaces>
HWY_INLINE void ForEach(const Step& step, std::index_sequence<kPlaces...>) {
  (step(std::integral_constant<int, static_cast<int>(kPlaces)>(), std::integral_constant<int, kPlaces % 2>()), ...);
}
// Calls step(place, place % 2) for all places of a group, all of them constants.
template <typename Step>
HWY_INLINE void ForEachPlace(const Step& step) {
  ForEach(step, std::make_index_sequence<kGroup>());
}
// Code `place` of a group in the lowest bits, anything above them. `words` points at this lane of the group's first line.
template <int kBits, int kPlace>
HWY_INLINE VU Code(const std::uint32_t* words, std::integral_constant<int, kPlace>) {
  const U32 d;
  constexpr int kWord = kBits * kPlace / 32;
  constexpr int kOffset = kBits * kPlace % 32;
  const VU low = hn::Load(d, words + 16 * kWord);
  if constexpr (kOffset == 0) return low;
  if constexpr (kOffset + kBits <= 32) return hn::ShiftRight<kOffset>(low);
  return hn::Or(hn::ShiftRight<kOffset>(low), hn::ShiftLeft<32 - kOffset>(hn::Load(d, words + 16 * (kWord + 1))));
}
#else
// In a loop: where lookups come from memory they take the time, and unrolled they would be megabytes of code.
template <typename Step>
HWY_INLINE void ForEachPlace(const Step& step) {
  for (int place = 0; place < static_cast<int>(kGroup); place += 2) {
    step(place, std::integral_constant<int, 0>());
    step(place + 1, std::integral_constant<int, 1>());
  }
}
template <int kBits>
HWY_INLINE VU Code(const std::uint32_t* words, int place) {
  const U32 d;
  const int word = kBits * place / 32;
  const int offset = kBits * place % 32;
  const VU low = hn::ShiftRightSame(hn::Load(d, words + 16 * word), offset);
  if (offset + kBits <= 32) return low;
  return hn::Or(low, hn::ShiftLeftSame(hn::Load(d, words + 16 * (word + 1)), 32 - offset));
}
#endif

// Keeps additions where they are written: GCC 12 would first look up all codes of a group and park them on the stack.
HWY_INLINE void AddNow(VF& sum) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  asm volatile("" : "+v"(sum.raw));
#else
  (void)sum;
#endif
}

HWY_INLINE VF LoadOutputs(const float* from, std::int64_t count) {
  const F32 d;
  if (count >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::LoadU(d, from);
  HWY_ALIGN float lanes[16] = {};
  for (std::int64_t l = 0; l < count; ++l) lanes[l] = from[l];
  return hn::Load(d, lanes);
}

HWY_INLINE void StoreOutputs(VF values, float* to, std::int64_t count) {
  const F32 d;
  if (count >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::StoreU(values, d, to);
  HWY_ALIGN float lanes[16];
  hn::Store(values, d, lanes);
  for (std::int64_t l = 0; l < count; ++l) to[l] = lanes[l];
}

// What a tile reads beside the codes: of image n, 32 activations (plain, scaled) or tables (joint) per group.
struct TileInputs {
  const float* x = nullptr;  // whole groups of image n begin at x + n * stride
  std::int64_t stride = 0;
  std::int64_t whole_groups = 0;
  const float* rest = nullptr;    // the last group where it is not whole, kGroup per image, filled up with zeros
  const float* tables = nullptr;  // table of tuple u and image n at (u * batch + n) << bits
  std::int64_t groups = 0;
};

struct Tile {
  const GemvPackedView* weights = nullptr;
  const float* bias = nullptr;
  GemvResults y;
  std::int64_t number = 0;
};

// kVectors vectors of outputs, `apart` vectors from each other, kBatch images: each code is read once and used kBatch times.
template <Path kPath, int kBits, int kBatch, int kVectors>
HWY_INLINE void MultiplyVectors(const Tile& tile, const TileInputs& in, std::int64_t first_vector, std::int64_t apart) {
  const F32 d;
  const GemvPackedView& weights = *tile.weights;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t per_block = kGemvPackedBlockOutputs / lanes;
  const std::uint32_t* words[kVectors];
  VF scale[kVectors];
  VF least[kVectors];
  VF sums[kVectors][kBatch][2];
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t vector = first_vector + v * apart;
    const std::int64_t place = tile.number * weights.blocks + vector / per_block;
    const std::int64_t lane = vector % per_block * lanes;
    words[v] = weights.lines[place * weights.lines_per_tile].lane.data() + lane;
    if constexpr (kPath == Path::scaled) {
      scale[v] = hn::Load(d, weights.scales[place].scale.data() + lane);
      least[v] = hn::Load(d, weights.scales[place].min.data() + lane);
    }
    const std::int64_t count = std::min(lanes, weights.outputs - vector * lanes);
    HWY_UNROLL(8)
    for (int n = 0; n < kBatch; ++n) {
      sums[v][n][0] = tile.number == 0 ? hn::Zero(d) : LoadOutputs(tile.y.values + n * tile.y.stride + vector * lanes, count);
      sums[v][n][1] = hn::Zero(d);
    }
  }
  for (std::int64_t g = 0; g < in.groups; ++g) {
    const bool is_whole = g < in.whole_groups;
    const float* at = kPath == Path::joint ? in.tables + ((g * kGroup * kBatch) << kBits) : is_whole ? in.x + g * kGroup : in.rest;
    const std::int64_t stride = is_whole ? in.stride : kGroup;
    const auto add = [&](auto place, auto sum) HWY_ATTR __attribute__((always_inline)) {
      constexpr int kSum = decltype(sum)::value;
      if constexpr (kPath == Path::joint) {
        HWY_UNROLL(8)
        for (int v = 0; v < kVectors; ++v) {
          const VU codes = Code<kBits>(words[v], place);
          HWY_UNROLL(8)
          for (int n = 0; n < kBatch; ++n) {
            sums[v][n][kSum] = hn::Add(sums[v][n][kSum], Lookup<kBits>(at + ((place * kBatch + n) << kBits), codes));
            AddNow(sums[v][n][kSum]);
          }
        }
      } else {
        VF values[kVectors];
        HWY_UNROLL(8)
        for (int v = 0; v < kVectors; ++v) {
          values[v] = Lookup<kBits>(weights.table->value.data(), Code<kBits>(words[v], place));
          if constexpr (kPath == Path::scaled) values[v] = hn::Add(least[v], hn::Mul(scale[v], values[v]));
        }
        HWY_UNROLL(8)
        for (int n = 0; n < kBatch; ++n) {
          const VF activation = hn::Set(d, at[n * stride + place]);
          HWY_UNROLL(8)
          for (int v = 0; v < kVectors; ++v) {
            sums[v][n][kSum] = hn::MulAdd(values[v], activation, sums[v][n][kSum]);
            AddNow(sums[v][n][kSum]);
          }
        }
      }
    };
    ForEachPlace(add);
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) {
      words[v] += 16 * kBits;
      // Joint codes are few bits in many streams, which the processor sees through by itself.
      if constexpr (kPath != Path::joint) {
        HWY_UNROLL(8)
        for (int l = 0; l < kBits; ++l) hwy::Prefetch(words[v] + 16 * (kAheadLines + l));  // beyond the end it is no access
      }
    }
  }
  const bool is_last = tile.number + 1 == weights.tiles;
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t first = (first_vector + v * apart) * lanes;
    const std::int64_t count = std::min(lanes, weights.outputs - first);
    if (count <= 0) continue;
    VF bias = hn::Zero(d);
    if (is_last && tile.bias != nullptr) bias = LoadOutputs(tile.bias + first, count);
    HWY_UNROLL(8)
    for (int n = 0; n < kBatch; ++n) {
      VF sum = hn::Add(sums[v][n][0], sums[v][n][1]);
      if (is_last) sum = hn::Add(sum, bias);
      StoreOutputs(sum, tile.y.values + n * tile.y.stride + first, count);
    }
  }
}

// As many vectors at once as hide the latency of an addition without leaving the registers. They lie far apart, so that memory is read in
// several streams: one core gets more out of it that way.
template <Path kPath, int kBatch>
constexpr int vectors_at_once() {
#if HWY_TARGET == HWY_AVX3
  if (kPath == Path::joint) return kBatch == 1 ? 8 : kBatch == 4 ? 2 : 1;
  return kBatch == 1 ? 4 : kBatch == 4 ? 2 : 1;
#else
  return kBatch == 1 ? 2 : 1;
#endif
}

template <Path kPath, int kBits, int kBatch>
HWY_NOINLINE void MultiplyTile(const Tile& tile, const TileInputs& in, GemvBlockRange blocks) {
  constexpr int kVectors = vectors_at_once<kPath, kBatch>();
  const std::int64_t per_block = kGemvPackedBlockOutputs / static_cast<std::int64_t>(hn::Lanes(F32()));
  const std::int64_t end = blocks.end * per_block;
  std::int64_t vector = blocks.begin * per_block;
  const std::int64_t apart = (end - vector) / kVectors;
  for (std::int64_t i = 0; i < apart; ++i) MultiplyVectors<kPath, kBits, kBatch, kVectors>(tile, in, vector + i, apart);
  for (vector += kVectors * apart; vector < end; ++vector) MultiplyVectors<kPath, kBits, kBatch, 1>(tile, in, vector, 0);
}

// tables: term(n, t, e) of every tuple of the tile; zeros for tuples beyond the end.
template <int kBits>
HWY_INLINE void MakeTables(const GemvPackedView& weights, const GemvActivations& x, int batch, std::int64_t first_tuple, std::int64_t count,
                           float* tables) {
  const F32 d;
  const auto lanes = static_cast<int>(hn::Lanes(d));
  for (std::int64_t u = 0; u < count; ++u) {
    for (int n = 0; n < batch; ++n) {
      float* to = tables + ((u * batch + n) << kBits);
      const std::int64_t first = (first_tuple + u) * weights.tuple;
      for (int e = 0; e < 1 << kBits; e += lanes) {
        VF term = hn::Zero(d);
        for (int k = 0; k < weights.tuple; ++k) {
          const VF activation = hn::Set(d, first + k < weights.inputs ? x.values[n * x.stride + first + k] : 0.0F);
          const VF product = hn::Mul(hn::Load(d, weights.table->digit[static_cast<std::size_t>(k)].data() + e), activation);
          term = k == 0 ? product : hn::Add(term, product);
        }
        hn::Store(term, d, to + e);
      }
    }
  }
}

template <int kBits, int kBatch>
HWY_NOINLINE void MultiplyJoint(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                                GemvBlockRange blocks) {
  HWY_ALIGN float tables[(kJointTile * kBatch) << kBits];
  const std::int64_t tuples = (weights.inputs + weights.tuple - 1) / weights.tuple;
  for (std::int64_t number = 0; number < weights.tiles; ++number) {
    const std::int64_t first = number * weights.tile_tuples;
    const std::int64_t groups = (std::min(weights.tile_tuples, tuples - first) + kGroup - 1) / kGroup;
    MakeTables<kBits>(weights, x, kBatch, first, groups * kGroup, tables);
    MultiplyTile<Path::joint, kBits, kBatch>({.weights = &weights, .bias = bias, .y = y, .number = number},
                                             {.tables = tables, .groups = groups}, blocks);
  }
}

template <Path kPath, int kBits, int kBatch>
HWY_NOINLINE void MultiplySingle(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                                 GemvBlockRange blocks) {
  float rest[kBatch * kGroup];
  for (std::int64_t number = 0; number < weights.tiles; ++number) {
    const std::int64_t first = number * weights.tile_tuples;
    const std::int64_t count = std::min(weights.tile_tuples, weights.inputs - first);
    const std::int64_t whole = count / kGroup;
    if (count % kGroup != 0) {
      for (int n = 0; n < kBatch; ++n) {
        for (std::int64_t i = 0; i < kGroup; ++i) {
          rest[n * kGroup + i] = whole * kGroup + i < count ? x.values[n * x.stride + first + whole * kGroup + i] : 0.0F;
        }
      }
    }
    MultiplyTile<kPath, kBits, kBatch>(
        {.weights = &weights, .bias = bias, .y = y, .number = number},
        {.x = x.values + first, .stride = x.stride, .whole_groups = whole, .rest = rest, .groups = (count + kGroup - 1) / kGroup}, blocks);
  }
}

// The images in parts of the given sizes, the last of which is 1.
template <typename Multiply, int... kParts>
HWY_INLINE void InParts(const GemvActivations& x, const GemvResults& y, const Multiply& multiply, std::integer_sequence<int, kParts...>) {
  std::int64_t n = 0;
  const auto part = [&](auto count) HWY_ATTR {
    for (; x.batch - n >= count; n += count) {
      multiply(count, GemvActivations{.values = x.values + n * x.stride, .batch = count, .stride = x.stride},
               GemvResults{.values = y.values + n * y.stride, .stride = y.stride});
    }
  };
  (part(std::integral_constant<int, kParts>()), ...);
}

template <Path kPath, int kBits>
void MultiplyBatch(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                   GemvBlockRange blocks) {
  const auto multiply = [&](auto count, const GemvActivations& some_x, const GemvResults& some_y) HWY_ATTR {
    if constexpr (kPath == Path::joint) {
      MultiplyJoint<kBits, count>(weights, bias, some_x, some_y, blocks);
    } else {
      MultiplySingle<kPath, kBits, count>(weights, bias, some_x, some_y, blocks);
    }
  };
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  constexpr bool kIsOften = kPath != Path::scaled && kBits <= 5;  // what is rare is not worth the code
#else
  constexpr bool kIsOften = false;
#endif
  if constexpr (kIsOften) {
    InParts(x, y, multiply, std::integer_sequence<int, 8, 4, 1>());
  } else {
    InParts(x, y, multiply, std::integer_sequence<int, 4, 1>());
  }
}

template <int kBits>
void MultiplyBits(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y, GemvBlockRange blocks) {
  if (weights.scales != nullptr) return MultiplyBatch<Path::scaled, kBits>(weights, bias, x, y, blocks);
  if constexpr (kBits == 4 || kBits == 5) {
    if (weights.tuple > 1) return MultiplyBatch<Path::joint, kBits>(weights, bias, x, y, blocks);
  }
  // Without buckets 1 and 2 bits are always joined.
  if constexpr (kBits >= 3) MultiplyBatch<Path::plain, kBits>(weights, bias, x, y, blocks);
}

void GemvPacked(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y, GemvBlockRange blocks) {
  switch (weights.code_bits) {
    case 1: MultiplyBits<1>(weights, bias, x, y, blocks); break;
    case 2: MultiplyBits<2>(weights, bias, x, y, blocks); break;
    case 3: MultiplyBits<3>(weights, bias, x, y, blocks); break;
    case 4: MultiplyBits<4>(weights, bias, x, y, blocks); break;
    case 5: MultiplyBits<5>(weights, bias, x, y, blocks); break;
    case 6: MultiplyBits<6>(weights, bias, x, y, blocks); break;
    case 7: MultiplyBits<7>(weights, bias, x, y, blocks); break;
    default: MultiplyBits<8>(weights, bias, x, y, blocks); break;
  }
  LeaveAvx();
}

}  // namespace HWY_NAMESPACE
}  // namespace bitwright
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace bitwright {

#define BITWRIGHT_DEFINE(function, target)                                                                        \
  void function(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y, \
                GemvBlockRange blocks) noexcept {                                                                 \
    target::GemvPacked(weights, bias, x, y, blocks);                                                              \
  }
#if HWY_ARCH_X86
BITWRIGHT_DEFINE(gemv_packed_float32__sse4, N_SSE4)
BITWRIGHT_DEFINE(gemv_packed_float32__avx2, N_AVX2)
BITWRIGHT_DEFINE(gemv_packed_float32__avx512, N_AVX3)
#elif HWY_ARCH_ARM_A64
BITWRIGHT_DEFINE(gemv_packed_float32__neon, N_NEON)
#endif
#undef BITWRIGHT_DEFINE

}  // namespace bitwright
#endif
