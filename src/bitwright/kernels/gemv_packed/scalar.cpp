// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/functions.h"

#include <algorithm>

namespace bitwright {
namespace {

constexpr std::size_t kLanes = 16;
using Lanes = std::array<float, kLanes>;

// Codes of tuple u of a tile, for 16 outputs.
std::array<std::uint32_t, kLanes> codes_of(const GemvPackedView& weights, const GemvPackedLine* lines, std::int64_t u) {
  const std::int64_t bit = weights.code_bits * (u % kGemvPackedGroup);
  const GemvPackedLine* line = lines + u / kGemvPackedGroup * weights.code_bits + bit / 32;
  const auto offset = static_cast<int>(bit % 32);
  const std::uint32_t mask = (1U << weights.code_bits) - 1U;
  std::array<std::uint32_t, kLanes> codes;
  for (std::size_t l = 0; l < kLanes; ++l) codes[l] = line[0].lane[l] >> offset & mask;
  if (offset + weights.code_bits > 32) {
    for (std::size_t l = 0; l < kLanes; ++l) codes[l] |= line[1].lane[l] << (32 - offset) & mask;
  }
  return codes;
}

// term(n, t, e) for all joint codes e. Inputs beyond the end count as zeros.
std::array<float, 32> joint_terms(const GemvPackedView& weights, const float* x, std::int64_t t) {
  std::array<float, 32> terms{};
  for (std::int64_t k = 0; k < weights.tuple; ++k) {
    const std::int64_t i = t * weights.tuple + k;
    const float activation = i < weights.inputs ? x[i] : 0.0F;
    const std::array<float, 32>& digit = weights.table->digit[static_cast<std::size_t>(k)];
    for (std::size_t e = 0; e < 32; ++e) {
      const float product = digit[e] * activation;
      terms[e] = k == 0 ? product : terms[e] + product;
    }
  }
  return terms;
}

void add_terms(const GemvPackedView& weights, const GemvPackedScales* scales, const std::array<std::uint32_t, kLanes>& codes,
               const float* x, std::int64_t t, Lanes& sum) {
  if (weights.tuple > 1) {
    const std::array<float, 32> terms = joint_terms(weights, x, t);
    for (std::size_t l = 0; l < kLanes; ++l) sum[l] += terms[codes[l]];
    return;
  }
  for (std::size_t l = 0; l < kLanes; ++l) {
    float value = weights.table->value[codes[l]];
    if (scales != nullptr) {
      const float scaled = scales->scale[l] * value;
      value = scales->min[l] + scaled;
    }
    sum[l] += value * x[t];
  }
}

}  // namespace

void gemv_packed_float32__scalar(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                                 GemvBlockRange blocks) noexcept {
  const std::int64_t tuples = (weights.inputs + weights.tuple - 1) / weights.tuple;
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    const std::int64_t first = block * kGemvPackedBlockOutputs;
    const std::int64_t count = std::min(kGemvPackedBlockOutputs, weights.outputs - first);
    for (std::int64_t n = 0; n < x.batch; ++n) {
      Lanes sum{};
      for (std::int64_t tile = 0; tile < weights.tiles; ++tile) {
        const std::int64_t place = tile * weights.blocks + block;
        const GemvPackedLine* lines = weights.lines + place * weights.lines_per_tile;
        const GemvPackedScales* scales = weights.scales == nullptr ? nullptr : weights.scales + place;
        std::array<Lanes, 2> sums{sum, Lanes{}};
        const std::int64_t begin = tile * weights.tile_tuples;
        for (std::int64_t t = begin; t < std::min(tuples, begin + weights.tile_tuples); ++t) {
          const std::int64_t u = t - begin;
          add_terms(weights, scales, codes_of(weights, lines, u), x.values + n * x.stride, t, sums[static_cast<std::size_t>(u % 2)]);
        }
        for (std::size_t l = 0; l < kLanes; ++l) sum[l] = sums[0][l] + sums[1][l];
      }
      for (std::int64_t l = 0; l < count; ++l) {
        y.values[n * y.stride + first + l] = sum[static_cast<std::size_t>(l)] + (bias == nullptr ? 0.0F : bias[first + l]);
      }
    }
  }
}

}  // namespace bitwright
