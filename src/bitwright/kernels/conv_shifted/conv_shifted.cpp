// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/conv_shifted/conv_shifted.h"

#include "bitwright/core/assert.h"
#include "bitwright/kernels/conv_shifted/functions.h"
#include "bitwright/kernels/fastest_kernel.h"

#include <fmt/format.h>

namespace bitwright {
namespace {

constexpr ConvShiftedKernel kKernels[] = {
#define BITWRIGHT_CONV_SHIFTED_KERNEL(isa, function) {Isa::isa, "conv_shifted:" #isa, &function},
#include "bitwright/kernels/conv_shifted/kernels.inc"
#undef BITWRIGHT_CONV_SHIFTED_KERNEL
};

constexpr std::int64_t kMaxBatch = 8;      // beyond it oneDNN's blocking over images wins
constexpr std::int64_t kLeastPixels = 16;  // one vector

std::int64_t best_tile(std::int64_t outputs) {
  std::int64_t best = 6;
  for (const std::int64_t tile : {5, 4}) {
    if ((outputs + tile - 1) / tile * tile < (outputs + best - 1) / best * best) best = tile;
  }
  return best;
}

}  // namespace

ConvShiftedWeights::ConvShiftedWeights(const ConvShiftedShape& shape, std::span<const float> weights) : tile_(best_tile(shape.outputs)) {
  const std::int64_t taps = shape.channels * shape.kernel_height * shape.kernel_width;
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(weights.size()) == shape.outputs * taps);
  const std::int64_t tiles = (shape.outputs + tile_ - 1) / tile_;
  values_.assign(static_cast<std::size_t>(tiles * taps * tile_), 0.0F);
  for (std::int64_t o = 0; o < shape.outputs; ++o) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      values_[static_cast<std::size_t>((o / tile_ * taps + tap) * tile_ + o % tile_)] = weights[static_cast<std::size_t>(o * taps + tap)];
    }
  }
}

std::span<const ConvShiftedKernel> conv_shifted_kernels() noexcept { return kKernels; }

ConvShiftedChoice select_conv_shifted(const ConvShiftedQuery& query, Isa isa) {
  ConvShiftedChoice choice;
  const auto refuse = [&choice](std::string why) { choice.refusals.push_back("conv_shifted: " + std::move(why)); };
  if (query.batch > kMaxBatch) refuse(fmt::format("batch is {}, this kernel needs <= {}", query.batch, kMaxBatch));
  if (query.threads != 1) refuse(fmt::format("the session has {} threads, this kernel needs 1", query.threads));
  if (query.group != 1) refuse(fmt::format("group is {}, this kernel needs 1", query.group));
  if (query.stride_y != 1 || query.stride_x != 1)
    refuse(fmt::format("stride is {} x {}, this kernel needs 1 x 1", query.stride_y, query.stride_x));
  if (query.pixels < kLeastPixels) refuse(fmt::format("an output has {} pixels, this kernel needs >= {}", query.pixels, kLeastPixels));
  if (query.outputs % 16 == 0)
    refuse(fmt::format("{} output channels fill the vectors of other kernels, this one is for those that do not", query.outputs));
  if (!choice.refusals.empty()) return choice;
  choice.kernel = fastest_kernel(conv_shifted_kernels(), isa, choice.refusals);
  return choice;
}

}  // namespace bitwright
