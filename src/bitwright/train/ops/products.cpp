// SPDX-License-Identifier: Apache-2.0
// Conv, Gemm and MatMul: where the multiplications are, and so where precision and layout matter.
#include "bitwright/model/window.h"
#include "bitwright/train/ops/forward.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

namespace bitwright {
namespace {

at::Tensor in_precision(const at::Tensor& tensor, Precision precision) {
  return tensor.defined() ? tensor.to(precision == Precision::bfloat16 ? at::kBFloat16 : at::kFloat) : tensor;
}

at::Tensor bias_of(std::span<const at::Tensor> inputs) { return inputs.size() > 2 ? inputs[2] : at::Tensor(); }

}  // namespace

at::Tensor forward_conv(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext& context) {
  const Shape weight_shape = tensor_shape(inputs[1]);
  const Window window = read_window(node, &weight_shape);
  at::Tensor src = in_precision(inputs[0], context.precision);
  std::array<std::int64_t, 2> pads = window.pads_begin;
  if (window.pads_begin != window.pads_end) {
    src = at::constant_pad_nd(src, {window.pads_begin[1], window.pads_end[1], window.pads_begin[0], window.pads_end[0]});
    pads = {0, 0};
  }
  return at::conv2d(src, in_precision(inputs[1], context.precision), in_precision(bias_of(inputs), context.precision), window.strides, pads,
                    window.dilations, node.int_attribute("group", 1));
}

at::Tensor forward_mat_mul(const Node&, std::span<const at::Tensor> inputs, const ForwardContext& context) {
  return at::matmul(in_precision(inputs[0], context.precision), in_precision(inputs[1], context.precision));
}

at::Tensor forward_gemm(const Node&, std::span<const at::Tensor> inputs, const ForwardContext& context) {
  const at::Tensor src = in_precision(inputs[0], context.precision);
  const at::Tensor weight = in_precision(inputs[1], context.precision);
  const at::Tensor bias = in_precision(bias_of(inputs), context.precision);
  if (context.precision == Precision::bfloat16 || !at::hasMKLDNN() || !src.is_cpu()) return at::linear(src, weight, bias);
  // The same product as a convolution of one pixel, so that oneDNN makes it on our own threads: a BLAS that brings a second set of threads
  // fights with them for the processors (measured on LeNet-5, 2 threads on a busy machine: 825 images a second with it).
  const auto pixel = [](const at::Tensor& rows) { return rows.unsqueeze(-1).unsqueeze(-1); };
  return at::conv2d(pixel(src), pixel(weight), bias).flatten(1);
}

}  // namespace bitwright
