// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/import_rules.h"

#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/text_rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bitwright::onnx {
namespace {

constexpr std::array kEntries = {
#define BITWRIGHT_IMPORT(name, rule, target) ImportEntry{#name, target, &rule},
#include "bitwright/onnx/import_rules.inc"
#undef BITWRIGHT_IMPORT
};

[[noreturn]] void fail_type(const NodeProto& node, std::string_view key) {
  fail(ErrorCode::invalid_input, "node {}: attribute \"{}\" has the wrong type; check the model.", Importer::node_text(node), key);
}

void require_type(const NodeProto& node, const AttributeProto& attribute, AttributeType type) {
  // Files before IR version 3 may leave the type out.
  if (attribute.type != static_cast<std::int32_t>(type) && attribute.type != 0) fail_type(node, attribute.name);
}

std::vector<std::string> operands(Importer& importer, const NodeProto& node) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) names.push_back(Importer::has_input(node, i) ? importer.operand(node, i) : "");
  return names;
}

void require_one_output(const Importer& importer, const NodeProto& node) {
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    if (importer.is_read(node.outputs[i]))
      Importer::refuse(node, "with more than one output is not supported; export the network for inference.");
  }
}

/// Height and width of an input of Conv or a pooling operator. A sequence (one spatial axis) is an image of height 1.
class SpatialView {
 public:
  SpatialView(Importer& importer, const NodeProto& node) : importer_(importer), node_(node), src_(importer.activation(node, 0)) {
    const std::size_t rank = src_.one.rank();
    if (rank != 3 && rank != 4) {
      Importer::refuse(node,
                       fmt::format("over {} spatial axes is not supported (need 1 or 2); rewrite the node.", rank < 2 ? 0 : rank - 2));
    }
  }

  [[nodiscard]] bool is_sequence() const { return src_.one.rank() == 3; }

  /// Emits the operator on the image; what it gives for a sequence loses its height again.
  void emit(std::string_view op, std::vector<std::string> further_inputs, std::map<std::string, Attribute> attributes) {
    std::vector<Extent> extents = src_.extents();
    if (is_sequence()) extents.insert(extents.begin() + 2, Extent{.fixed = 1, .per_image = 0});
    std::vector<std::string> inputs = {is_sequence() ? importer_.emit_reshape(node_, src_, extents, "") : src_.name};
    inputs.insert(inputs.end(), further_inputs.begin(), further_inputs.end());
    if (!is_sequence()) {
      importer_.emit(node_, op, std::move(inputs), std::move(attributes), node_.outputs.front());
      return;
    }
    for (auto& [key, attribute] : attributes) {
      auto* const values = std::get_if<std::vector<std::int64_t>>(&attribute);
      if (values == nullptr) continue;
      const bool is_pads = key == "pads";
      if (values->size() != (is_pads ? 2U : 1U)) {
        fail(ErrorCode::invalid_input, "node {}: \"{}\" does not fit one spatial axis (found {} values); check the model.",
             Importer::node_text(node_), key, values->size());
      }
      *values = is_pads ? std::vector<std::int64_t>{0, (*values)[0], 0, (*values)[1]} : std::vector<std::int64_t>{1, (*values)[0]};
    }
    const Activation made = importer_.activation_named(importer_.emit(node_, op, std::move(inputs), std::move(attributes), ""));
    std::vector<Extent> result = made.extents();
    result.erase(result.begin() + 2);
    importer_.emit_reshape(node_, made, result, node_.outputs.front());
  }

 private:
  Importer& importer_;
  const NodeProto& node_;
  Activation src_;
};

/// Pads of one axis so that the output is the input over the stride, rounded up; the odd one at the end (SAME_UPPER) or begin.
void same_pads(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation, std::string_view mode, std::int64_t& begin,
               std::int64_t& end) {
  const std::int64_t out = (in + stride - 1) / stride;
  const std::int64_t pads = std::max<std::int64_t>(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - in);
  begin = mode == "SAME_LOWER" ? pads - pads / 2 : pads / 2;
  end = pads - begin;
}

/// Writes the pads out where `auto_pad` asks for them. `weight`: of Conv, which may leave `kernel_shape` to it.
std::map<std::string, Attribute> window_attributes(Importer& importer, const NodeProto& node, const std::optional<Shape>& weight) {
  static constexpr std::array<std::string_view, 1> kWithout = {"auto_pad"};
  std::map<std::string, Attribute> attributes = Importer::attributes(node, kWithout);
  const std::string mode = Importer::text_attribute(node, "auto_pad", "NOTSET");
  if (mode == "NOTSET" || mode.empty()) return attributes;
  if (mode == "VALID") {
    attributes.erase("pads");
    return attributes;
  }
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER") Importer::refuse(node, "with this auto_pad is not supported; write the pads out.");
  const Shape& src = importer.activation(node, 0).one;
  std::vector<std::int64_t> kernel = Importer::ints_attribute(node, "kernel_shape").value_or(std::vector<std::int64_t>{});
  if (kernel.empty() && weight && weight->rank() == 4) kernel = {(*weight)[2], (*weight)[3]};
  const std::vector<std::int64_t> strides = Importer::ints_attribute(node, "strides").value_or(std::vector<std::int64_t>{1, 1});
  const std::vector<std::int64_t> dilations = Importer::ints_attribute(node, "dilations").value_or(std::vector<std::int64_t>{1, 1});
  const auto is_sane = [](const std::vector<std::int64_t>& values) {
    return values.size() == 2 && std::ranges::all_of(values, [](std::int64_t v) { return v >= 1 && v <= limits::kMaxExtent; });
  };
  if (src.rank() != 4 || !is_sane(kernel) || !is_sane(strides) || !is_sane(dilations)) {
    Importer::refuse(node, "with auto_pad over anything but height and width is not supported; rewrite the node.");
  }
  std::vector<std::int64_t> pads(4);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    same_pads(src[2 + axis], kernel[axis], strides[axis], dilations[axis], mode, pads[axis], pads[2 + axis]);
  }
  attributes.insert_or_assign("pads", std::move(pads));
  return attributes;
}

std::optional<std::string> bias_operand(Importer& importer, const NodeProto& node, std::int64_t channels) {
  if (!Importer::has_input(node, 2)) return std::nullopt;
  if (!importer.is_constant(node, 2)) Importer::refuse(node, "with a computed bias is not supported; store it as a weight.");
  const Value& value = importer.value(node, 2);
  const bool is_stored = std::holds_alternative<QuantizedTensor>(value);
  const std::int64_t count = is_stored ? channels : importer.constant(node, 2).shape.element_count();
  if (count == channels) return importer.weight(node, 2, Layout::as_stored, Shape{channels});
  if (count != 1)
    Importer::refuse(
        node, fmt::format("with a bias of {} values is not supported (need one per output, {}); rewrite the node.", count, channels));
  return importer.add_weight(node.inputs[2],
                             {.shape = Shape{channels},
                              .values = std::vector<float>(static_cast<std::size_t>(channels), importer.constant(node, 2).floats.at(0))});
}

/// Refuses a constant that has an extent of its own for every image of the batch: here the batch is free.
void require_free_batch(Importer& importer, const NodeProto& node) {
  std::size_t rank = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (Importer::has_input(node, i) && !importer.is_constant(node, i)) rank = std::max(rank, importer.activation(node, i).one.rank());
  }
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (rank == 0 || !importer.is_constant(node, i) || importer.constant_rank(node, i) != rank) continue;
    const std::int64_t images = importer.constant(node, i).shape[0];
    if (images == 1) continue;
    Importer::refuse(node, fmt::format("with a constant for {} images is not supported (the batch is free); rewrite the node.", images));
  }
}

/// The second operand of a binary operator before opset 7, whose first axis stands for axis `axis` of the first: with axes of extent 1
/// behind.
std::string aligned_operand(Importer& importer, const NodeProto& node, std::int64_t axis) {
  const auto rank =
      static_cast<std::int64_t>(importer.is_constant(node, 0) ? importer.constant_rank(node, 0) : importer.activation(node, 0).one.rank());
  const bool is_constant = importer.is_constant(node, 1);
  const auto own = static_cast<std::int64_t>(is_constant ? importer.constant_rank(node, 1) : importer.activation(node, 1).one.rank());
  const std::int64_t behind = rank - (axis < 0 ? axis + rank : axis) - own;
  if (behind < 0 || behind > rank) {
    fail(ErrorCode::invalid_input, "node {}: axis {} leaves no room for {} axes of {}; check the model.", Importer::node_text(node), axis,
         own, rank);
  }
  if (behind == 0) return importer.operand(node, 1);
  if (is_constant) {
    std::vector<std::int64_t> dims = importer.constant(node, 1).shape.dims();
    dims.insert(dims.end(), static_cast<std::size_t>(behind), 1);
    return importer.weight(node, 1, Layout::as_stored, Shape(dims));
  }
  const Activation src = importer.activation(node, 1);
  std::vector<Extent> extents = src.extents();
  extents.insert(extents.end(), static_cast<std::size_t>(behind), Extent{.fixed = 1, .per_image = 0});
  return importer.emit_reshape(node, src, extents, "");
}

std::int64_t bucket_of_axis(const Dequantized& dequantized) {
  std::int64_t inner = 1;
  for (std::size_t axis = 1; axis < dequantized.shape.rank(); ++axis) inner *= dequantized.shape[axis];
  return inner;
}

/// Scales by row: one for each extent of axis 0, or one in all.
std::size_t scale_index(const Dequantized& dequantized, std::size_t element) {
  if (dequantized.scales.size() == 1) return 0;
  std::size_t inner = 1;
  for (std::size_t axis = dequantized.axis + 1; axis < dequantized.shape.rank(); ++axis)
    inner *= static_cast<std::size_t>(dequantized.shape[axis]);
  return element / inner % static_cast<std::size_t>(dequantized.shape[dequantized.axis]);
}

}  // namespace

std::span<const ImportEntry> import_entries() noexcept { return kEntries; }

std::int64_t Importer::int_attribute(const NodeProto& node, std::string_view key, std::int64_t fallback) {
  const AttributeProto* attribute = node.attribute(key);
  if (attribute == nullptr) return fallback;
  require_type(node, *attribute, AttributeType::integer);
  return attribute->i;
}

float Importer::float_attribute(const NodeProto& node, std::string_view key, float fallback) {
  const AttributeProto* attribute = node.attribute(key);
  if (attribute == nullptr) return fallback;
  require_type(node, *attribute, AttributeType::real);
  return attribute->f;
}

std::string Importer::text_attribute(const NodeProto& node, std::string_view key, std::string_view fallback) {
  const AttributeProto* attribute = node.attribute(key);
  if (attribute == nullptr) return std::string(fallback);
  require_type(node, *attribute, AttributeType::text);
  return attribute->s;
}

std::optional<std::vector<std::int64_t>> Importer::ints_attribute(const NodeProto& node, std::string_view key) {
  const AttributeProto* attribute = node.attribute(key);
  if (attribute == nullptr) return std::nullopt;
  require_type(node, *attribute, AttributeType::integers);
  if (attribute->ints.size() > limits::kMaxAttributeValues) refuse(node, "has an attribute with too many values; check the model.");
  return attribute->ints;
}

std::map<std::string, Attribute> Importer::attributes(const NodeProto& node, std::span<const std::string_view> without) {
  std::map<std::string, Attribute> result;
  for (const AttributeProto& attribute : node.attributes) {
    if (std::ranges::find(without, attribute.name) != without.end()) continue;
    if (attribute.name == "consumed_inputs") continue;  // a hint to executors of opset 1
    if (attribute.name.size() > limits::kMaxNameBytes || attribute.s.size() > limits::kMaxTextBytes ||
        attribute.ints.size() > limits::kMaxAttributeValues || attribute.floats.size() > limits::kMaxAttributeValues) {
      refuse(node, "has an attribute that is too large; check the model.");
    }
    switch (static_cast<AttributeType>(attribute.type)) {
      case AttributeType::real: result[attribute.name] = attribute.f; break;
      case AttributeType::integer: result[attribute.name] = attribute.i; break;
      case AttributeType::text: result[attribute.name] = attribute.s; break;
      case AttributeType::reals: result[attribute.name] = attribute.floats; break;
      case AttributeType::integers: result[attribute.name] = attribute.ints; break;
      default:
        refuse(node, fmt::format("has an attribute \"{}\" of a type that is not supported; rewrite the node.", escaped(attribute.name)));
    }
  }
  return result;
}

void import_plain(Importer& importer, const NodeProto& node) {
  importer.emit(node, node.op_type, operands(importer, node), Importer::attributes(node), node.outputs.front());
}

void import_folded(Importer&, const NodeProto& node) { Importer::refuse(node, "of computed values is not supported; rewrite the node."); }

void import_identity(Importer& importer, const NodeProto& node) { importer.set_output(node, 0, importer.value(node, 0)); }

void import_cast(Importer& importer, const NodeProto& node) {
  const auto to = static_cast<DataType>(Importer::int_attribute(node, "to", 0));
  if (!TensorBytes::is_float(to))
    Importer::refuse(node, fmt::format("of computed values to {} is not supported (need FLOAT); rewrite the node.", data_type_name(to)));
  if (to != DataType::float32) importer.remark("computed values were cast to other float types; they stay float32.");
  importer.set_output(node, 0, importer.value(node, 0));
}

void import_binary(Importer& importer, const NodeProto& node) {
  const bool is_aligned = node.inputs.size() == 2 && importer.opset() < 7 && node.attribute("axis") != nullptr &&
                          Importer::int_attribute(node, "broadcast", 0) != 0;
  const std::vector<std::string> inputs =
      is_aligned ? std::vector{importer.operand(node, 0), aligned_operand(importer, node, Importer::int_attribute(node, "axis", 0))}
                 : operands(importer, node);
  require_free_batch(importer, node);
  importer.emit(node, node.op_type, inputs, {}, node.outputs.front());
}

void import_concat(Importer& importer, const NodeProto& node) {
  for (std::size_t i = 0; i < node.inputs.size(); ++i) (void)importer.activation(node, i);
  std::map<std::string, Attribute> attributes = Importer::attributes(node);
  if (importer.opset() < 4) attributes.emplace("axis", std::int64_t{1});  // the default of those days
  importer.emit(node, "Concat", operands(importer, node), std::move(attributes), node.outputs.front());
}

void import_prelu(Importer& importer, const NodeProto& node) {
  const Activation src = importer.activation(node, 0);
  require_free_batch(importer, node);
  if (importer.opset() >= 7 || !importer.is_constant(node, 1) || importer.constant_rank(node, 1) != 1 || src.one.rank() < 3) {
    return import_plain(importer, node);
  }
  // Before opset 7 a list of slopes was one per channel.
  std::vector<std::int64_t> dims(src.one.rank() - 1, 1);
  dims[0] = importer.constant(node, 1).shape.element_count();
  importer.emit(node, "PRelu", {src.name, importer.weight(node, 1, Layout::as_stored, Shape(dims))}, {}, node.outputs.front());
}

void import_sum(Importer& importer, const NodeProto& node) {
  require_free_batch(importer, node);
  const std::vector<std::string> inputs = operands(importer, node);
  if (inputs.empty()) Importer::refuse(node, "without inputs is not supported (need 1 or more); check the model.");
  if (inputs.size() == 1) return importer.set_output(node, 0, importer.value(node, 0));
  std::string sum = inputs.front();
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    sum = importer.emit(node, "Add", {sum, inputs[i]}, {}, i + 1 == inputs.size() ? node.outputs.front() : std::string());
  }
}

void import_batch_normalization(Importer& importer, const NodeProto& node) {
  require_one_output(importer, node);
  if (Importer::int_attribute(node, "spatial", 1) != 1) Importer::refuse(node, "with spatial = 0 is not supported; rewrite the node.");
  if (Importer::int_attribute(node, "training_mode", 0) != 0)
    Importer::refuse(node, "in training mode is not supported; export for inference.");
  if (importer.opset() < 7 && Importer::int_attribute(node, "is_test", 0) == 0) {
    Importer::refuse(node, "in training mode (is_test = 0) is not supported; export for inference.");
  }
  static constexpr std::array<std::string_view, 3> kWithout = {"spatial", "training_mode", "is_test"};
  importer.emit(node, "BatchNormalization", operands(importer, node), Importer::attributes(node, kWithout), node.outputs.front());
}

void import_window(Importer& importer, const NodeProto& node) {
  SpatialView view(importer, node);
  view.emit(node.op_type, {}, window_attributes(importer, node, {}));
}

void import_global_pool(Importer& importer, const NodeProto& node) { SpatialView(importer, node).emit(node.op_type, {}, {}); }

void import_conv(Importer& importer, const NodeProto& node) {
  if (!importer.is_constant(node, 1)) Importer::refuse(node, "with computed weights is not supported; store them as weights.");
  SpatialView view(importer, node);
  std::optional<Shape> on_images;
  if (view.is_sequence() && importer.constant_rank(node, 1) == 3) {
    const Shape on_sequences = importer.constant(node, 1).shape;
    on_images = Shape{on_sequences[0], on_sequences[1], 1, on_sequences[2]};
  }
  std::vector<std::string> inputs = {importer.weight(node, 1, Layout::as_stored, on_images)};
  const Shape weight = importer.weight_shape_named(inputs[0]);
  if (weight.rank() == 0) Importer::refuse(node, "with a scalar for weights is not supported; check the model.");
  if (const auto bias = bias_operand(importer, node, weight[0])) inputs.push_back(*bias);
  view.emit("Conv", std::move(inputs), window_attributes(importer, node, weight));
}

void import_gemm(Importer& importer, const NodeProto& node) {
  (void)importer.activation(node, 0);
  if (!importer.is_constant(node, 1)) Importer::refuse(node, "with computed weights is not supported; store them as weights.");
  if (Importer::int_attribute(node, "transA", 0) != 0) Importer::refuse(node, "with transA = 1 is not supported; rewrite the node.");
  const Layout layout = Importer::int_attribute(node, "transB", 0) != 0 ? Layout::as_stored : Layout::transposed;
  std::string weight = importer.weight(node, 1, layout);
  const Shape shape = importer.weight_shape_named(weight);
  if (shape.rank() != 2)
    Importer::refuse(node, fmt::format("with weights {} is not supported (need a matrix); check the model.", shape.to_string()));
  std::vector<std::string> inputs = {importer.operand(node, 0), weight};
  if (const auto bias = bias_operand(importer, node, shape[0])) inputs.push_back(*bias);
  const std::array<std::pair<const char*, std::size_t>, 2> factors = {{{"alpha", 1}, {"beta", 2}}};
  for (const auto& [key, input] : factors) {
    const float factor = Importer::float_attribute(node, key, 1.0F);
    if (factor == 1.0F || inputs.size() <= input) continue;
    FloatTensor scaled{.shape = importer.weight_shape_named(inputs[input]), .values = importer.weight_values_named(inputs[input])};
    for (float& value : scaled.values) value *= factor;
    inputs[input] = importer.replace_weight(inputs[input], std::move(scaled));
  }
  importer.emit(node, "Gemm", std::move(inputs), {{"transB", std::int64_t{1}}}, node.outputs.front());
}

void import_mat_mul(Importer& importer, const NodeProto& node) {
  const bool is_matrix = !importer.is_constant(node, 0) && importer.activation(node, 0).one.rank() == 2;
  if (!is_matrix || !importer.is_constant(node, 1) || importer.constant_rank(node, 1) != 2) {
    importer.emit(node, "MatMul", operands(importer, node), {}, node.outputs.front());
    return;
  }
  importer.emit(node, "Gemm", {importer.operand(node, 0), importer.weight(node, 1, Layout::transposed)}, {{"transB", std::int64_t{1}}},
                node.outputs.front());
}

void import_clip(Importer& importer, const NodeProto& node) {
  const auto limit = [&](std::size_t input, const char* key) -> std::optional<float> {
    std::optional<float> value;
    if (Importer::has_input(node, input)) {
      const Constant found = importer.constant(node, input);
      if (found.floats.size() != 1) Importer::refuse(node, "with a limit that is no float number is not supported; check the model.");
      value = found.floats[0];
    } else if (node.attribute(key) != nullptr) {
      value = Importer::float_attribute(node, key, 0.0F);
    }
    if (value && (std::isinf(*value) || std::abs(*value) == std::numeric_limits<float>::max())) value.reset();
    return value;
  };
  const auto low = limit(1, "min");
  const auto high = limit(2, "max");
  const Activation& src = importer.activation(node, 0);
  if (!low && !high) return importer.set_output(node, 0, src);
  if (low == 0.0F && !high) {
    importer.emit(node, "Relu", {src.name}, {}, node.outputs.front());
    return;
  }
  std::map<std::string, Attribute> attributes;
  if (low) attributes["min"] = *low;
  if (high) attributes["max"] = *high;
  importer.emit(node, "Clip", {src.name}, std::move(attributes), node.outputs.front());
}

void import_dropout(Importer& importer, const NodeProto& node) {
  std::map<std::string, Attribute> attributes;
  if (node.attribute("ratio") != nullptr) attributes["ratio"] = Importer::float_attribute(node, "ratio", 0.5F);
  if (node.attribute("seed") != nullptr) attributes["seed"] = Importer::int_attribute(node, "seed", 0);
  if (Importer::has_input(node, 1)) {
    const Constant found = importer.constant(node, 1);
    if (found.floats.size() != 1) Importer::refuse(node, "with a ratio that is no number is not supported; check the model.");
    attributes["ratio"] = found.floats[0];
  }
  if (Importer::has_input(node, 2) && importer.integers(node, 2) != std::vector<std::int64_t>{0}) {
    Importer::refuse(node, "in training mode is not supported; export the network for inference.");
  }
  importer.emit(node, "Dropout", {importer.activation(node, 0).name}, std::move(attributes), node.outputs.front());
}

void import_softmax(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  const auto rank = static_cast<std::int64_t>(src.one.rank());
  const std::int64_t stated = Importer::int_attribute(node, "axis", importer.opset() < 13 ? 1 : -1);
  const std::int64_t axis = stated < 0 ? stated + rank : stated;
  if (axis < 0 || axis >= rank)
    Importer::refuse(node, fmt::format("over axis {} of {} axes makes no sense; check the model.", stated, rank));
  if (importer.opset() < 13) {
    // Before opset 13 all axes from this one on are taken together: the same only where the later ones hold one element.
    for (std::int64_t later = axis + 1; later < rank; ++later) {
      if (src.one[static_cast<std::size_t>(later)] != 1)
        Importer::refuse(node, "over several axes at once is not supported; export with opset 13.");
    }
  }
  std::map<std::string, Attribute> attributes;
  if (importer.opset() < 13 || node.attribute("axis") != nullptr) attributes["axis"] = importer.opset() < 13 ? axis : stated;
  importer.emit(node, "Softmax", {src.name}, std::move(attributes), node.outputs.front());
}

void import_layer_normalization(Importer& importer, const NodeProto& node) {
  static constexpr std::array<std::string_view, 1> kWithout = {"stash_type"};
  importer.emit(node, "LayerNormalization", operands(importer, node), Importer::attributes(node, kWithout), node.outputs.front());
}

void import_quantize(Importer& importer, const NodeProto& node) {
  importer.remark("activations were quantized in the file; they stay float32 here, so answers differ by that rounding.");
  importer.set_output(node, 0, importer.activation(node, 0));
}

void import_dequantize(Importer& importer, const NodeProto& node) {
  if (const auto* activation = std::get_if<Activation>(&importer.value(node, 0))) return importer.set_output(node, 0, *activation);
  const auto* tensor = std::get_if<const TensorProto*>(&importer.value(node, 0));
  if (tensor == nullptr) Importer::refuse(node, "of a folded constant is not supported; store the integers in an initializer.");
  if (Importer::int_attribute(node, "block_size", 0) != 0)
    Importer::refuse(node, "by blocks is not supported; scale by tensor or by axis.");
  Dequantized result{
      .shape = importer.tensors().shape(**tensor), .type = (*tensor)->data_type, .codes = {}, .zero_points = {0}, .scales = {}, .axis = 0};
  if (TensorBytes::is_float(result.type) || data_type_bits(result.type) > 32) {
    Importer::refuse(
        node, fmt::format("of {} is not supported (need integers of at most 32 bits); rewrite the node.", data_type_name(result.type)));
  }
  result.codes = importer.tensors().integers(**tensor);
  const Constant scale = importer.constant(node, 1);
  result.scales = scale.floats;
  if (Importer::has_input(node, 2)) result.zero_points = importer.integers(node, 2);
  const auto rank = static_cast<std::int64_t>(result.shape.rank());
  const std::int64_t stated = Importer::int_attribute(node, "axis", 1);
  const std::int64_t axis = stated < 0 ? stated + rank : stated;
  if (result.scales.size() != 1) {
    if (scale.shape.rank() != 1 || axis < 0 || axis >= rank || std::ssize(result.scales) != result.shape[static_cast<std::size_t>(axis)]) {
      fail(ErrorCode::invalid_input, "node {}: the scales do not fit the integers (found {} on axis {} of {}); check the model.",
           Importer::node_text(node), scale.shape.to_string(), stated, result.shape.to_string());
    }
    result.axis = static_cast<std::size_t>(axis);
  }
  if (result.zero_points.size() != 1 && result.zero_points.size() != result.scales.size()) {
    fail(ErrorCode::invalid_input, "node {}: zero points and scales differ in number (found {} and {}); check the model.",
         Importer::node_text(node), result.zero_points.size(), result.scales.size());
  }
  for (const std::int64_t zero_point : result.zero_points) {
    if (zero_point > limits::kMaxExtent || zero_point < -limits::kMaxExtent) {
      fail(ErrorCode::invalid_input, "node {}: a zero point is out of range (found {}, need at most {}); check the model.",
           Importer::node_text(node), zero_point, limits::kMaxExtent);
    }
  }
  for (const float value : result.scales) {
    if (!std::isfinite(value) || value <= 0.0F) {
      fail(ErrorCode::invalid_input, "node {}: a scale is wrong (found {}, need a finite number above 0); check the model.",
           Importer::node_text(node), value);
    }
  }
  importer.set_output(node, 0, std::move(result));
}

Weight integer_weight(const Dequantized& source) {
  const std::size_t count = source.codes.size();
  const auto zero_point = [&](std::size_t element) {
    return source.zero_points[source.zero_points.size() == 1 ? 0 : scale_index(source, element)];
  };
  std::vector<std::int64_t> steps(count);
  for (std::size_t i = 0; i < count; ++i) steps[i] = source.codes[i] - zero_point(i);
  const bool is_one_scale = source.scales.size() == 1;
  const int bits = data_type_bits(source.type);
  const auto [low_found, high_found] = count == 0 ? std::pair<std::int64_t, std::int64_t>{0, 0}
                                                  : std::pair(*std::ranges::min_element(steps), *std::ranges::max_element(steps));
  int exponent = 0;
  if (bits == 16 && is_one_scale && std::frexp(source.scales[0], &exponent) == 0.5F && exponent <= 1 && exponent >= -14 &&
      low_found >= -32768 && high_found <= 32767) {
    const FixedPoint format{.int_bits = 16 - (1 - exponent), .frac_bits = 1 - exponent};
    return QuantizedTensor(format, source.shape, {steps.begin(), steps.end()}, FixedPoint::Parameters{});
  }
  if (count == 0 || bits > 16 || source.shape.rank() == 0 || (!is_one_scale && source.axis != 0)) {
    FloatTensor floats{.shape = source.shape, .values = std::vector<float>(count)};
    for (std::size_t i = 0; i < count; ++i) floats.values[i] = static_cast<float>(steps[i]) * source.scales[scale_index(source, i)];
    return floats;
  }
  // One point per integer that the type can hold around each zero point, so that files of one kind give formats of one kind.
  const bool is_signed = source.type == DataType::int4 || source.type == DataType::int8 || source.type == DataType::int16;
  const std::int64_t lowest = is_signed ? -(std::int64_t{1} << (bits - 1)) : 0;
  const auto [zero_low, zero_high] = std::ranges::minmax(source.zero_points);
  const std::int64_t first = std::min(lowest - zero_high, low_found);
  const std::int64_t last = std::max(lowest + (std::int64_t{1} << bits) - 1 - zero_low, high_found);
  const std::int64_t levels = last - first + 1;
  if (levels > 65536) {
    FloatTensor floats{.shape = source.shape, .values = std::vector<float>(count)};
    for (std::size_t i = 0; i < count; ++i) floats.values[i] = static_cast<float>(steps[i]) * source.scales[scale_index(source, i)];
    return floats;
  }
  Codebook format{.levels = static_cast<int>(levels), .bucket_size = std::nullopt};
  if (!is_one_scale) format.bucket_size = bucket_of_axis(source);
  Codebook::Parameters parameters;
  for (std::int64_t step = first; step <= last; ++step) parameters.points.push_back(static_cast<float>(step));
  for (const float scale : source.scales) parameters.buckets.push_back({.scale = scale, .min = 0.0F});
  std::vector<std::int32_t> codes;
  for (const std::int64_t step : steps) codes.push_back(static_cast<std::int32_t>(step - first));
  return QuantizedTensor(format, source.shape, std::move(codes), std::move(parameters));
}

}  // namespace bitwright::onnx

namespace bitwright {

std::vector<ImportableOperator> importable_operators() {
  std::vector<ImportableOperator> operators;
  for (const onnx::ImportEntry& entry : onnx::import_entries()) operators.push_back({.onnx = entry.onnx, .becomes = entry.target});
  return operators;
}

}  // namespace bitwright
