// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/fixed_point/functions.h"

namespace bitwright {
namespace {

constexpr FixedPointKernel kKernels[] = {
#define BITWRIGHT_FIXED_POINT_KERNEL(isa, suffix) \
  {Isa::isa, "fixed_point:" #isa, &fixed_point_tile__##suffix, &fixed_point_split__##suffix, &fixed_point_finish__##suffix},
#include "bitwright/kernels/fixed_point/kernels.inc"
#undef BITWRIGHT_FIXED_POINT_KERNEL
};

}  // namespace

std::span<const FixedPointKernel> fixed_point_kernels() noexcept { return kKernels; }

const FixedPointKernel& select_fixed_point(Isa isa) noexcept {
  const FixedPointKernel* chosen = kKernels;
  for (const FixedPointKernel& kernel : kKernels) {
    if (kernel.isa <= isa && isa_available(kernel.isa)) chosen = &kernel;
  }
  return *chosen;
}

FixedDigits fixed_digits(int a_bits, int b_bits) noexcept {
  constexpr int kMostBits = 27;  // a_bits + w: 2^(32-27) - 1 = 31 steps between two widenings
  for (int count = 1;; ++count) {
    const int bits = (b_bits + count - 1) / count;
    if (bits <= 16 && a_bits + bits <= kMostBits) {
      return {.count = count, .bits = bits, .max_pairs = (std::int64_t{1} << (32 - a_bits - bits)) - 1};
    }
  }
}

std::int64_t fixed_packed_count(std::int64_t columns, std::int64_t depth, const FixedDigits& digits) noexcept {
  const std::int64_t panels = (columns + kFixedPanelColumns - 1) / kFixedPanelColumns;
  return panels * ((depth + 1) / 2) * digits.count * 2 * kFixedPanelColumns;
}

FixedConvShape fixed_input_error_shape(const FixedConvShape& layer) noexcept {
  return {.channels = layer.outputs,
          .height = layer.out_height,
          .width = layer.out_width,
          .outputs = layer.channels,
          .kernel_height = layer.kernel_height,
          .kernel_width = layer.kernel_width,
          .stride_y = 1,
          .stride_x = 1,
          .dilation_y = layer.dilation_y,
          .dilation_x = layer.dilation_x,
          .pad_top = layer.dilation_y * (layer.kernel_height - 1) - layer.pad_top,
          .pad_left = layer.dilation_x * (layer.kernel_width - 1) - layer.pad_left,
          .out_height = layer.height,
          .out_width = layer.width,
          .spread_y = layer.stride_y,
          .spread_x = layer.stride_x};
}

std::int64_t fixed_round(const FixedPointKernel& kernel, const FixedRoundCall& call) noexcept {
  return kernel.finish({.acc = call.acc, .count = call.count, .change = call.change, .first_index = call.first_index, .dst = call.dst});
}

}  // namespace bitwright
