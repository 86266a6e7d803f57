// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/fixed_point/product.h"

#include "bitwright/core/assert.h"
#include "bitwright/kernels/isa.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <mutex>

namespace bitwright::fixed_point {
namespace {

/// Memory for one thread, aligned to 64 bytes as LibTorch aligns.
at::Tensor scratch_of(std::int64_t bytes) { return at::empty({std::max<std::int64_t>(bytes, 1)}, at::kByte); }

std::byte* bytes_of(const at::Tensor& scratch) { return static_cast<std::byte*>(scratch.data_ptr()); }

const std::int16_t* codes_of(const at::Tensor& tensor) { return tensor.data_ptr<std::int16_t>(); }

std::int64_t image_elements(const at::Tensor& tensor) { return tensor.numel() / tensor.size(0); }

/// Results of the part of a tensor that begins at element `first`.
FixedResults results_at(const Converted& dst, std::int64_t first) {
  return {.codes = dst.codes.data_ptr<std::int16_t>() + first,
          .positive = dst.positive.defined() ? dst.positive.data_ptr<std::uint8_t>() + first : nullptr,
          .first_index = static_cast<std::uint64_t>(first)};
}

constexpr std::array<std::int64_t, 2> kNoPads = {0, 0};

/// A fully connected layer as a convolution of one pixel, which oneDNN makes on our own threads (train/ops/products.cpp says why).
at::Tensor as_images(const at::Tensor& values) { return values.dim() == 2 ? values.unsqueeze(-1).unsqueeze(-1) : values; }

FixedFormatChange change_to(int acc_frac_bits, const FixedPoint& format, const Conversion& conversion) {
  const bool stochastic = conversion.rounding == Rounding::stochastic;
  return {.shift = acc_frac_bits - format.frac_bits,
          .word_bits = format.word_bits(),
          .rounding = stochastic ? FixedRounding::stochastic : FixedRounding::nearest_down,
          .rng = stochastic ? &conversion.rng : nullptr,
          .random_bits = conversion.random_bits};
}

}  // namespace

Product::Product(const Node& node, const Shape& weight_shape, Activation activation)
    : node_(node), weight_shape_(weight_shape), activation_(activation), kernel_(&select_fixed_point(active_isa())) {
  BITWRIGHT_ASSERT(node.op == Op::Conv || node.op == Op::Gemm);
  if (!is_conv()) return;
  window_ = read_window(node, &weight_shape);
  group_ = node.int_attribute("group", 1);
}

void Product::set_parameters(const ProductFormats& formats, std::span<const std::int32_t> weights, std::span<const std::int32_t> bias) {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(weights.size()) == weight_shape_.element_count());
  BITWRIGHT_ASSERT(formats.bias.frac_bits <= formats.acc_frac_bits());
  formats_ = formats;
  weights_ = weights;
  const int shift = formats.acc_frac_bits() - formats.bias.frac_bits;
  bias_.clear();
  for (const std::int32_t code : bias) bias_.push_back(std::int64_t{code} << shift);
  packed_.is_current = false;
  packed_errors_.is_current = false;
}

void Product::Packed::resize(std::int64_t count) {
  if (!codes.defined() || codes.numel() != count) codes = at::empty({count}, at::kShort);
}

std::int16_t* Product::Packed::data() const { return codes.data_ptr<std::int16_t>(); }

FixedConvShape Product::group_shape(const at::Tensor& src) const {
  return {.channels = weight_shape_[1],
          .height = src.size(2),
          .width = src.size(3),
          .outputs = weight_shape_[0] / group_,
          .kernel_height = window_.kernel[0],
          .kernel_width = window_.kernel[1],
          .stride_y = window_.strides[0],
          .stride_x = window_.strides[1],
          .dilation_y = window_.dilations[0],
          .dilation_x = window_.dilations[1],
          .pad_top = window_.pads_begin[0],
          .pad_left = window_.pads_begin[1],
          .out_height = window_output_extent(node_, window_, 0, src.size(2)),
          .out_width = window_output_extent(node_, window_, 1, src.size(3))};
}

at::Tensor Product::new_output(const at::Tensor& src, at::ScalarType type) const {
  if (!is_conv()) return at::empty({src.size(0), weight_shape_[0]}, type);
  const FixedConvShape shape = group_shape(src);
  return at::empty({src.size(0), weight_shape_[0], shape.out_height, shape.out_width}, type);
}

FixedEpilogue Product::epilogue(const Conversion& conversion) const {
  return {.bias = bias_.empty() ? nullptr : bias_.data(),
          .activation = activation_ == Activation::relu ? FixedEpilogue::Activation::relu : FixedEpilogue::Activation::none,
          .change = change_to(formats_.acc_frac_bits(), formats_.dst, conversion)};
}

FixedDigits Product::digits_of(FixedConvWeights use) const {
  const FixedPoint& moving = use == FixedConvWeights::forward ? formats_.src : formats_.errors;
  return fixed_digits(moving.word_bits(), formats_.weights.word_bits());
}

void Product::pack(FixedConvWeights use) {
  Packed& packed = use == FixedConvWeights::forward ? packed_ : packed_errors_;
  if (packed.is_current) return;
  packed.is_current = true;
  if (is_conv()) {
    pack_conv(use, packed);
  } else {
    pack_dense(use, packed);
  }
}

void Product::pack_dense(FixedConvWeights use, Packed& packed) const {
  const bool forward = use == FixedConvWeights::forward;
  const std::int64_t features = weight_shape_[1];
  const std::int64_t columns = forward ? weight_shape_[0] : features;
  const std::int64_t depth = forward ? features : weight_shape_[0];
  const FixedDigits digits = digits_of(use);
  packed.resize(fixed_packed_count(columns, depth, digits));
  const std::int64_t panels = (columns + kFixedPanelColumns - 1) / kFixedPanelColumns;
  const std::int64_t panel_count = packed.size() / panels;
  at::parallel_for(0, panels, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t first = begin * kFixedPanelColumns;
    const std::int64_t stride = forward ? features : 1;
    fixed_pack(*kernel_, {.codes = {.wide = weights_.data() + first * stride},
                          .columns = std::min(end * kFixedPanelColumns, columns) - first,
                          .column_stride = stride,
                          .depth = depth,
                          .depth_stride = forward ? 1 : features,
                          .digits = digits,
                          .dst = packed.data() + begin * panel_count});
  });
}

void Product::pack_conv(FixedConvWeights use, Packed& packed) const {
  // The extents do not matter for packing.
  const FixedConvShape layer =
      group_shape(at::empty({1, 1, window_.kernel[0] * window_.dilations[0], window_.kernel[1] * window_.dilations[1]}));
  const FixedDigits digits = digits_of(use);
  const std::int64_t count = fixed_packed_conv_count(use == FixedConvWeights::forward ? layer : fixed_input_error_shape(layer), digits);
  packed.resize(count * group_);
  const std::int64_t weights = layer.outputs * layer.depth();
  for (std::int64_t g = 0; g < group_; ++g) {
    fixed_pack_conv(layer, use, {.wide = weights_.data() + g * weights}, digits, packed.data() + g * count);
  }
}

std::int64_t Product::run_dense(const at::Tensor& src, FixedConvWeights use, const FixedEpilogue& end, const Converted& dst) const {
  const std::int64_t columns = dst.codes.size(1);
  const std::int64_t depth = src.size(1);
  const Packed& packed = packed_for(use);
  std::atomic<std::int64_t> saturated = 0;
  at::parallel_for(0, src.size(0), 1, [&](std::int64_t begin, std::int64_t last) {
    const at::Tensor scratch = scratch_of(fixed_dense_scratch_bytes(columns));
    const FixedProductCall call = {.a = codes_of(src) + begin * depth,
                                   .a_stride = depth,
                                   .rows = last - begin,
                                   .packed = packed.data(),
                                   .columns = columns,
                                   .depth = depth,
                                   .digits = digits_of(use),
                                   .first_column = 0,
                                   .last_column = columns};
    saturated += fixed_dense(*kernel_, call, end, results_at(dst, begin * columns), bytes_of(scratch));
  });
  return saturated;
}

std::int64_t Product::run_conv(const at::Tensor& src, FixedConvWeights use, const FixedConvShape& layer, const FixedEpilogue& end,
                               const Converted& dst) const {
  const FixedConvShape shape = use == FixedConvWeights::forward ? layer : fixed_input_error_shape(layer);
  const Packed& packed = packed_for(use);
  const std::int64_t packed_count = packed.size() / group_;
  const std::int64_t src_stride = image_elements(src);
  const std::int64_t dst_stride = image_elements(dst.codes);
  std::atomic<std::int64_t> saturated = 0;
  at::parallel_for(0, src.size(0), 1, [&](std::int64_t begin, std::int64_t last) {
    const at::Tensor scratch = scratch_of(fixed_convolve_scratch_bytes(shape));
    for (std::int64_t g = 0; g < group_; ++g) {
      const FixedConvCall call = {.shape = shape,
                                  .src = codes_of(src) + begin * src_stride + g * src_stride / group_,
                                  .src_image_stride = src_stride,
                                  .images = last - begin,
                                  .first_row = 0,
                                  .last_row = shape.out_height,
                                  .packed = packed.data() + g * packed_count,
                                  .digits = digits_of(use),
                                  .scratch = bytes_of(scratch)};
      FixedEpilogue own = end;
      if (own.bias != nullptr) own.bias += g * shape.outputs;
      saturated += fixed_convolve(*kernel_, call, own, results_at(dst, begin * dst_stride + g * dst_stride / group_), dst_stride);
    }
  });
  return saturated;
}

Converted Product::forward(const at::Tensor& src, const Conversion& conversion, Signs signs, Arithmetic arithmetic) {
  Converted dst;
  dst.codes = new_output(src, at::kShort);
  if (signs == Signs::keep) dst.positive = new_output(src, at::kByte);
  const FixedEpilogue end = epilogue(conversion);
  if (arithmetic == Arithmetic::float32) {
    const at::Tensor acc = at::conv2d(padded(src), float_weights(), {}, window_.strides, kNoPads, window_.dilations, group_);
    dst.saturated = round_float32(acc, end, dst);
    return dst;
  }
  pack(FixedConvWeights::forward);
  dst.saturated = is_conv() ? run_conv(src, FixedConvWeights::forward, group_shape(src), end, dst)
                            : run_dense(src, FixedConvWeights::forward, end, dst);
  return dst;
}

Converted Product::input_errors(const at::Tensor& errors, const at::Tensor& src, const Conversion& conversion, Arithmetic arithmetic) {
  Converted dst;
  dst.codes = at::empty(src.sizes(), at::kShort);
  // The fraction bits of the errors cancel: in and out are the same format.
  const FixedEpilogue end = {.change = change_to(formats_.errors.frac_bits + formats_.weights.frac_bits, formats_.errors, conversion)};
  if (arithmetic == Arithmetic::float32) {
    at::Tensor acc = std::get<0>(backward_float32(padded(src), errors, {true, false, false}));
    if (is_conv()) {
      acc = acc.slice(2, window_.pads_begin[0], window_.pads_begin[0] + src.size(2))
                .slice(3, window_.pads_begin[1], window_.pads_begin[1] + src.size(3));
    }
    dst.saturated = round_float32(acc, end, dst);
    return dst;
  }
  pack(FixedConvWeights::input_error);
  dst.saturated = is_conv() ? run_conv(errors, FixedConvWeights::input_error, group_shape(src), end, dst)
                            : run_dense(errors, FixedConvWeights::input_error, end, dst);
  return dst;
}

void Product::weight_gradient(const at::Tensor& src, const at::Tensor& errors, std::span<std::int64_t> dst, Arithmetic arithmetic) const {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(dst.size()) == weight_shape_.element_count());
  if (arithmetic == Arithmetic::float32) {
    const at::Tensor sums = std::get<1>(backward_float32(padded(src), errors, {false, true, false})).contiguous();
    std::transform(sums.data_ptr<float>(), sums.data_ptr<float>() + sums.numel(), dst.begin(), [](float sum) { return std::llrint(sum); });
    return;
  }
  std::ranges::fill(dst, 0);
  if (is_conv()) {
    weight_gradient_conv(src, errors, dst);
  } else {
    weight_gradient_dense(src, errors, dst);
  }
}

void Product::weight_gradient_dense(const at::Tensor& src, const at::Tensor& errors, std::span<std::int64_t> dst) const {
  const std::int64_t batch = src.size(0);
  const std::int64_t features = weight_shape_[1];
  const std::int64_t outputs = weight_shape_[0];
  const FixedDigits digits = fixed_digits(formats_.errors.word_bits(), formats_.src.word_bits());
  const at::Tensor turned = at::empty({outputs, batch}, at::kShort);
  fixed_transpose(codes_of(errors), batch, outputs, outputs, turned.data_ptr<std::int16_t>());
  const at::Tensor packed_src = at::empty({fixed_packed_count(features, batch, digits)}, at::kShort);
  std::int16_t* const packed = packed_src.data_ptr<std::int16_t>();
  const std::int64_t panels = (features + kFixedPanelColumns - 1) / kFixedPanelColumns;
  const std::int64_t panel_count = packed_src.numel() / panels;
  at::parallel_for(0, panels, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t first = begin * kFixedPanelColumns;
    const std::int64_t last = std::min(end * kFixedPanelColumns, features);
    fixed_pack(*kernel_, {.codes = {.narrow = codes_of(src) + first},
                          .columns = last - first,
                          .column_stride = 1,
                          .depth = batch,
                          .depth_stride = features,
                          .digits = digits,
                          .dst = packed + begin * panel_count});
    const FixedProductCall call = {.a = codes_of(turned),
                                   .a_stride = batch,
                                   .rows = outputs,
                                   .packed = packed,
                                   .columns = features,
                                   .depth = batch,
                                   .digits = digits,
                                   .first_column = first,
                                   .last_column = last};
    fixed_product(*kernel_, call, dst.data(), features);
  });
}

void Product::weight_gradient_conv(const at::Tensor& src, const at::Tensor& errors, std::span<std::int64_t> dst) const {
  const FixedConvShape layer = group_shape(src);
  const FixedDigits digits = fixed_digits(formats_.errors.word_bits(), formats_.src.word_bits());
  const std::int64_t src_stride = image_elements(src);
  const std::int64_t error_stride = image_elements(errors);
  const std::int64_t weights = layer.outputs * layer.depth();
  std::mutex lock;
  at::parallel_for(0, src.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    const at::Tensor scratch = scratch_of(fixed_weight_gradient_scratch_bytes(layer, digits));
    std::vector<std::int64_t> own(dst.size(), 0);
    for (std::int64_t g = 0; g < group_; ++g) {
      fixed_weight_gradient(*kernel_, {.layer = layer,
                                       .src = codes_of(src) + begin * src_stride + g * src_stride / group_,
                                       .src_image_stride = src_stride,
                                       .errors = codes_of(errors) + begin * error_stride + g * error_stride / group_,
                                       .error_image_stride = error_stride,
                                       .images = end - begin,
                                       .digits = digits,
                                       .dst = own.data() + g * weights,
                                       .scratch = bytes_of(scratch)});
    }
    const std::lock_guard guard(lock);  // sums of integers: the order of the threads does not matter
    for (std::size_t i = 0; i < dst.size(); ++i) dst[i] += own[i];
  });
}

void Product::bias_gradient(const at::Tensor& errors, std::span<std::int64_t> dst) const {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(dst.size()) == outputs());
  const std::int64_t batch = errors.size(0);
  const std::int64_t positions = errors.numel() / batch / outputs();
  const std::int16_t* const codes = codes_of(errors);
  at::parallel_for(0, outputs(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      std::int64_t sum = 0;
      for (std::int64_t n = 0; n < batch; ++n) {
        const std::int16_t* const plane = codes + (n * outputs() + o) * positions;
        // Fits int32: a plane has at most 2^16 positions per inner sum of 16-bit codes.
        constexpr std::int64_t kInner = 1 << 15;
        for (std::int64_t first = 0; first < positions; first += kInner) {
          std::int32_t part = 0;
          for (std::int64_t p = first; p < std::min(positions, first + kInner); ++p) part += plane[p];
          sum += part;
        }
      }
      dst[static_cast<std::size_t>(o)] = sum;
    }
  });
}

at::Tensor Product::float_weights() const {
  // At most 24 bits: exact in float32.
  const at::Tensor codes = at::from_blob(const_cast<std::int32_t*>(weights_.data()), weight_shape_.dims(), at::kInt);
  return as_images(codes.to(at::kFloat));
}

at::Tensor Product::padded(const at::Tensor& src) const {
  const auto& [top, left] = window_.pads_begin;
  const auto& [bottom, right] = window_.pads_end;
  const at::Tensor values = as_images(src.to(at::kFloat));
  return top + left + bottom + right == 0 ? values : at::constant_pad_nd(values, {left, right, top, bottom});
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> Product::backward_float32(const at::Tensor& padded_src, const at::Tensor& errors,
                                                                         std::array<bool, 3> wanted) const {
  return at::convolution_backward(as_images(errors.to(at::kFloat)), padded_src, float_weights(), c10::nullopt, window_.strides, kNoPads,
                                  window_.dilations, /*transposed=*/false, kNoPads, group_, wanted);
}

std::int64_t Product::round_float32(const at::Tensor& acc, const FixedEpilogue& end, const Converted& dst) const {
  // Products of codes are integers, and a float32 sum of integers is one: either its unit is at most 1 and nothing was lost, or it is
  // larger and every value is a multiple of it. What comes here is the rounded sum, exactly. (An algorithm that transforms its operands
  // may leave a fraction, far below a step of any code: it is cut off.)
  const at::Tensor dense = acc.contiguous();
  const float* const sums = dense.data_ptr<float>();
  const std::int64_t channels = dense.size(1);
  const std::int64_t positions = dense.size(2) * dense.size(3);
  const std::int64_t count = dense.numel();
  constexpr std::int64_t kBlock = 1024;
  std::atomic<std::int64_t> saturated = 0;
  at::parallel_for(0, (count + kBlock - 1) / kBlock, 8, [&](std::int64_t begin, std::int64_t last) {
    std::array<std::int64_t, kBlock> wide;
    std::int64_t own = 0;
    for (std::int64_t first = begin * kBlock; first < std::min(last * kBlock, count); first += kBlock) {
      const std::int64_t size = std::min(kBlock, count - first);
      const FixedResults results = results_at(dst, first);
      std::int64_t position = first % positions;
      std::int64_t channel = first / positions % channels;
      for (std::int64_t i = 0; i < size; ++i) {
        std::int64_t value = static_cast<std::int64_t>(sums[first + i]) + (end.bias == nullptr ? 0 : end.bias[channel]);
        if (results.positive != nullptr) results.positive[i] = value > 0 ? 1 : 0;
        if (end.activation == FixedEpilogue::Activation::relu) value = std::max<std::int64_t>(value, 0);
        wide[static_cast<std::size_t>(i)] = value;
        if (++position < positions) continue;
        position = 0;
        channel = channel + 1 == channels ? 0 : channel + 1;
      }
      own += fixed_round(
          *kernel_, {.acc = wide.data(), .count = size, .first_index = results.first_index, .change = end.change, .dst = results.codes});
    }
    saturated += own;
  });
  return saturated;
}

}  // namespace bitwright::fixed_point
