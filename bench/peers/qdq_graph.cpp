// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/qdq_graph.h"

#include "bitwright/core/error.h"
#include "bitwright/onnx/export.h"
#include "bitwright/onnx/proto.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

namespace bitwright {
namespace {

using onnx::AttributeProto;
using onnx::DataType;
using onnx::GraphProto;
using onnx::ModelProto;
using onnx::NodeProto;
using onnx::TensorProto;

// What passes integers on as they are.
const std::set<std::string, std::less<>> kMovers = {"MaxPool", "Flatten", "Reshape", "Slice", "Transpose", "Squeeze", "Unsqueeze"};

template <typename T>
TensorProto tensor(std::string name, DataType type, std::vector<std::int64_t> dims, const std::vector<T>& values) {
  TensorProto proto;
  proto.name = std::move(name);
  proto.data_type = type;
  proto.dims = std::move(dims);
  proto.has_raw = true;
  proto.storage.resize(values.size() * sizeof(T));
  std::memcpy(proto.storage.data(), values.data(), proto.storage.size());
  return proto;
}

NodeProto node(std::string op, std::vector<std::string> inputs, std::string output) {
  NodeProto proto;
  proto.name = output + "/node";
  proto.op_type = std::move(op);
  proto.inputs = std::move(inputs);
  proto.outputs = {std::move(output)};
  return proto;
}

std::vector<float> floats_of(const TensorProto& proto) {
  const std::span<const std::byte> raw = proto.raw_view();
  std::vector<float> values(raw.size() / sizeof(float));
  std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

std::int64_t integer_attribute(const NodeProto& node, std::string_view key) {
  const AttributeProto* attribute = node.attribute(key);
  return attribute == nullptr ? 0 : attribute->i;
}

/// An 8-bit grid of an activation: value = scale * (code - zero).
struct Grid {
  float scale = 1.0F;
  std::uint8_t zero = 0;
};

Grid grid_of(ValueRange range) {
  const float lowest = std::min(range.lowest, 0.0F);
  const float highest = std::max(range.highest, 0.0F);
  if (highest == lowest) return {};
  const float scale = (highest - lowest) / 255.0F;
  return {.scale = scale, .zero = static_cast<std::uint8_t>(std::nearbyint(std::clamp(-lowest / scale, 0.0F, 255.0F)))};
}

/// Rewrites a float32 graph node by node.
class Quantizer {
 public:
  Quantizer(ModelProto& file, const ValueRanges& ranges) : graph_(file.graph), ranges_(ranges) {
    for (const TensorProto& initializer : graph_.initializers) initializers_.emplace(initializer.name, &initializer);
    for (const NodeProto& one : graph_.nodes) {
      for (const std::string& input : one.inputs) readers_[input].push_back(&one);
    }
    for (const onnx::ValueInfo& output : graph_.outputs) outputs_.insert(output.name);
  }

  void run() {
    for (const onnx::ValueInfo& input : graph_.inputs) quantize_value(input.name, range_of(input.name));
    for (const NodeProto& one : graph_.nodes) {
      add(one);
      const std::string& output = one.outputs.front();
      if (outputs_.contains(output) || is_before_relu(one)) continue;
      if (kMovers.contains(one.op_type) && grids_.contains(one.inputs.front())) {
        quantize_on(output, grids_.at(one.inputs.front()));
      } else {
        quantize_value(output, range_of(output));
      }
    }
    std::set<std::string, std::less<>> read;
    for (const NodeProto& one : nodes_) read.insert(one.inputs.begin(), one.inputs.end());
    for (const TensorProto& initializer : graph_.initializers) {
      if (read.contains(initializer.name)) tensors_.push_back(initializer);
    }
    graph_.nodes = std::move(nodes_);
    graph_.initializers = std::move(tensors_);
  }

 private:
  [[nodiscard]] ValueRange range_of(const std::string& value) const {
    const auto found = ranges_.find(value);
    if (found == ranges_.end()) fail(ErrorCode::invalid_input, "{}: value \"{}\" has no range; measure it.", graph_.name, value);
    return found->second;
  }

  /// Whether a Relu is all that reads the node's result, which then takes over its rounding.
  [[nodiscard]] bool is_before_relu(const NodeProto& one) const {
    const auto found = readers_.find(one.outputs.front());
    const bool sums = one.op_type == "Conv" || one.op_type == "Gemm" || one.op_type == "Add";
    return sums && found != readers_.end() && found->second.size() == 1 && found->second.front()->op_type == "Relu";
  }

  void quantize_value(const std::string& value, ValueRange range) { quantize_on(value, grid_of(range)); }

  void quantize_on(const std::string& value, Grid grid) {
    grids_.emplace(value, grid);
    tensors_.push_back(tensor<float>(value + "/scale", DataType::float32, {}, {grid.scale}));
    tensors_.push_back(tensor<std::uint8_t>(value + "/zero", DataType::uint8, {}, {grid.zero}));
    nodes_.push_back(node("QuantizeLinear", {value, value + "/scale", value + "/zero"}, value + "/q"));
    nodes_.push_back(node("DequantizeLinear", {value + "/q", value + "/scale", value + "/zero"}, value + "/dq"));
  }

  void add(const NodeProto& source) {
    NodeProto copy = source;
    for (std::string& input : copy.inputs) {
      if (grids_.contains(input)) input += "/dq";
    }
    if (source.op_type == "Conv" || source.op_type == "Gemm") quantize_product(source, copy);
    nodes_.push_back(std::move(copy));
  }

  void quantize_product(const NodeProto& source, NodeProto& copy) {
    if (source.op_type == "Gemm" && integer_attribute(source, "transB") != 1) {
      fail(ErrorCode::unsupported, "{}: node \"{}\" stores its weights inputs first (found transB 0, need 1); transpose them.", graph_.name,
           source.name);
    }
    const auto weight = initializers_.find(source.inputs.at(1));
    const auto grid = grids_.find(source.inputs.front());
    if (weight == initializers_.end() || grid == grids_.end()) return;
    const std::vector<float> scales = quantize_weight(*weight->second);
    copy.inputs[1] = weight->first + "/dq";
    if (source.inputs.size() < 3 || source.inputs[2].empty()) return;
    quantize_bias(*initializers_.at(source.inputs[2]), grid->second.scale, scales);
    copy.inputs[2] = source.inputs[2] + "/dq";
  }

  /// Scales per output channel.
  std::vector<float> quantize_weight(const TensorProto& weight) {
    const std::vector<float> values = floats_of(weight);
    const auto channels = static_cast<std::size_t>(weight.dims.front());
    const std::size_t per_channel = values.size() / channels;
    std::vector<float> scales(channels);
    std::vector<std::int8_t> codes(values.size());
    for (std::size_t c = 0; c < channels; ++c) {
      float largest = 0.0F;
      for (std::size_t i = 0; i < per_channel; ++i) largest = std::max(largest, std::abs(values[c * per_channel + i]));
      scales[c] = largest > 0.0F ? largest / 127.0F : 1.0F;
      for (std::size_t i = 0; i < per_channel; ++i) {
        codes[c * per_channel + i] = static_cast<std::int8_t>(std::nearbyint(values[c * per_channel + i] / scales[c]));
      }
    }
    if (!done_.insert(weight.name).second) return scales;
    tensors_.push_back(tensor(weight.name + "/q", DataType::int8, weight.dims, codes));
    tensors_.push_back(tensor(weight.name + "/scale", DataType::float32, {weight.dims.front()}, scales));
    tensors_.push_back(tensor(weight.name + "/zero", DataType::int8, {weight.dims.front()}, std::vector<std::int8_t>(channels)));
    add_per_channel({weight.name + "/q", weight.name + "/scale", weight.name + "/zero"}, weight.name + "/dq");
    return scales;
  }

  void quantize_bias(const TensorProto& bias, float input_scale, const std::vector<float>& weight_scales) {
    if (!done_.insert(bias.name).second) return;
    const std::vector<float> values = floats_of(bias);
    std::vector<float> scales;
    std::vector<std::int32_t> codes;
    for (std::size_t c = 0; c < values.size(); ++c) {
      scales.push_back(input_scale * weight_scales[c]);
      const double code = std::nearbyint(static_cast<double>(values[c]) / scales[c]);
      codes.push_back(static_cast<std::int32_t>(std::clamp(code, -2147483648.0, 2147483647.0)));
    }
    tensors_.push_back(tensor(bias.name + "/q", DataType::int32, bias.dims, codes));
    tensors_.push_back(tensor(bias.name + "/scale", DataType::float32, bias.dims, scales));
    add_per_channel({bias.name + "/q", bias.name + "/scale"}, bias.name + "/dq");
  }

  void add_per_channel(std::vector<std::string> inputs, std::string output) {
    NodeProto one = node("DequantizeLinear", std::move(inputs), std::move(output));
    AttributeProto axis;
    axis.name = "axis";
    axis.type = static_cast<std::int32_t>(onnx::AttributeType::integer);
    axis.i = 0;
    one.attributes.push_back(std::move(axis));
    nodes_.push_back(std::move(one));
  }

  GraphProto& graph_;
  const ValueRanges& ranges_;
  std::map<std::string, const TensorProto*, std::less<>> initializers_;
  std::map<std::string, std::vector<const NodeProto*>, std::less<>> readers_;
  std::set<std::string, std::less<>> outputs_;
  std::map<std::string, Grid, std::less<>> grids_;  ///< of values that are quantized
  std::set<std::string, std::less<>> done_;         ///< weights and biases
  std::vector<NodeProto> nodes_;
  std::vector<TensorProto> tensors_;
};

}  // namespace

std::vector<std::byte> onnx_with_all_values(const Model& model) {
  const OnnxExport exported = export_onnx(model, OnnxForm::float32);
  ModelProto file = onnx::parse_model(exported.file, model.graph.name);
  std::set<std::string, std::less<>> known;
  for (const onnx::ValueInfo& output : file.graph.outputs) known.insert(output.name);
  const auto add = [&](const std::string& value) {
    if (!known.insert(value).second) return;
    onnx::ValueInfo info;
    info.name = value;
    info.type = DataType::float32;
    file.graph.outputs.push_back(std::move(info));
  };
  for (const NodeProto& one : file.graph.nodes) add(one.outputs.front());
  return onnx::write_model(file);
}

std::vector<std::byte> onnx_int8_qdq(const Model& model, const ValueRanges& ranges) {
  const OnnxExport exported = export_onnx(model, OnnxForm::float32);
  ModelProto file = onnx::parse_model(exported.file, model.graph.name);
  Quantizer(file, ranges).run();
  return onnx::write_model(file);
}

}  // namespace bitwright
