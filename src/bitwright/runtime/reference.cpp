// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/reference.h"

#include "bitwright/core/error.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/runtime/reference_fixed.h"
#include "bitwright/runtime/reference_ops.h"

#include <array>
#include <map>
#include <string>

namespace bitwright {
namespace {

ReferenceFunction reference_function(Op op) {
  static constexpr std::array kFunctions = {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) &reference_##function,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
  };
  return kFunctions[static_cast<std::size_t>(op)];
}

}  // namespace

std::vector<double> run_reference(const Model& model, std::span<const float> input, std::int64_t batch, std::vector<double>* error_bound) {
  validate(model);
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), batch);
  const std::string& input_name = model.graph.inputs.front().name;
  const Shape& input_shape = shapes.at(input_name);
  if (static_cast<std::int64_t>(input.size()) != input_shape.element_count()) {
    fail(ErrorCode::invalid_input, "{}: the input has the wrong number of values (found {}, need {} for {}); pass a whole batch.",
         model.graph.name, input.size(), input_shape.element_count(), input_shape.to_string());
  }
  if (is_fixed_point(model.graph)) return run_fixed_reference(model, shapes, input, error_bound);
  std::map<std::string, RunningTensor, std::less<>> tensors;
  tensors.emplace(input_name, exact_tensor(input_shape, input));
  for (const auto& [name, weight] : model.weights) tensors.emplace(name, exact_tensor(weight_shape(weight), weight_values(weight)));
  for (const Node& node : model.graph.nodes) {
    std::vector<const RunningTensor*> inputs;
    for (const std::string& name : node.inputs) inputs.push_back(name.empty() ? nullptr : &tensors.at(name));
    tensors.insert_or_assign(node.outputs.front(), reference_function(node.op)(node, inputs, shapes.at(node.outputs.front())));
  }
  RunningTensor& output = tensors.at(model.graph.outputs.front());
  if (error_bound != nullptr) *error_bound = error_bounds(output);
  return std::move(output.value);
}

}  // namespace bitwright
