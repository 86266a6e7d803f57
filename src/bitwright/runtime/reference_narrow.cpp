// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/reference_narrow.h"

#include "bitwright/model/passes.h"
#include "bitwright/runtime/integer_weights.h"
#include "bitwright/runtime/ops/narrow_weights.h"
#include "bitwright/runtime/reference_tensor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace bitwright {

using namespace running;

namespace {

// Roundings of float32 that a term of a product in integers can pass (R13).
constexpr std::int64_t kScaleRoundings = 8;

ReferenceFunction reference_function(Op op) {
  static constexpr std::array kFunctions = {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) &reference_##function,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
  };
  return kFunctions[static_cast<std::size_t>(op)];
}

// The number of a form that is nearest to x.
double rounded(double x, const ValueForm& form) {
  switch (form.type) {
    case ValueType::float32: return x;
    case ValueType::bfloat16: {
      int exponent = 0;
      const double fraction = std::frexp(x, &exponent);
      return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
    }
    case ValueType::uint8: return std::clamp(std::nearbyint(x / form.scale), 0.0, 255.0) * form.scale;
    case ValueType::int8: return std::clamp(std::nearbyint(x / form.scale), -128.0, 127.0) * form.scale;
  }
  return x;
}

// Rounds every element, and how far it may be: what float32 leaves open can move a value over the middle between two codes.
void take_form(RunningTensor& tensor, const ValueForm& form) {
  if (form.type == ValueType::float32) return;
  const std::vector<double> bounds = error_bounds(tensor);
  for (std::size_t i = 0; i < tensor.value.size(); ++i) {
    const double value = rounded(tensor.value[i], form);
    // x / scale is computed as a product with the reciprocal: two roundings more.
    const double reach = bounds[i] + 3.0 * kUnit * std::abs(tensor.value[i]);
    const double low = rounded(tensor.value[i] - reach, form);
    const double high = rounded(tensor.value[i] + reach, form);
    store(tensor, static_cast<std::int64_t>(i), value, std::max(high - value, value - low));
  }
  tensor.roundings = 0;
}

/// One run of the reference.
class NarrowReference {
 public:
  NarrowReference(const Model& model, const NarrowFacts& facts) : model_(model) {
    for (const NodeReport& node : facts.nodes) {
      if (node.op == "Reorder") continue;
      types_.insert_or_assign(node.node, node.type);
      constexpr std::string_view kFused = "fused into ";
      if (node.kernel.starts_with(kFused)) fused_.insert_or_assign(node.node, node.kernel.substr(kFused.size()));
    }
    for (const ValueReport& value : facts.values) {
      auto& forms = value.is_conversion ? converted_ : stored_;
      if (value.is_conversion && value.form.type == ValueType::float32) continue;
      forms.insert_or_assign(value.value, value.form);
    }
  }

  RunningTensor run(std::span<const float> input, std::int64_t batch, const ReferenceVisitor& visitor) {
    const ShapeMap shapes = infer_shapes(model_.graph, weight_shapes(model_), batch);
    const std::string& input_name = model_.graph.inputs.front().name;
    tensors_.emplace(input_name, exact_tensor(shapes.at(input_name), input));
    for (const auto& [name, weight] : model_.weights) tensors_.emplace(name, exact_tensor(weight_shape(weight), weight_values(weight)));
    for (const Node& node : model_.graph.nodes) {
      const std::string& output = node.outputs.front();
      RunningTensor result = compute(node, shapes.at(output));
      if (const auto form = stored_.find(output); form != stored_.end()) {
        take_form(result, form->second);
        if (visitor) visitor(output, result);
      }
      tensors_.insert_or_assign(output, std::move(result));
    }
    return std::move(tensors_.at(model_.graph.outputs.front()));
  }

 private:
  [[nodiscard]] ValueType type_of(const Node& node) const {
    const auto fused = fused_.find(node.name);
    const auto found = types_.find(fused == fused_.end() ? node.name : fused->second);
    return found == types_.end() ? ValueType::float32 : found->second;
  }

  RunningTensor compute(const Node& node, const Shape& shape) {
    const ValueType type = type_of(node);
    const bool is_product = node.op == Op::Conv || node.op == Op::Gemm || node.op == Op::MatMul;
    std::vector<RunningTensor> own;
    own.reserve(node.inputs.size());
    std::vector<const RunningTensor*> inputs;
    for (const std::string& name : node.inputs) {
      inputs.push_back(name.empty() ? nullptr : &tensors_.at(name));
      if (name.empty() || model_.weights.contains(name)) continue;
      own.push_back(tensors_.at(name));
      const auto stored_form = stored_.find(name);
      const auto form = converted_.find(name);
      if (stored_form != stored_.end() && stored_form->second.type != ValueType::float32) {
        if (is_product && type != ValueType::float32) continue;
        // Read as a number, a code is code * scale, rounded.
        const std::vector<double> bounds = error_bounds(own.back());
        for (std::size_t i = 0; i < own.back().value.size(); ++i) {
          const double bound = bounds[i] + kUnit * std::abs(own.back().value[i]);
          store(own.back(), static_cast<std::int64_t>(i), own.back().value[i], bound);
        }
        own.back().roundings = 0;
      } else if (type != ValueType::float32 && form != converted_.end() && (is_product || node.op == Op::Add)) {
        take_form(own.back(), form->second);
      }
      inputs.back() = &own.back();
    }
    if (!is_product || type == ValueType::float32) return reference_function(node.op)(node, inputs, shape);
    const RunningTensor weights = narrow_weights(node, type);
    inputs[1] = &weights;
    RunningTensor result = reference_function(node.op)(node, inputs, shape);
    result.roundings = type == ValueType::bfloat16 ? result.roundings + kScaleRoundings : kScaleRoundings;
    return result;
  }

  [[nodiscard]] RunningTensor narrow_weights(const Node& node, ValueType type) const {
    const Weight& stored = model_.weights.find(node.inputs[1])->second;
    const bool is_turned = node.op == Op::MatMul;
    const Weight weight = is_turned ? transposed(stored) : stored;
    const Shape& shape = weight_shape(weight);
    const auto outputs = static_cast<std::size_t>(shape[0]);
    const std::vector<float> none(outputs, 0.0F);
    RunningTensor tensor = make_tensor(shape);
    const std::size_t depth = tensor.value.size() / outputs;
    const NarrowWeights narrow = type == ValueType::bfloat16 ? bfloat16_weights(weight, {}, none) : int8_weights(weight, {}, none, 1.0F);
    for (std::size_t i = 0; i < tensor.value.size(); ++i) {
      const double number = narrow.codes.empty() ? static_cast<double>(narrow.values[i]) : static_cast<double>(narrow.codes[i]);
      tensor.value[i] = number * (narrow.factor.empty() ? 1.0 : narrow.factor[i / depth]);
      tensor.magnitude[i] = std::abs(tensor.value[i]);
    }
    if (!is_turned) return tensor;
    RunningTensor turned = make_tensor(Shape{shape[1], shape[0]});
    for (std::int64_t o = 0; o < shape[0]; ++o) {
      for (std::int64_t i = 0; i < shape[1]; ++i) {
        turned.value[at(i * shape[0] + o)] = tensor.value[at(o * shape[1] + i)];
        turned.magnitude[at(i * shape[0] + o)] = tensor.magnitude[at(o * shape[1] + i)];
      }
    }
    return turned;
  }

  const Model& model_;
  std::map<std::string, ValueType, std::less<>> types_;
  std::map<std::string, std::string, std::less<>> fused_;
  std::map<std::string, ValueForm, std::less<>> stored_;
  std::map<std::string, ValueForm, std::less<>> converted_;
  std::map<std::string, RunningTensor, std::less<>> tensors_;
};

}  // namespace

std::vector<double> run_narrow_reference(const Model& model, const NarrowFacts& facts, std::span<const float> input, std::int64_t batch,
                                         std::vector<double>* error_bound, const ReferenceVisitor& visitor) {
  validate(model);
  const Model prepared = fold_batch_normalization(remove_training_nodes(model));
  RunningTensor output = NarrowReference(prepared, facts).run(input, batch, visitor);
  if (error_bound != nullptr) *error_bound = error_bounds(output);
  return std::move(output.value);
}

}  // namespace bitwright
