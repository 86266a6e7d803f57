// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/importer.h"

#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/ops/shape_rule.h"
#include "bitwright/model/text_rules.h"
#include "bitwright/onnx/import_rules.h"

#include <algorithm>
#include <cmath>

namespace bitwright::onnx {
namespace {

bool is_standard_domain(std::string_view domain) noexcept { return domain.empty() || domain == "ai.onnx"; }

const OpEntry* registered(std::string_view name) noexcept {
  const auto found = std::ranges::find(op_registry(), name, &OpEntry::name);
  return found == op_registry().end() ? nullptr : &*found;
}

const ImportEntry* rule_of(const NodeProto& node) noexcept {
  if (!is_standard_domain(node.domain)) return nullptr;
  const auto found = std::ranges::find(import_entries(), node.op_type, &ImportEntry::onnx);
  return found == import_entries().end() ? nullptr : &*found;
}

std::string operator_text(const NodeProto& node) {
  return is_standard_domain(node.domain) ? escaped(node.op_type) : escaped(node.domain) + "." + escaped(node.op_type);
}

}  // namespace

std::vector<Extent> Activation::extents() const {
  std::vector<Extent> extents;
  for (std::size_t axis = 0; axis < one.rank(); ++axis) {
    const std::int64_t growth = two[axis] - one[axis];
    extents.push_back({.fixed = one[axis] - growth, .per_image = growth});
  }
  return extents;
}

Importer::Importer(const ModelProto& file, TensorBytes& tensors, std::string source)
    : file_(file), tensors_(tensors), source_(std::move(source)) {}

std::string Importer::node_text(const NodeProto& node) {
  if (!node.name.empty()) return "\"" + escaped(node.name) + "\"";
  return node.outputs.empty() ? "(without outputs)" : "making \"" + escaped(node.outputs.front()) + "\"";
}

void Importer::refuse(const NodeProto& node, std::string_view what) {
  fail(ErrorCode::unsupported, "node {}: {} {}", node_text(node), escaped(node.op_type), what);
}

void Importer::read_opset() {
  for (const auto& [domain, version] : file_.opset_imports) {
    if (is_standard_domain(domain)) opset_ = version;
  }
  if (opset_ < kOldestOpset || opset_ > kNewestOpset) {
    fail(ErrorCode::unsupported, "the operator set is not supported (found {}, need {} to {}); export the network again with one of those.",
         opset_, kOldestOpset, kNewestOpset);
  }
}

void Importer::read_initializers() {
  for (const TensorProto& tensor : file_.graph.initializers) {
    if (tensor.name.empty()) fail(ErrorCode::invalid_input, "an initializer has no name; give every tensor a name.");
    if (!values_.emplace(tensor.name, &tensor).second) {
      fail(ErrorCode::invalid_input, "two initializers are named \"{}\"; give every value its own name.", escaped(tensor.name));
    }
  }
}

void Importer::read_inputs() {
  for (const ValueInfo& input : file_.graph.inputs) {
    const auto found = values_.find(input.name);
    if (found != values_.end() && std::holds_alternative<const TensorProto*>(found->second)) continue;  // the default value of a weight
    const std::string name = escaped(input.name);
    if (found != values_.end()) fail(ErrorCode::invalid_input, "two inputs are named \"{}\"; give every value its own name.", name);
    if (input.name.empty()) fail(ErrorCode::invalid_input, "an input of the graph has no name; give it one.");
    if (input.type != DataType::float32) {
      fail(ErrorCode::unsupported, "input \"{}\" has a type that is not supported (found {}, need FLOAT); feed it floats.", name,
           data_type_name(input.type));
    }
    if (!input.has_shape || input.dims.empty() || input.dims.size() > limits::kMaxTensorRank) {
      fail(ErrorCode::unsupported, "input \"{}\" has {} (need 1 to {} axes with known extents); export the network again with its shape.",
           name, input.has_shape ? fmt::format("{} axes", input.dims.size()) : "no shape", limits::kMaxTensorRank);
    }
    std::vector<std::int64_t> dims;
    for (std::size_t axis = 0; axis < input.dims.size(); ++axis) {
      const Dimension& dim = input.dims[axis];
      if (!dim.value && axis > 0) {
        fail(ErrorCode::unsupported, "input \"{}\" has an open extent on axis {} (found \"{}\", need a number; only axis 0, the batch, {}",
             name, axis, escaped(dim.symbol), "may be open); export the network again with a fixed size.");
      }
      if (dim.value && (*dim.value < 1 || *dim.value > limits::kMaxExtent)) {
        fail(ErrorCode::invalid_input, "input \"{}\" has an extent out of range on axis {} (found {}, need 1 to {}); check the model.",
             name, axis, *dim.value, limits::kMaxExtent);
      }
      dims.push_back(dim.value.value_or(1));
    }
    if (input.dims[0].value) {
      fixed_batch_ = dims[0];
      remark(fmt::format("input \"{}\" had a fixed batch of {}; it is free now.", name, fixed_batch_));
    }
    Activation activation{.name = model_name(input.name), .one = Shape(dims).with_dim(0, 1), .two = Shape(dims).with_dim(0, 2)};
    model_.graph.inputs.push_back({.name = activation.name, .shape = Shape(dims).with_dim(0, Shape::kDynamic)});
    shapes_.emplace(activation.name, activation);
    values_.emplace(input.name, std::move(activation));
  }
  if (model_.graph.inputs.empty()) fail(ErrorCode::invalid_input, "the graph has no input; give it one.");
  if (model_.graph.inputs.size() > limits::kMaxGraphInputs) {
    fail(ErrorCode::invalid_input, "the graph has too many inputs (found {}, need at most {}); check the model.",
         model_.graph.inputs.size(), limits::kMaxGraphInputs);
  }
}

void Importer::mark_needed() {
  std::map<std::string_view, std::size_t> maker;
  const std::vector<NodeProto>& nodes = file_.graph.nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const std::string& output : nodes[i].outputs) {
      if (output.empty()) continue;
      if (values_.contains(output) || !maker.emplace(output, i).second) {
        fail(ErrorCode::invalid_input, "node {} makes value \"{}\", which exists already; give every value its own name.",
             node_text(nodes[i]), escaped(output));
      }
      taken_values_.insert(output);
    }
  }
  needed_.assign(nodes.size(), false);
  std::vector<std::string_view> open;
  for (const ValueInfo& output : file_.graph.outputs) open.push_back(output.name);
  while (!open.empty()) {
    const auto found = maker.find(open.back());
    needed_names_.emplace(open.back());
    open.pop_back();
    if (found == maker.end() || needed_[found->second]) continue;
    needed_[found->second] = true;
    for (const std::string& input : nodes[found->second].inputs) open.push_back(input);
  }
}

void Importer::drop_unread_inputs() {
  // By the file's names: a model's own name may be another.
  for (const ValueInfo& input : file_.graph.inputs) {
    const auto found = values_.find(input.name);
    if (found == values_.end() || needed_names_.contains(input.name)) continue;
    const auto* activation = std::get_if<Activation>(&found->second);
    if (activation == nullptr || model_.graph.inputs.size() == 1) continue;
    remark(fmt::format("input \"{}\" was read by no node; it is gone.", activation->name));
    std::erase_if(model_.graph.inputs, [&](const GraphInput& one) { return one.name == activation->name; });
  }
}

void Importer::drop_unread_nodes() {
  // A rule may make more than the file reads, e.g. one Slice per output of a Split.
  std::set<std::string> read(model_.graph.outputs.begin(), model_.graph.outputs.end());
  std::vector<Node> kept;
  for (auto node = model_.graph.nodes.rbegin(); node != model_.graph.nodes.rend(); ++node) {  // clang 14 cannot read GCC 12's views
    if (std::ranges::none_of(node->outputs, [&](const std::string& output) { return read.contains(output); })) continue;
    read.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  std::ranges::reverse(kept);
  model_.graph.nodes = std::move(kept);
  std::erase_if(model_.weights, [&](const auto& weight) { return !read.contains(weight.first); });
}

void Importer::check_inputs(const NodeProto& node, const std::set<std::string>& later) const {
  for (const std::string& input : node.inputs) {
    if (input.empty() || values_.contains(input)) continue;
    fail(
        ErrorCode::invalid_input, "node {} reads \"{}\", which {}; check the model.", node_text(node), escaped(input),
        later.contains(input) ? "only a later node makes (the graph has a cycle or is not sorted)" : "no node, input or initializer makes");
  }
}

void Importer::import_node(const NodeProto& node) {
  const bool is_unknown = std::ranges::any_of(node.inputs, [this](const std::string& input) {
    return !input.empty() && std::holds_alternative<std::monostate>(values_.at(input));
  });
  const ImportEntry* const rule = rule_of(node);
  bool is_done = false;
  try {
    if (rule == nullptr) throw MissingOperator{};
    if (!is_unknown) {
      if (!fold_constant(*this, node)) rule->rule(*this, node);
      is_done = true;
    }
  } catch (const MissingOperator&) {
    missing_[operator_text(node)].push_back(node_text(node));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    if (!first_refusal_) first_refusal_ = error;
  }
  for (const std::string& output : node.outputs) {
    if (output.empty() || values_.contains(output)) continue;
    // A second output that someone needs and no rule made, e.g. the mask of Dropout.
    if (is_done && needed_names_.contains(output) && !first_refusal_) {
      first_refusal_ = Error(ErrorCode::unsupported, fmt::format("node {}: output \"{}\" of {} is not supported; rewrite the node.",
                                                                 node_text(node), escaped(output), escaped(node.op_type)));
    }
    values_.emplace(output, std::monostate{});
  }
}

void Importer::refuse_missing() const {
  if (!missing_.empty()) {
    std::string list;
    for (const auto& [name, nodes] : missing_) {
      list += (list.empty() ? "" : "; ") + name + (nodes.size() == 1 ? " in node " : " in nodes ");
      for (std::size_t i = 0; i < nodes.size(); ++i) list += (i == 0 ? "" : ", ") + nodes[i];
    }
    fail(ErrorCode::unsupported, "the network uses operators that are not supported (found {}); docs/onnx.md lists those that are.", list);
  }
  if (first_refusal_) throw Error(*first_refusal_);
}

std::string Importer::fresh_name(const std::string& wanted, std::set<std::string>& taken) const {
  std::string base = is_printable_name(wanted) && !wanted.empty() ? wanted : wanted.empty() ? std::string("value") : escaped(wanted);
  if (base.size() > limits::kMaxNameBytes - 16) base = escaped(base).substr(0, limits::kMaxNameBytes - 16);
  std::string name = base;
  for (int suffix = 2; !taken.insert(name).second; ++suffix) name = base + "." + std::to_string(suffix);
  return name;
}

std::string Importer::model_name(const std::string& onnx_name) {
  const auto found = names_.find(onnx_name);
  if (found != names_.end()) return found->second;
  // A legal name is reserved for its own value by `run`; any other becomes one that is free.
  const bool is_legal = is_printable_name(onnx_name) && !onnx_name.empty() && onnx_name.size() <= limits::kMaxNameBytes - 16;
  const std::string name = is_legal ? onnx_name : fresh_name(onnx_name, taken_values_);
  names_.emplace(onnx_name, name);
  return name;
}

bool Importer::has_input(const NodeProto& node, std::size_t input) noexcept {
  return input < node.inputs.size() && !node.inputs[input].empty();
}

const Value& Importer::value(const NodeProto& node, std::size_t input) const {
  if (!has_input(node, input)) {
    fail(ErrorCode::invalid_input, "node {}: input {} of {} is missing; check the model.", node_text(node), input, escaped(node.op_type));
  }
  return values_.at(node.inputs[input]);
}

bool Importer::is_constant(const NodeProto& node, std::size_t input) const {
  return has_input(node, input) && !std::holds_alternative<Activation>(value(node, input));
}

const Activation& Importer::activation(const NodeProto& node, std::size_t input) const {
  const auto* found = std::get_if<Activation>(&value(node, input));
  if (found == nullptr)
    refuse(node, fmt::format("of a constant is not supported (input \"{}\"); compute it beforehand.", escaped(node.inputs[input])));
  return *found;
}

Constant Importer::constant(const NodeProto& node, std::size_t input) {
  const Value& found = value(node, input);
  if (const auto* ready = std::get_if<Constant>(&found)) return *ready;
  if (const auto* tensor = std::get_if<const TensorProto*>(&found)) {
    Constant result{
        .shape = tensors_.shape(**tensor), .is_integer = !TensorBytes::is_float((*tensor)->data_type), .ints = {}, .floats = {}};
    if (result.is_integer) {
      for (const std::int64_t number : tensors_.integers(**tensor)) result.ints.push_back({.fixed = number, .per_image = 0});
    } else {
      result.floats = tensors_.floats(**tensor);
    }
    return result;
  }
  if (std::holds_alternative<Activation>(found)) {
    refuse(node,
           fmt::format("with a computed input \"{}\" is not supported (need a constant); rewrite the node.", escaped(node.inputs[input])));
  }
  const Weight weight = weight_of(found, Layout::as_stored, node);
  return {.shape = weight_shape(weight), .is_integer = false, .ints = {}, .floats = weight_values(weight)};
}

std::vector<std::int64_t> Importer::integers(const NodeProto& node, std::size_t input) {
  const Constant found = constant(node, input);
  if (!found.is_integer)
    refuse(node, fmt::format("with floats for \"{}\" is not supported (need integers); check the model.", escaped(node.inputs[input])));
  std::vector<std::int64_t> numbers;
  for (const Extent& extent : found.ints) {
    if (extent.per_image != 0) {
      refuse(node, fmt::format("with numbers that depend on the batch (\"{}\") is not supported; rewrite the node.",
                               escaped(node.inputs[input])));
    }
    numbers.push_back(extent.fixed);
  }
  if (numbers.size() > limits::kMaxAttributeValues) refuse(node, "with so many numbers is not supported; check the model.");
  return numbers;
}

std::optional<std::vector<std::int64_t>> Importer::integers_or_attribute(const NodeProto& node, std::size_t input, std::string_view key) {
  if (has_input(node, input)) return integers(node, input);
  return ints_attribute(node, key);
}

Weight Importer::weight_of(const Value& value, Layout layout, const NodeProto& node) {
  const auto transpose = [&](auto& values, Shape& shape) {
    if (layout == Layout::as_stored) return;
    if (shape.rank() != 2)
      refuse(node, fmt::format("with a weight {} is not supported (need a matrix); rewrite the node.", shape.to_string()));
    const auto rows = static_cast<std::size_t>(shape[0]);
    const auto columns = static_cast<std::size_t>(shape[1]);
    auto turned = values;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) turned[c * rows + r] = values[r * columns + c];
    }
    values = std::move(turned);
    shape = Shape{shape[1], shape[0]};
  };
  if (const auto* tensor = std::get_if<const TensorProto*>(&value)) {
    FloatTensor weight{.shape = tensors_.shape(**tensor), .values = tensors_.floats(**tensor)};
    transpose(weight.values, weight.shape);
    return weight;
  }
  if (const auto* constant = std::get_if<Constant>(&value)) {
    if (constant->is_integer) refuse(node, "of integers is not supported (need floats); rewrite the node.");
    FloatTensor weight{.shape = constant->shape, .values = constant->floats};
    transpose(weight.values, weight.shape);
    return weight;
  }
  if (const auto* quantized = std::get_if<QuantizedTensor>(&value)) {
    if (layout == Layout::as_stored) return *quantized;
    FloatTensor weight{.shape = quantized->shape(), .values = quantized->dequantize()};
    transpose(weight.values, weight.shape);
    return weight;
  }
  if (const auto* dequantized = std::get_if<Dequantized>(&value)) {
    Dequantized turned = *dequantized;
    if (layout == Layout::transposed) {
      transpose(turned.codes, turned.shape);
      turned.axis = turned.axis == 0 ? 1 : 0;
    }
    Weight weight = integer_weight(turned);
    if (std::holds_alternative<FloatTensor>(weight) && turned.shape.rank() > 1) {
      remark(
          fmt::format("the integers of node {} are scaled along another axis than the outputs; they came in as floats.", node_text(node)));
    }
    return weight;
  }
  fail(ErrorCode::internal, "node {}: a value that is no constant was used as one; this is a defect.", node_text(node));
}

std::string Importer::add_weight(const std::string& wanted, FloatTensor tensor) {
  const std::string name = fresh_name(wanted, taken_values_);
  model_.weights.emplace(name, std::move(tensor));
  return name;
}

std::string Importer::replace_weight(const std::string& name, FloatTensor tensor) {
  const bool is_read = std::ranges::any_of(model_.graph.nodes,
                                           [&name](const Node& node) { return std::ranges::find(node.inputs, name) != node.inputs.end(); });
  if (is_read) return add_weight(name, std::move(tensor));
  std::erase_if(weights_, [&name](const auto& entry) { return entry.second == name; });
  model_.weights.insert_or_assign(name, std::move(tensor));
  return name;
}

std::size_t Importer::constant_rank(const NodeProto& node, std::size_t input) {
  const Value& found = value(node, input);
  if (const auto* tensor = std::get_if<const TensorProto*>(&found)) return (*tensor)->dims.size();
  if (const auto* ready = std::get_if<Constant>(&found)) return ready->shape.rank();
  if (const auto* integers = std::get_if<Dequantized>(&found)) return integers->shape.rank();
  return weight_shape(weight_of(found, Layout::as_stored, node)).rank();
}

std::string Importer::weight(const NodeProto& node, std::size_t input, Layout layout, const std::optional<Shape>& shape) {
  const std::string& onnx_name = node.inputs.at(input);
  std::string key = onnx_name + (layout == Layout::transposed ? " T" : " ") + (shape ? shape->to_string() : "");
  const auto known = weights_.find(key);
  if (known != weights_.end()) return known->second;
  Weight weight = weight_of(value(node, input), layout, node);
  if (shape) {
    if (weight_shape(weight).element_count() != shape->element_count()) {
      fail(ErrorCode::invalid_input, "node {}: \"{}\" does not fit (found {}, need {}); check the model.", node_text(node),
           escaped(onnx_name), weight_shape(weight).to_string(), shape->to_string());
    }
    if (weight_shape(weight) != *shape) {
      if (auto* floats = std::get_if<FloatTensor>(&weight)) {
        floats->shape = *shape;
      } else {
        const auto& quantized = std::get<QuantizedTensor>(weight);
        weight = QuantizedTensor(quantized.format(), *shape, {quantized.codes().begin(), quantized.codes().end()}, quantized.parameters());
      }
    }
  }
  std::string name = model_name(onnx_name);
  if (model_.weights.contains(name)) name = fresh_name(name, taken_values_);
  model_.weights.emplace(name, std::move(weight));
  weights_.emplace(std::move(key), name);
  return name;
}

std::string Importer::operand(const NodeProto& node, std::size_t input) {
  if (const auto* found = std::get_if<Activation>(&value(node, input))) return found->name;
  return weight(node, input, Layout::as_stored);
}

std::string Importer::emit(const NodeProto& from, std::string_view op, std::vector<std::string> inputs,
                           std::map<std::string, Attribute> attributes, const std::string& output) {
  const OpEntry* const entry = registered(op);
  if (entry == nullptr) throw MissingOperator{};
  Node node{.name = fresh_name(from.name.empty() ? escaped(from.op_type) + "_" + std::to_string(model_.graph.nodes.size()) : from.name,
                               taken_nodes_),
            .op = entry->op,
            .inputs = std::move(inputs),
            .outputs = {output.empty() ? fresh_name(from.outputs.front() + "." + std::string(op), taken_values_) : model_name(output)},
            .attributes = std::move(attributes)};
  while (!node.inputs.empty() && node.inputs.back().empty()) node.inputs.pop_back();
  const auto count = static_cast<int>(node.inputs.size());
  if (count < entry->min_inputs || count > entry->max_inputs) {
    refuse(from, fmt::format("has a number of inputs that is not supported (found {}, need {} to {}); check the model.", count,
                             entry->min_inputs, entry->max_inputs));
  }
  std::vector<Shape> one;
  std::vector<Shape> two;
  for (const std::string& input : node.inputs) {
    const auto activation = shapes_.find(input);
    const auto weight = model_.weights.find(input);
    one.push_back(input.empty() ? Shape() : activation != shapes_.end() ? activation->second.one : weight_shape(weight->second));
    two.push_back(input.empty() ? Shape() : activation != shapes_.end() ? activation->second.two : weight_shape(weight->second));
  }
  const std::string name = node.outputs.front();
  // The rule is asked about the node as it stands, and about twice the batch: what does not grow evenly is no network on images.
  const ShapeRule rule = shape_rule(node.op);
  const std::vector<Shape> shapes_one = rule(node, one);
  const std::vector<Shape> shapes_two = rule(node, two);
  const auto in_range = [](std::int64_t dim) { return dim >= 1 && dim <= limits::kMaxExtent; };
  if (shapes_one.size() != 1 || shapes_one[0].rank() > limits::kMaxTensorRank || shapes_one[0].rank() != shapes_two[0].rank() ||
      !std::ranges::all_of(shapes_two[0].dims(), in_range) || !std::ranges::all_of(shapes_one[0].dims(), in_range)) {
    refuse(from, fmt::format("gives a shape that is not supported (found {}); check the model.", shapes_one[0].to_string()));
  }
  Activation made{.name = name, .one = shapes_one[0], .two = shapes_two[0]};
  shapes_.emplace(name, made);
  if (!output.empty()) values_.emplace(output, std::move(made));
  model_.graph.nodes.push_back(std::move(node));
  if (model_.graph.nodes.size() > limits::kMaxNodes) refuse(from, "is one node too many; check the model.");
  return name;
}

std::string Importer::emit_reshape(const NodeProto& from, const Activation& src, const std::vector<Extent>& extents,
                                   const std::string& output) {
  std::vector<std::int64_t> one;
  std::vector<std::int64_t> two;
  for (const Extent& extent : extents) {
    one.push_back(extent.fixed + extent.per_image);
    two.push_back(extent.fixed + 2 * extent.per_image);
  }
  const bool is_even = std::ranges::all_of(two, [](std::int64_t dim) { return dim >= 1 && dim <= limits::kMaxExtent; }) &&
                       std::ranges::all_of(one, [](std::int64_t dim) { return dim >= 1; });
  if (one.size() > limits::kMaxTensorRank || !is_even || Shape(one).element_count() != src.one.element_count() ||
      Shape(two).element_count() != src.two.element_count()) {
    fail(fixed_batch_ > 1 ? ErrorCode::unsupported : ErrorCode::invalid_input,
         "node {}: {} to {} does not fit (found {} elements, need {}); check the model.", node_text(from), escaped(from.op_type),
         Shape(one).to_string(), src.one.element_count(), one.size() > limits::kMaxTensorRank ? "fewer axes" : "as many");
  }
  const auto is_batch = [](const Extent& extent) { return extent == Extent{.fixed = 0, .per_image = 1}; };
  const std::vector<Extent> from_extents = src.extents();
  const bool keeps_batch = !extents.empty() && !from_extents.empty() && is_batch(extents[0]) && is_batch(from_extents[0]);
  if (keeps_batch && extents.size() == 2) return emit(from, "Flatten", {src.name}, {{"axis", std::int64_t{1}}}, output);
  for (std::size_t axis = 1; axis < extents.size(); ++axis) {
    if (extents[axis].per_image != 0)
      refuse(from, fmt::format("puts the batch on axis {}, which is not supported (need axis 0); rewrite the node.", axis));
  }
  std::vector<std::int64_t> shape = one;
  if (!shape.empty()) shape[0] = keeps_batch ? 0 : -1;
  return emit(from, "Reshape", {src.name}, {{"shape", std::move(shape)}}, output);
}

void Importer::set_output(const NodeProto& node, std::size_t output, Value value) {
  if (output < node.outputs.size() && !node.outputs[output].empty()) values_.insert_or_assign(node.outputs[output], std::move(value));
}

Imported Importer::run() {
  read_opset();
  read_initializers();
  for (const auto& [name, value] : values_) taken_values_.insert(name);
  for (const ValueInfo& input : file_.graph.inputs) taken_values_.insert(input.name);
  read_inputs();
  mark_needed();
  drop_unread_inputs();
  const RecognizedWeights recognized = recognize_weights(file_, tensors_);
  for (const auto& [name, tensor] : recognized.weights) values_.insert_or_assign(name, tensor);
  std::set<std::string> later;
  for (const NodeProto& node : file_.graph.nodes) later.insert(node.outputs.begin(), node.outputs.end());
  for (std::size_t i = 0; i < file_.graph.nodes.size(); ++i) {
    if (!needed_[i] || recognized.consumed[i]) continue;
    check_inputs(file_.graph.nodes[i], later);
    import_node(file_.graph.nodes[i]);
  }
  refuse_missing();
  model_.graph.name = is_printable_name(file_.graph.name) && file_.graph.name.size() <= limits::kMaxNameBytes
                          ? file_.graph.name
                          : escaped(file_.graph.name).substr(0, 64);
  for (const ValueInfo& output : file_.graph.outputs) {
    const auto found = values_.find(output.name);
    if (found == values_.end()) {
      fail(ErrorCode::invalid_input, "output \"{}\" is made by no node; check the graph's outputs.", escaped(output.name));
    }
    const auto* made = std::get_if<Activation>(&found->second);
    const bool is_input =
        made != nullptr && std::ranges::any_of(model_.graph.inputs, [&](const GraphInput& input) { return input.name == made->name; });
    if (made == nullptr || is_input) {
      fail(ErrorCode::unsupported, "output \"{}\" is {}; remove it from the outputs.", escaped(output.name),
           is_input ? "an input of the graph" : "a constant");
    }
    model_.graph.outputs.push_back(made->name);
  }
  drop_unread_nodes();
  read_metadata();
  std::string remarks;
  for (const std::string& text : remarks_) remarks += (remarks.empty() ? "" : " ") + text;
  if (!remarks.empty()) model_.notes.insert_or_assign("import", remarks);
  validate(model_);
  return {.model = std::move(model_), .remarks = {remarks_.begin(), remarks_.end()}};
}

}  // namespace bitwright::onnx
