// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/contender.h"
#include "bitwright/core/error.h"
#include "bitwright/model/window.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include <chrono>
#include <map>

namespace bitwright {
namespace {

/// A graph as somebody who knows LibTorch would write it for inference: batch normalization folded before, channels-last tensors where
/// there are convolutions, Relu in place, linear layers by `at::linear`.
class TorchGraph {
 public:
  explicit TorchGraph(const Model& model) : graph_(model.graph) {
    for (const Node& node : graph_.nodes) has_convolutions_ = has_convolutions_ || node.op == Op::Conv;
    for (const auto& [name, weight] : model.weights) {
      const std::vector<float> values = weight_values(weight);
      at::Tensor tensor = at::tensor(at::ArrayRef<float>(values)).reshape(weight_shape(weight).dims());
      if (tensor.dim() == 4) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
      values_[name] = tensor;
    }
  }

  at::Tensor run(const at::Tensor& images) {
    values_[graph_.inputs.front().name] = has_convolutions_ ? images.contiguous(at::MemoryFormat::ChannelsLast) : images;
    for (const Node& node : graph_.nodes) values_[node.outputs.front()] = compute(node);
    return values_.at(graph_.outputs.front());
  }

 private:
  [[nodiscard]] at::Tensor input(const Node& node, std::size_t i) const {
    return i < node.inputs.size() && !node.inputs[i].empty() ? values_.find(node.inputs[i])->second : at::Tensor();
  }

  [[nodiscard]] at::Tensor compute(const Node& node) const {
    const at::Tensor src = input(node, 0);
    switch (node.op) {
      case Op::Conv: return convolve(node, src);
      case Op::Gemm: return at::linear(src, input(node, 1), input(node, 2));
      case Op::Add: return src + input(node, 1);
      case Op::Relu: return src.relu_();  // its source has no other reader in the networks of peer_cases
      case Op::MaxPool: return max_pool(node, src);
      case Op::GlobalAveragePool: return src.mean({2, 3}, /*keepdim=*/true);
      case Op::Flatten: return src.flatten(node.int_attribute("axis", 1));
      case Op::Slice: return slice(node, src);
      case Op::Pad: return pad(node, src);
      default:
        fail(ErrorCode::unsupported, "node \"{}\": LibTorch's side has no {}; write it in bench/peers/torch_contender.cpp.", node.name,
             op_entry(node.op).name);
    }
  }

  [[nodiscard]] at::Tensor convolve(const Node& node, const at::Tensor& src) const {
    const at::Tensor weight = input(node, 1);
    const Shape shape(weight.sizes().vec());
    const Window window = read_window(node, &shape);
    require(node, window.pads_begin == window.pads_end);
    return at::conv2d(src, weight, input(node, 2), window.strides, window.pads_begin, window.dilations, node.int_attribute("group", 1));
  }

  [[nodiscard]] static at::Tensor max_pool(const Node& node, const at::Tensor& src) {
    const Window window = read_window(node);
    require(node, window.pads_begin == window.pads_end);
    return at::max_pool2d(src, window.kernel, window.strides, window.pads_begin, window.dilations, window.ceil_mode);
  }

  [[nodiscard]] static at::Tensor slice(const Node& node, at::Tensor dst) {
    const std::vector<std::int64_t> starts = node.ints_attribute("starts", {});
    const std::vector<std::int64_t> ends = node.ints_attribute("ends", {});
    const std::vector<std::int64_t> axes = node.ints_attribute("axes", {});
    const std::vector<std::int64_t> steps = node.ints_attribute("steps", std::vector<std::int64_t>(starts.size(), 1));
    require(node, axes.size() == starts.size());
    for (std::size_t i = 0; i < starts.size(); ++i) dst = dst.slice(axes[i], starts[i], ends[i], steps[i]);
    return dst;
  }

  [[nodiscard]] static at::Tensor pad(const Node& node, const at::Tensor& src) {
    // ONNX: begins of all axes, then ends; LibTorch: begin and end of the last axis first.
    const std::vector<std::int64_t> pads = node.ints_attribute("pads", {});
    std::vector<std::int64_t> reversed;
    for (std::size_t axis = pads.size() / 2; axis-- > 0;) reversed.insert(reversed.end(), {pads[axis], pads[axis + pads.size() / 2]});
    return at::constant_pad_nd(src, reversed, node.float_attribute("value", 0.0F));
  }

  static void require(const Node& node, bool holds) {
    if (!holds) fail(ErrorCode::unsupported, "node \"{}\": LibTorch's side has no such form; write it in bench/peers.", node.name);
  }

  Graph graph_;
  std::map<std::string, at::Tensor, std::less<>> values_;
  bool has_convolutions_ = false;
};

class TorchContender : public Contender {
 public:
  TorchContender(std::string name, const Model& model, int threads, const Shape& input_shape, std::span<const float> input)
      : Contender(std::move(name)),
        network_(model),
        threads_(threads),
        input_(at::tensor(at::ArrayRef<float>(input.data(), input.size())).reshape(input_shape.dims())) {}

  std::vector<double> turn(int repeats) override {
    const c10::InferenceMode guard;
    at::set_num_threads(threads_);
    scores_ = network_.run(input_);
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) {
      const auto start = std::chrono::steady_clock::now();
      scores_ = network_.run(input_);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return seconds;
  }
  std::vector<float> output() override {
    const at::Tensor plain = scores_.contiguous();
    return {plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel()};
  }

 private:
  TorchGraph network_;
  int threads_;
  at::Tensor input_;
  at::Tensor scores_;
};

}  // namespace

std::unique_ptr<Contender> torch_contender(std::string name, const Model& model, int threads, const Shape& input_shape,
                                           std::span<const float> input) {
  return std::make_unique<TorchContender>(std::move(name), model, threads, input_shape, input);
}

std::string torch_version() { return TORCH_VERSION; }

}  // namespace bitwright
