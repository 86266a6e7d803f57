// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/export.h"

#include "bitwright/core/error.h"
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/onnx/weight_graph.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <type_traits>

namespace bitwright {
namespace onnx {
namespace {

constexpr std::string_view kProducer = "bitwright";
constexpr std::string_view kBatchSymbol = "batch";
constexpr std::int64_t kUsualOpset = 17;

AttributeProto attribute_proto(const std::string& key, const Attribute& value) {
  return std::visit(
      [&key](const auto& held) {
        using Held = std::remove_cvref_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::int64_t>) {
          return int_attribute(key, held);
        } else if constexpr (std::is_same_v<Held, float>) {
          return float_attribute(key, held);
        } else if constexpr (std::is_same_v<Held, std::string>) {
          return text_attribute(key, held);
        } else if constexpr (std::is_same_v<Held, std::vector<std::int64_t>>) {
          return ints_attribute(key, held);
        } else {
          AttributeProto attribute;
          attribute.name = key;
          attribute.type = static_cast<std::int32_t>(AttributeType::reals);
          attribute.floats = held;
          return attribute;
        }
      },
      value);
}

/// Lays a model out as an ONNX graph.
class Exporter {
 public:
  Exporter(const Model& model, OnnxForm form) : model_(model), form_(form) {}

  OnnxExport run() {
    for (const GraphInput& input : model_.graph.inputs) take(input.name);
    for (const auto& [name, weight] : model_.weights) take(name);
    for (const Node& node : model_.graph.nodes) {
      for (const std::string& output : node.outputs) take(output);
    }
    for (const auto& [name, weight] : model_.weights) add_weight(name, weight);
    for (const Node& node : model_.graph.nodes) opset_ = std::max(opset_, opset_of(node));
    for (const std::string& name : shared_) file_.graph.initializers.push_back(shared_constant(name));
    for (const Node& node : model_.graph.nodes) add_node(node);
    add_values();
    add_metadata();
    file_.ir_version = opset_ >= 21 ? 10 : opset_ >= 19 ? 9 : 8;
    file_.producer_name = kProducer;
    file_.producer_version = "1";
    file_.opset_imports = {{"", opset_}};
    file_.graph.name = model_.graph.name;
    result_.loses_fixed_point = is_fixed_point(model_.graph);
    result_.file = write_model(file_);
    return std::move(result_);
  }

 private:
  void take(const std::string& name) {
    if (taken_.insert(name).second) return;
    fail(ErrorCode::unsupported, "{}: a value of the ONNX graph would be named \"{}\" twice; rename that value or weight.",
         model_.graph.name, name);
  }

  void add_weight(const std::string& name, const Weight& weight) {
    if (const auto* tensor = std::get_if<FloatTensor>(&weight)) {
      TensorProto proto;
      proto.name = name;
      proto.data_type = DataType::float32;
      proto.dims = tensor->shape.dims();
      proto.has_raw = true;
      proto.raw = std::as_bytes(std::span(tensor->values));
      file_.graph.initializers.push_back(std::move(proto));
      return;
    }
    const auto& quantized = std::get<QuantizedTensor>(weight);
    if (form_ == OnnxForm::float32) {
      file_.graph.initializers.push_back(float_tensor(name, quantized.shape().dims(), quantized.dequantize()));
      return;
    }
    WeightGraph graph = form_ == OnnxForm::qdq ? qdq_graph(name, quantized) : codebook_graph(name, quantized);
    note_loss(name, quantized, graph.values);
    for (TensorProto& tensor : graph.initializers) {
      take(tensor.name);
      file_.graph.initializers.push_back(std::move(tensor));
    }
    for (NodeProto& node : graph.nodes) {
      if (node.outputs.front() != name) take(node.outputs.front());
      file_.graph.nodes.push_back(std::move(node));
    }
    for (const std::string& constant : graph.shared) {
      if (shared_.insert(constant).second) take(constant);
    }
    opset_ = std::max(opset_, graph.opset);
    if (!graph.note.empty()) notes_.emplace_back(std::string(kWeightNotePrefix) + name, std::move(graph.note));
  }

  void note_loss(const std::string& name, const QuantizedTensor& tensor, std::span<const float> found) {
    WeightLoss loss{.weight = name, .largest_error = 0.0, .largest_magnitude = 0.0};
    const std::vector<float> wanted = tensor.dequantize();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      loss.largest_error = std::max(loss.largest_error, std::abs(static_cast<double>(found[i]) - wanted[i]));
      loss.largest_magnitude = std::max(loss.largest_magnitude, std::abs(static_cast<double>(wanted[i])));
    }
    if (loss.largest_error > 0.0) result_.losses.push_back(std::move(loss));
  }

  static std::int64_t opset_of(const Node& node) {
    const std::string_view op = op_entry(node.op).name;
    if (op == "Gelu") return 20;
    const std::vector<std::int64_t> dilations = node.ints_attribute("dilations", {});
    if (op == "AveragePool" && std::ranges::any_of(dilations, [](std::int64_t d) { return d != 1; })) return 19;
    return kUsualOpset;
  }

  /// Moves an attribute of the model into an input, as today's operator sets have it. An absent one is an omitted input.
  void move_to_input(const Node& node, NodeProto& proto, std::string_view key) {
    const auto found = node.attributes.find(std::string(key));
    if (found == node.attributes.end()) {
      proto.inputs.emplace_back();
      return;
    }
    std::string name = node.name + "/" + std::string(key);
    while (!taken_.insert(name).second) name += "'";
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&found->second)) {
      file_.graph.initializers.push_back(int64_tensor(name, {std::ssize(*list)}, *list));
    } else {
      const float value = std::get<float>(found->second);
      file_.graph.initializers.push_back(float_tensor(name, {}, std::span(&value, 1)));
    }
    proto.inputs.push_back(std::move(name));
  }

  void add_node(const Node& node) {
    const std::string_view op = op_entry(node.op).name;
    NodeProto proto;
    proto.name = node.name;
    proto.op_type = op;
    proto.inputs = node.inputs;
    proto.outputs = node.outputs;
    struct Moved {
      std::string_view op;
      std::vector<std::string_view> keys;
    };
    static const std::array<Moved, 6> kMoved = {{{"Slice", {"starts", "ends", "axes", "steps"}},
                                                 {"Pad", {"pads", "value"}},
                                                 {"Clip", {"min", "max"}},
                                                 {"Dropout", {"ratio"}},
                                                 {"Gather", {"indices"}},
                                                 {"Reshape", {"shape"}}}};
    std::vector<std::string_view> moved;
    if (const auto found = std::ranges::find(kMoved, op, &Moved::op); found != kMoved.end()) moved = found->keys;
    if (op == "ReduceMean" && opset_ >= 18) moved = {"axes"};
    for (const std::string_view key : moved) move_to_input(node, proto, key);
    while (!proto.inputs.empty() && proto.inputs.back().empty()) proto.inputs.pop_back();
    for (const auto& [key, value] : node.attributes) {
      const bool is_ours = key == kInputFormatAttribute || key == kOutputFormatAttribute || is_activation_scale(key);
      // AveragePool has dilations since opset 19 only; where they are one they say nothing.
      const bool says_nothing = op == "AveragePool" && key == "dilations" && opset_ < 19;
      if (is_ours || says_nothing || std::ranges::find(moved, key) != moved.end()) continue;
      proto.attributes.push_back(attribute_proto(key, value));
    }
    file_.graph.nodes.push_back(std::move(proto));
  }

  void add_values() {
    const ShapeMap weights = weight_shapes(model_);
    const Shape& first = model_.graph.inputs.front().shape;
    const bool is_free = first.rank() == 0 || first[0] == Shape::kDynamic;
    const ShapeMap one = infer_shapes(model_.graph, weights, is_free ? 1 : first[0]);
    const ShapeMap two = is_free ? infer_shapes(model_.graph, weights, 2) : one;
    const auto value = [&](const std::string& name) {
      ValueInfo info{.name = name, .type = DataType::float32, .has_shape = true, .dims = {}};
      const Shape& shape = one.at(name);
      for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        const bool grows = two.at(name)[axis] != shape[axis];
        // An extent that grows otherwise than the batch gets no name.
        const bool is_batch = grows && shape[axis] == 1 && two.at(name)[axis] == 2;
        info.dims.push_back(
            {.value = grows ? std::nullopt : std::optional(shape[axis]), .symbol = is_batch ? std::string(kBatchSymbol) : ""});
      }
      return info;
    };
    for (const GraphInput& input : model_.graph.inputs) file_.graph.inputs.push_back(value(input.name));
    for (const std::string& output : model_.graph.outputs) file_.graph.outputs.push_back(value(output));
  }

  void add_metadata() {
    const auto numbers = [](const std::vector<float>& values) {
      std::string text;
      for (const float value : values) text += (text.empty() ? "" : " ") + fmt::format("{}", value);
      return text;
    };
    const auto add = [this](std::string key, std::string text) { file_.metadata.emplace_back(std::move(key), std::move(text)); };
    if (!model_.input_transform.mean.empty()) add("bitwright.input_mean", numbers(model_.input_transform.mean));
    if (!model_.input_transform.std.empty()) add("bitwright.input_std", numbers(model_.input_transform.std));
    if (!model_.class_names.empty()) {
      std::string text;
      for (const std::string& name : model_.class_names) text += name + "\n";
      add("bitwright.class_names", std::move(text));
    }
    for (const auto& [key, note] : model_.notes) add("bitwright.note." + key, note);
    for (auto& entry : notes_) file_.metadata.push_back(std::move(entry));
  }

  const Model& model_;
  OnnxForm form_;
  ModelProto file_;
  OnnxExport result_;
  std::int64_t opset_ = kUsualOpset;
  std::set<std::string> taken_;
  std::set<std::string> shared_;
  std::vector<std::pair<std::string, std::string>> notes_;
};

}  // namespace
}  // namespace onnx

OnnxForm parse_onnx_form(std::string_view text) {
  for (const OnnxForm form : {OnnxForm::float32, OnnxForm::qdq, OnnxForm::codebook}) {
    if (text == onnx_form_name(form)) return form;
  }
  fail(ErrorCode::usage, "form \"{}\" is not known (need float, qdq or codebook); correct it.", text);
}

std::string_view onnx_form_name(OnnxForm form) noexcept {
  switch (form) {
    case OnnxForm::float32: return "float";
    case OnnxForm::qdq: return "qdq";
    case OnnxForm::codebook: return "codebook";
  }
  return "";
}

bool WeightLoss::is_beyond_rounding() const noexcept {
  constexpr double kFourUlps = 4.0 / (1 << 23);
  return largest_error > kFourUlps * largest_magnitude;
}

std::string OnnxExport::loss_text() const {
  std::string text;
  if (!losses.empty()) {
    const auto worst = std::ranges::max_element(losses, {}, &WeightLoss::largest_error);
    text = fmt::format("at most {:.3g} in weight \"{}\" ({} of the weights differ{})", worst->largest_error, worst->weight, losses.size(),
                       std::ranges::any_of(losses, &WeightLoss::is_beyond_rounding) ? "" : ", by rounding of float32 only");
  }
  if (loses_fixed_point)
    text += std::string(text.empty() ? "" : "; ") + "the fixed-point rounding of activations, which are float32 in the file";
  return text.empty() ? "nothing" : text;
}

OnnxExport export_onnx(const Model& model, OnnxForm form, LossPolicy policy) {
  validate(model);
  OnnxExport result = onnx::Exporter(model, form).run();
  const bool loses = result.loses_fixed_point || std::ranges::any_of(result.losses, &WeightLoss::is_beyond_rounding);
  if (loses && policy == LossPolicy::refuse) {
    fail(ErrorCode::unsupported,
         "{}: the {} form loses more than rounding (it loses {}); allow it with --allow-loss or choose the codebook form.",
         model.graph.name, onnx_form_name(form), result.loss_text());
  }
  return result;
}

}  // namespace bitwright
