// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/model.h"

#include "bitwright/core/error.h"
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/text_rules.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace bitwright {
namespace {

[[noreturn]] void fail_in(const Model& model, std::string message) {
  throw Error(ErrorCode::invalid_input, (model.graph.name.empty() ? std::string("graph") : model.graph.name) + ": " + std::move(message));
}

void require_name(const Model& model, std::string_view what, std::string_view name) {
  if (is_printable_name(name)) return;
  fail_in(model, fmt::format("a name of {} is not valid UTF-8 or has control characters (found \"{}\"); rename it.", what, escaped(name)));
}

void check_texts(const Model& model) {
  require_name(model, "the graph", model.graph.name);
  for (const GraphInput& input : model.graph.inputs) require_name(model, "an input", input.name);
  for (const std::string& output : model.graph.outputs) require_name(model, "an output", output);
  for (const auto& [name, weight] : model.weights) require_name(model, "a weight", name);
  for (const std::string& name : model.class_names) require_name(model, "a class", name);
  for (const auto& [key, note] : model.notes) {
    require_name(model, "a note", key);
    if (!is_utf8(note)) fail_in(model, fmt::format("note \"{}\" is not valid UTF-8; rewrite it.", key));
  }
  for (const Node& node : model.graph.nodes) {
    require_name(model, "a node", node.name);
    for (const std::string& input : node.inputs) require_name(model, "a value", input);
    for (const std::string& output : node.outputs) require_name(model, "a value", output);
    for (const auto& [key, value] : node.attributes) {
      require_name(model, "an attribute", key);
      if (const auto* text = std::get_if<std::string>(&value); text != nullptr && !is_utf8(*text)) {
        fail_in(model, fmt::format("node \"{}\": attribute \"{}\" is not valid UTF-8; rewrite it.", node.name, key));
      }
    }
  }
}

void check_attribute_floats(const Model& model) {
  for (const Node& node : model.graph.nodes) {
    for (const auto& [key, value] : node.attributes) {
      bool finite = true;
      if (const auto* number = std::get_if<float>(&value)) finite = std::isfinite(*number);
      if (const auto* numbers = std::get_if<std::vector<float>>(&value)) {
        for (const float number : *numbers) finite = finite && std::isfinite(number);
      }
      if (!finite) fail_in(model, fmt::format("node \"{}\": attribute \"{}\" is not finite; check the graph.", node.name, key));
    }
  }
}

std::optional<std::int64_t> first_not_finite(const Weight& weight) {
  if (const auto* tensor = std::get_if<QuantizedTensor>(&weight)) return tensor->first_not_finite();
  const std::vector<float>& values = std::get<FloatTensor>(weight).values;
  const auto wrong = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (wrong == values.end()) return std::nullopt;
  return wrong - values.begin();
}

void check_weights(const Model& model) {
  std::set<std::string_view> read;
  for (const Node& node : model.graph.nodes) read.insert(node.inputs.begin(), node.inputs.end());
  for (const auto& [name, weight] : model.weights) {
    if (!read.contains(name)) fail_in(model, fmt::format("weight \"{}\" is read by no node; remove it or check its name.", name));
    if (const auto* tensor = std::get_if<FloatTensor>(&weight)) {
      if (static_cast<std::int64_t>(tensor->values.size()) != tensor->shape.element_count()) {
        fail_in(model,
                fmt::format("weight \"{}\" has a number of values that its shape denies (found {}, need {} for {}); check the tensor.",
                            name, tensor->values.size(), tensor->shape.element_count(), tensor->shape.to_string()));
      }
    }
    if (const auto wrong = first_not_finite(weight)) {
      fail_in(model,
              fmt::format("weight \"{}\" is not finite at index {} (found {}, need a finite number); train again or repair the file.", name,
                          *wrong, weight_values(weight)[static_cast<std::size_t>(*wrong)]));
    }
  }
}

void check_input_transform(const Model& model) {
  const InputTransform& transform = model.input_transform;
  if (transform.mean.empty() && transform.std.empty()) return;
  const Shape& shape = model.graph.inputs.front().shape;
  const std::size_t channels = shape.rank() < 2 ? 1 : static_cast<std::size_t>(shape[1]);
  for (const auto* list : {&transform.mean, &transform.std}) {
    if (!list->empty() && list->size() != channels) {
      fail_in(model, fmt::format("the input transform has the wrong number of channels (found {}, need {}); give one value per channel.",
                                 list->size(), channels));
    }
    for (const float value : *list) {
      if (!std::isfinite(value)) fail_in(model, "the input transform is not finite; give finite means and deviations.");
    }
  }
  for (const float std : transform.std) {
    if (std <= 0.0F) fail_in(model, fmt::format("the input transform has a bad deviation (found {}, need above 0); correct it.", std));
  }
}

void check_number_attributes(const Model& model) {
  try {
    (void)activation_scales(model.graph);
    if (is_fixed_point(model.graph)) (void)fixed_point_formats(model);
  } catch (const Error& error) {
    fail_in(model, error.message());
  }
}

}  // namespace

const Shape& weight_shape(const Weight& weight) noexcept {
  if (const auto* tensor = std::get_if<FloatTensor>(&weight)) return tensor->shape;
  return std::get_if<QuantizedTensor>(&weight)->shape();
}

std::vector<float> weight_values(const Weight& weight) {
  if (const auto* tensor = std::get_if<FloatTensor>(&weight)) return tensor->values;
  return std::get<QuantizedTensor>(weight).dequantize();
}

void copy_weight_values(const Weight& weight, std::span<float> dst) {
  if (const auto* tensor = std::get_if<FloatTensor>(&weight)) {
    std::ranges::copy(tensor->values, dst.begin());
  } else {
    std::get<QuantizedTensor>(weight).dequantize_into(dst);
  }
}

ShapeMap weight_shapes(const Model& model) {
  ShapeMap shapes;
  for (const auto& [name, weight] : model.weights) shapes.emplace(name, weight_shape(weight));
  return shapes;
}

void validate(const Model& model) {
  check_texts(model);
  if (model.graph.inputs.empty()) fail_in(model, "the graph has no input; give it one.");
  if (model.graph.outputs.empty()) fail_in(model, "the graph has no output; give it one.");
  check_attribute_floats(model);
  const Shape& first = model.graph.inputs.front().shape;
  const std::int64_t batch = first.rank() > 0 && first[0] != Shape::kDynamic ? first[0] : 1;
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), batch);
  check_weights(model);
  check_input_transform(model);
  check_number_attributes(model);
  const Shape& output = shapes.at(model.graph.outputs.front());
  if (!model.class_names.empty() && (output.rank() < 2 || output[1] != static_cast<std::int64_t>(model.class_names.size()))) {
    fail_in(model,
            fmt::format("the class names do not fit output \"{}\" (found {} names, need one per extent of axis 1 of {}); correct the list.",
                        model.graph.outputs.front(), model.class_names.size(), output.to_string()));
  }
}

std::vector<std::string> quantizable_weights(const Graph& graph) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const Node& node : graph.nodes) {
    std::optional<std::string> name = weight_input(graph, node);
    if (name && seen.insert(*name).second) names.push_back(std::move(*name));
  }
  return names;
}

}  // namespace bitwright
