// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/fixed_point/stage.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/train/ops/forward.h"

#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

namespace bitwright::fixed_point {
namespace {

constexpr std::int64_t kGrain = 8192;
/// Words of one block of the generator.
constexpr std::int64_t kWords = 4;

/// (G8) and the rounding of `scaled`, a value in steps. `u` in [0, 1).
std::int16_t code_of(double scaled, const FixedPoint& format, Rounding rounding, double u, std::int64_t& saturated) {
  const double rounded = rounding == Rounding::stochastic ? std::floor(scaled + u) : std::ceil(scaled - 0.5);
  const double held = std::clamp<double>(rounded, format.min_code(), format.max_code());
  saturated += held != rounded ? 1 : 0;
  return static_cast<std::int16_t>(held);
}

/// dst(i) = the code of scaled(i), a function of the element's number.
template <typename Scaled>
Converted convert_scaled(c10::IntArrayRef sizes, const FixedPoint& format, const Conversion& conversion, Scaled scaled) {
  Converted result{at::empty(sizes, at::kShort), {}, 0};
  std::int16_t* const dst = result.codes.data_ptr<std::int16_t>();
  const std::int64_t count = result.codes.numel();
  const std::uint32_t mask = conversion.random_bits >= 32 ? ~0U : ~0U << (32 - conversion.random_bits);
  std::atomic<std::int64_t> saturated = 0;
  at::parallel_for(0, (count + kWords - 1) / kWords, kGrain / kWords, [&](std::int64_t begin, std::int64_t end) {
    std::array<std::uint32_t, kWords> words = {};
    std::int64_t own = 0;
    for (std::int64_t block = begin; block < end; ++block) {
      if (conversion.rounding == Rounding::stochastic) words = conversion.rng.block(static_cast<std::uint64_t>(block));
      const std::int64_t first = block * kWords;
      for (std::int64_t i = first; i < std::min(first + kWords, count); ++i) {
        dst[i] = code_of(scaled(i), format, conversion.rounding, (words[static_cast<std::size_t>(i - first)] & mask) * 0x1.0p-32, own);
      }
    }
    saturated += own;
  });
  result.saturated = saturated;
  return result;
}

/// dst(i) = keep(i) ? errors(i) : 0.
template <typename Keep>
at::Tensor masked(const at::Tensor& errors, Keep keep) {
  at::Tensor dst = at::empty(errors.sizes(), at::kShort);
  const std::int16_t* const src = errors.data_ptr<std::int16_t>();
  std::int16_t* const out = dst.data_ptr<std::int16_t>();
  at::parallel_for(0, errors.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<std::int16_t>(src[i] & -static_cast<int>(keep(i)));
  });
  return dst;
}

}  // namespace

Conversion PassRule::conversion(std::string_view stream, std::string_view tensor) const {
  return {rounding, Rng(seed, stream, static_cast<std::uint64_t>(step)).split(tensor), random_bits};
}

void SaturationCount::add(const Converted& converted) {
  saturated += converted.saturated;
  elements += converted.codes.numel();
}

Converted convert_values(const at::Tensor& values, const FixedPoint& format, const Conversion& conversion) {
  const at::Tensor dense = values.contiguous(at::MemoryFormat::Contiguous);
  if (dense.isnan().any().item<bool>()) {
    fail(ErrorCode::numerical, "fixed point: a value to convert to {} is not a number; look at the images and the loss.", format.spec());
  }
  const double steps_per_unit = std::ldexp(1.0, format.frac_bits);
  if (dense.scalar_type() == at::kDouble) {
    return convert_scaled(dense.sizes(), format, conversion,
                          [src = dense.data_ptr<double>(), steps_per_unit](std::int64_t i) { return src[i] * steps_per_unit; });
  }
  return convert_scaled(dense.sizes(), format, conversion, [src = dense.data_ptr<float>(), steps_per_unit](std::int64_t i) {
    return static_cast<double>(src[i]) * steps_per_unit;
  });
}

at::Tensor values_of(const at::Tensor& codes, const FixedPoint& format) { return codes.to(at::kFloat).mul_(format.step()); }

// --- products -----------------------------------------------------------------------------------------------------------------------

ProductStage::ProductStage(const Node& node, const Shape& weight_shape, Product::Activation activation, Position position)
    : node_(node), product_(node, weight_shape, activation), activation_(activation), position_(position) {}

at::Tensor ProductStage::forward(const at::Tensor& src, const PassRule& rule) {
  if (rule.mode == Mode::eval) {
    // What the file's reader computes, whatever training does: exact sums, ties toward minus infinity.
    return product_.forward(src, {}, Product::Signs::drop, Arithmetic::exact).codes;
  }
  // A small accumulator above zero may become code 0: the mask of Relu is the accumulator's sign, not the code's (4.3).
  const Product::Signs signs = activation_ == Product::Activation::relu ? Product::Signs::keep : Product::Signs::drop;
  Converted converted = product_.forward(src, rule.conversion("fixed.forward", node_.name), signs, rule.arithmetic);
  outputs.add(converted);
  src_ = src;
  dst_ = converted.codes;
  positive_ = std::move(converted.positive);
  return dst_;
}

at::Tensor ProductStage::backward(const at::Tensor& errors, const PassRule& rule) {
  errors_ = errors;
  if (positive_.defined()) {
    errors_ = masked(errors_, [above = positive_.data_ptr<std::uint8_t>()](std::int64_t i) { return above[i] != 0; });
  }
  if (saturated_errors_ == SaturatedErrors::stop) {
    const FixedPoint& format = product_.formats().dst;
    errors_ = masked(errors_, [codes = dst_.data_ptr<std::int16_t>(), low = format.min_code(), high = format.max_code()](std::int64_t i) {
      return codes[i] > low && codes[i] < high;
    });
  }
  if (position_ == Position::first) return {};
  const Converted converted = product_.input_errors(errors_, src_, rule.conversion("fixed.backward", node_.name), rule.arithmetic);
  input_errors.add(converted);
  return converted.codes;
}

void ProductStage::gradients(std::span<std::int64_t> weights, std::span<std::int64_t> bias, Arithmetic arithmetic) const {
  product_.weight_gradient(src_, errors_, weights, arithmetic);
  if (!bias.empty()) product_.bias_gradient(errors_, bias);
}

// --- the others ---------------------------------------------------------------------------------------------------------------------

MaxPoolStage::MaxPoolStage(const Node& node, const FixedPoint& errors) : node_(node), window_(read_window(node)), errors_(errors) {}

at::Tensor MaxPoolStage::forward(const at::Tensor& src, const PassRule& rule) {
  const std::int64_t height = src.size(2);
  const std::int64_t width = src.size(3);
  const std::int64_t out_height = window_output_extent(node_, window_, 0, height);
  const std::int64_t out_width = window_output_extent(node_, window_, 1, width);
  at::Tensor dst = at::empty({src.size(0), src.size(1), out_height, out_width}, at::kShort);
  places_ = rule.mode == Mode::train ? at::empty(dst.sizes(), at::kInt) : at::Tensor();
  src_sizes_ = src.sizes().vec();
  const std::int16_t* const from = src.data_ptr<std::int16_t>();
  std::int16_t* const to = dst.data_ptr<std::int16_t>();
  std::int32_t* const places = places_.defined() ? places_.data_ptr<std::int32_t>() : nullptr;
  const std::int64_t out_plane = out_height * out_width;
  at::parallel_for(0, src.size(0) * src.size(1), std::max<std::int64_t>(1, kGrain / out_plane), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int16_t* const codes = from + plane * height * width;
      for (std::int64_t y = 0; y < out_height; ++y) {
        const std::int64_t top = y * window_.strides[0] - window_.pads_begin[0];
        const std::int64_t first_row = std::max<std::int64_t>(top, 0);
        const std::int64_t last_row = std::min(top + window_.kernel[0], height);
        for (std::int64_t x = 0; x < out_width; ++x) {
          const std::int64_t left = x * window_.strides[1] - window_.pads_begin[1];
          const std::int64_t first_column = std::max<std::int64_t>(left, 0);
          const std::int64_t last_column = std::min(left + window_.kernel[1], width);
          std::int32_t best = std::numeric_limits<std::int32_t>::min();
          std::int32_t place = 0;
          for (std::int64_t row = first_row; row < last_row; ++row) {
            for (std::int64_t column = first_column; column < last_column; ++column) {
              const auto here = static_cast<std::int32_t>(row * width + column);
              const std::int32_t code = codes[here];
              place = code > best ? here : place;
              best = std::max(best, code);
            }
          }
          const std::int64_t out = plane * out_plane + y * out_width + x;
          to[out] = static_cast<std::int16_t>(best);
          if (places != nullptr) places[out] = place;
        }
      }
    }
  });
  return dst;
}

at::Tensor MaxPoolStage::backward(const at::Tensor& errors, const PassRule&) {
  BITWRIGHT_ASSERT(places_.defined());
  at::Tensor dst = at::empty(src_sizes_, at::kShort);
  const std::int64_t plane_size = src_sizes_[2] * src_sizes_[3];
  const std::int64_t out_plane = errors.size(2) * errors.size(3);
  const std::int16_t* const from = errors.data_ptr<std::int16_t>();
  const std::int32_t* const places = places_.data_ptr<std::int32_t>();
  std::int16_t* const to = dst.data_ptr<std::int16_t>();
  std::atomic<std::int64_t> saturated = 0;
  at::parallel_for(0, src_sizes_[0] * src_sizes_[1], std::max<std::int64_t>(1, kGrain / plane_size),
                   [&](std::int64_t begin, std::int64_t end) {
                     std::vector<std::int32_t> sums(static_cast<std::size_t>(plane_size));
                     std::int64_t own = 0;
                     for (std::int64_t plane = begin; plane < end; ++plane) {
                       std::ranges::fill(sums, 0);
                       for (std::int64_t i = plane * out_plane; i < (plane + 1) * out_plane; ++i)
                         sums[static_cast<std::size_t>(places[i])] += from[i];
                       for (std::int64_t i = 0; i < plane_size; ++i) {
                         const std::int32_t sum = sums[static_cast<std::size_t>(i)];
                         const std::int32_t held = std::clamp(sum, errors_.min_code(), errors_.max_code());
                         own += held != sum ? 1 : 0;
                         to[plane * plane_size + i] = static_cast<std::int16_t>(held);
                       }
                     }
                     saturated += own;
                   });
  input_errors.add({dst, {}, saturated});
  return dst;
}

at::Tensor ReluStage::forward(const at::Tensor& src, const PassRule& rule) {
  at::Tensor dst = src.clamp_min(0);
  if (rule.mode == Mode::train) dst_ = dst;
  return dst;
}

at::Tensor ReluStage::backward(const at::Tensor& errors, const PassRule&) {
  return masked(errors, [codes = dst_.data_ptr<std::int16_t>()](std::int64_t i) { return codes[i] > 0; });
}

at::Tensor PassStage::forward(const at::Tensor& src, const PassRule&) { return src; }
at::Tensor PassStage::backward(const at::Tensor& errors, const PassRule&) { return errors; }

at::Tensor FlattenStage::forward(const at::Tensor& src, const PassRule&) {
  src_sizes_ = src.sizes().vec();
  const at::Tensor inputs[] = {src};
  return forward_flatten(node_, inputs, {});
}

at::Tensor FlattenStage::backward(const at::Tensor& errors, const PassRule&) { return errors.reshape(src_sizes_); }

DropoutStage::DropoutStage(const Node& node, const FixedPoint& values, const FixedPoint& errors)
    : node_(node), ratio_(node.float_attribute("ratio", 0.5F)), values_(values), errors_(errors) {}

at::Tensor DropoutStage::forward(const at::Tensor& src, const PassRule& rule) {
  if (rule.mode == Mode::eval || ratio_ == 0.0) return src;
  dropped_ = Rng(rule.seed, "fixed.dropout", static_cast<std::uint64_t>(rule.step)).split(node_.name);
  const double kept = 1.0 / (1.0 - ratio_);
  const Converted converted = convert_scaled(src.sizes(), values_, rule.conversion("fixed.forward", node_.name),
                                             [&, codes = src.data_ptr<std::int16_t>()](std::int64_t i) {
                                               return dropped_.uniform01(static_cast<std::uint64_t>(i)) < ratio_ ? 0.0 : codes[i] * kept;
                                             });
  outputs.add(converted);
  return converted.codes;
}

at::Tensor DropoutStage::backward(const at::Tensor& errors, const PassRule& rule) {
  if (ratio_ == 0.0) return errors;
  const double kept = 1.0 / (1.0 - ratio_);
  const Converted converted = convert_scaled(errors.sizes(), errors_, rule.conversion("fixed.backward", node_.name),
                                             [&, codes = errors.data_ptr<std::int16_t>()](std::int64_t i) {
                                               return dropped_.uniform01(static_cast<std::uint64_t>(i)) < ratio_ ? 0.0 : codes[i] * kept;
                                             });
  input_errors.add(converted);
  return converted.codes;
}

}  // namespace bitwright::fixed_point
