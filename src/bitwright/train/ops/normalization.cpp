// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"
#include "bitwright/train/ops/forward.h"

#include <torch/torch.h>

namespace bitwright {

at::Tensor forward_batch_normalization(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext& context) {
  // ONNX's momentum is the share that stays, LibTorch's the share that is new.
  const double momentum = 1.0 - static_cast<double>(node.float_attribute("momentum", 0.9F));
  return at::batch_norm(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], context.mode == Mode::train, momentum,
                        node.float_attribute("epsilon", 1e-5F), /*cudnn_enabled=*/false);
}

// In float32: LibTorch takes no narrow activations with wide parameters here.
at::Tensor forward_layer_normalization(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const at::Tensor shift = inputs.size() > 2 ? inputs[2] : at::Tensor();
  return at::layer_norm(inputs[0].to(at::kFloat), inputs[1].sizes(), inputs[1], shift, node.float_attribute("epsilon", 1e-5F),
                        /*cudnn_enable=*/false);
}

// The window of ONNX reaches one channel farther forward than back when it is even.
at::Tensor forward_lrn(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const std::int64_t size = node.int_attribute("size", 1);
  const at::Tensor src = inputs[0].to(at::kFloat);
  const at::Tensor squares = (src * src).unsqueeze(1);
  const at::Tensor padded = at::constant_pad_nd(squares, {0, 0, 0, 0, (size - 1) / 2, size / 2});
  const at::Tensor mean = at::avg_pool3d(padded, {size, 1, 1}, {1, 1, 1}).squeeze(1);
  return src *
         at::pow(mean * node.float_attribute("alpha", 1e-4F) + node.float_attribute("bias", 1.0F), -node.float_attribute("beta", 0.75F));
}

at::Tensor forward_reduce_mean(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const std::vector<bool> is_reduced = reduced_axes(node, static_cast<std::size_t>(inputs[0].dim()));
  std::vector<std::int64_t> axes;
  for (std::size_t axis = 0; axis < is_reduced.size(); ++axis) {
    if (is_reduced[axis]) axes.push_back(static_cast<std::int64_t>(axis));
  }
  return inputs[0].mean(axes, node.int_attribute("keepdims", 1) == 1);
}

}  // namespace bitwright
