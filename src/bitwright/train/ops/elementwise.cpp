// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/unary_parameters.h"
#include "bitwright/train/ops/forward.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>

namespace bitwright {
namespace {

/// Functions that amplify small errors are computed in float32, whatever the products before them gave.
at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kFloat); }

}  // namespace

at::Tensor forward_abs(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::abs(inputs[0]); }

at::Tensor forward_add(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return inputs[0] + inputs[1]; }

at::Tensor forward_sub(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return inputs[0] - inputs[1]; }

at::Tensor forward_mul(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return inputs[0] * inputs[1]; }

at::Tensor forward_div(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return wide(inputs[0]) / wide(inputs[1]); }

at::Tensor forward_pow(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::pow(wide(inputs[0]), wide(inputs[1]));
}

at::Tensor forward_relu(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::relu(inputs[0]); }

// LibTorch's own takes one slope per channel; ONNX's broadcasts any.
at::Tensor forward_p_relu(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::where(inputs[0] < 0, inputs[0] * inputs[1], inputs[0].to(at::result_type(inputs[0], inputs[1])));
}

at::Tensor forward_leaky_relu(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::leaky_relu(inputs[0], unary_parameters(node).alpha);
}

at::Tensor forward_elu(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::elu(inputs[0], unary_parameters(node).alpha);
}

at::Tensor forward_clip(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const UnaryParameters parameters = unary_parameters(node);
  return at::clamp(inputs[0], parameters.alpha, parameters.beta);
}

at::Tensor forward_erf(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::erf(wide(inputs[0])); }

at::Tensor forward_exp(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::exp(wide(inputs[0])); }

at::Tensor forward_gelu(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const bool is_tanh = unary_parameters(node).approximation == UnaryParameters::Approximation::tanh;
  return at::gelu(wide(inputs[0]), is_tanh ? "tanh" : "none");
}

at::Tensor forward_hard_sigmoid(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const UnaryParameters parameters = unary_parameters(node);
  return at::clamp(inputs[0] * parameters.alpha + parameters.beta, 0.0, 1.0);
}

at::Tensor forward_hard_swish(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::hardswish(inputs[0]); }

at::Tensor forward_neg(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::neg(inputs[0]); }

at::Tensor forward_sigmoid(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::sigmoid(wide(inputs[0])); }

at::Tensor forward_sqrt(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::sqrt(wide(inputs[0])); }

at::Tensor forward_tanh(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::tanh(wide(inputs[0])); }

at::Tensor forward_softmax(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::softmax(inputs[0].to(at::kFloat), node.int_attribute("axis", -1));
}

at::Tensor forward_dropout(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext& context) {
  const double ratio = node.float_attribute("ratio", 0.5F);
  if (context.mode == Mode::eval || ratio == 0.0) return inputs[0];
  const Rng rng = context.dropout->split(node.name);
  at::Tensor factors = at::empty(inputs[0].sizes(), at::kFloat);
  float* factor = factors.data_ptr<float>();
  const auto kept = static_cast<float>(1.0 / (1.0 - ratio));
  at::parallel_for(0, factors.numel(), 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) factor[i] = rng.uniform01(static_cast<std::uint64_t>(i)) < ratio ? 0.0F : kept;
  });
  return inputs[0] * factors.to(inputs[0].options());
}

}  // namespace bitwright
