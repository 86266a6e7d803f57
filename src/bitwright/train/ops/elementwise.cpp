// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/slice_range.h"
#include "bitwright/train/ops/forward.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>

namespace bitwright {

at::Tensor forward_add(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return inputs[0] + inputs[1]; }

at::Tensor forward_relu(const Node&, std::span<const at::Tensor> inputs, const ForwardContext&) { return at::relu(inputs[0]); }

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

at::Tensor forward_batch_normalization(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext& context) {
  // ONNX's momentum is the share that stays, LibTorch's the share that is new.
  const double momentum = 1.0 - static_cast<double>(node.float_attribute("momentum", 0.9F));
  return at::batch_norm(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], context.mode == Mode::train, momentum,
                        node.float_attribute("epsilon", 1e-5F), /*cudnn_enabled=*/false);
}

at::Tensor forward_flatten(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const at::Tensor& src = inputs[0];
  std::int64_t axis = node.int_attribute("axis", 1);
  if (axis < 0) axis += src.dim();
  std::int64_t rows = 1;
  for (std::int64_t i = 0; i < axis; ++i) rows *= src.size(i);
  return src.reshape({rows, src.numel() / rows});
}

at::Tensor forward_pad(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  // ONNX: begins of all axes, then ends; LibTorch: begin and end of the last axis first.
  const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
  const std::size_t rank = pads.size() / 2;
  std::vector<std::int64_t> reversed;
  for (std::size_t axis = rank; axis-- > 0;) reversed.insert(reversed.end(), {pads[axis], pads[axis + rank]});
  return at::constant_pad_nd(inputs[0], reversed, node.float_attribute("value", 0.0F));
}

at::Tensor forward_slice(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  at::Tensor dst = inputs[0];
  std::int64_t axis = 0;
  for (const SliceRange& range : slice_ranges(node, tensor_shape(inputs[0]))) {
    dst = dst.slice(axis++, range.start, range.start + (range.count - 1) * range.step + 1, range.step);
  }
  return dst;
}

}  // namespace bitwright
