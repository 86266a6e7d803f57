// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"
#include "bitwright/model/slice_range.h"
#include "bitwright/train/ops/forward.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

namespace bitwright {
namespace {

at::Tensor index_tensor(const std::vector<std::int64_t>& indices, const at::Tensor& like) {
  return at::tensor(at::IntArrayRef(indices), at::kLong).to(like.device());
}

}  // namespace

at::Tensor forward_flatten(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const at::Tensor& src = inputs[0];
  std::int64_t axis = node.int_attribute("axis", 1);
  if (axis < 0) axis += src.dim();
  std::int64_t rows = 1;
  for (std::int64_t i = 0; i < axis; ++i) rows *= src.size(i);
  return src.reshape({rows, src.numel() / rows});
}

at::Tensor forward_pad(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  if (node.string_attribute("mode", "constant") != "constant") {
    at::Tensor dst = inputs[0];
    std::int64_t axis = 0;
    for (const std::vector<std::int64_t>& sources : padded_sources(node, tensor_shape(inputs[0]))) {
      if (static_cast<std::int64_t>(sources.size()) != dst.size(axis)) dst = dst.index_select(axis, index_tensor(sources, dst));
      ++axis;
    }
    return dst;
  }
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

at::Tensor forward_concat(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return at::cat(at::TensorList(inputs.data(), inputs.size()), node.int_attribute("axis", 0));
}

at::Tensor forward_transpose(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  std::vector<std::int64_t> axes;
  for (const std::size_t axis : transposed_axes(node, static_cast<std::size_t>(inputs[0].dim())))
    axes.push_back(static_cast<std::int64_t>(axis));
  return inputs[0].permute(axes);
}

at::Tensor forward_reshape(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  return inputs[0].reshape(reshaped(node, tensor_shape(inputs[0])).dims());
}

at::Tensor forward_gather(const Node& node, std::span<const at::Tensor> inputs, const ForwardContext&) {
  const std::size_t axis = axis_attribute(node, 0, static_cast<std::size_t>(inputs[0].dim()));
  const auto along = static_cast<std::int64_t>(axis);
  return inputs[0].index_select(along, index_tensor(gathered_indices(node, inputs[0].size(along)), inputs[0]));
}

}  // namespace bitwright
