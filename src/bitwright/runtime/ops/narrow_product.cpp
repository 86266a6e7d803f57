// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/narrow_product.h"

#include "bitwright/runtime/ops/narrow_weights.h"
#include "bitwright/runtime/ops/product.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace bitwright {
namespace {

// Products of 255 by 128 whose sum fits 32 bits whatever their signs.
constexpr std::int64_t kMaxExactDepth = std::numeric_limits<std::int32_t>::max() / (255 * 128);

// The form that the result takes and, where a residual is added, the form in which it lies in the result's buffer.
struct ResultForms {
  ValueForm dst;
  ValueForm residual;
};

ResultForms result_forms(const PlanBuilder& builder, const FusedTail& tail) {
  ResultForms forms{.dst = builder.forms().stored(tail.output), .residual = {}};
  if (!tail.residual || forms.dst.type == ValueType::float32) return forms;
  if (forms.dst.type == ValueType::bfloat16) {
    forms.residual = forms.dst;
    return forms;
  }
  const ValueForm stored = builder.stored_form(*tail.residual);
  const std::optional<ValueForm> narrow = is_code(stored.type) ? stored : builder.forms().narrow(*tail.residual);
  if (narrow) {
    forms.residual = *narrow;
  } else {
    forms.dst = {};  // a residual without a scale: the sum stays float32
  }
  return forms;
}

dnnl::memory::desc any_of(const Shape& shape, ValueType type) { return {shape.dims(), onednn_type(type), dnnl::memory::format_tag::any}; }

// One factor for each output, as an operand of a product of rank `rank`.
dnnl::memory::desc per_output(std::int64_t outputs, std::size_t rank) {
  std::vector<std::int64_t> dims(rank, 1);
  dims[1] = outputs;
  return plain_desc(Shape(dims));
}

// A view of the product in oneDNN's types, and the constants that its post-operations read.
struct Described {
  NarrowTypes types;
  std::vector<PrimitiveArgument> arguments;
};

std::vector<double> repeated(const std::vector<double>& values, std::int64_t copies) {
  std::vector<double> result;
  for (std::int64_t i = 0; i < copies; ++i) result.insert(result.end(), values.begin(), values.end());
  return result;
}

Described describe(PlanBuilder& builder, const Node& node, const FusedTail& tail, const ResultForms& forms, ValueType source,
                   const NarrowView& view, const std::vector<double>& factors) {
  const bool is_int8 = is_code(source);
  const std::size_t rank = view.result.rank();
  const std::int64_t outputs = view.result[1];
  Described described;
  dnnl::primitive_attr attributes = strict_attributes();
  dnnl::post_ops post_operations;
  if (is_int8) {
    std::vector<float> scales;
    for (const double factor : factors) scales.push_back(static_cast<float>(factor / static_cast<double>(forms.dst.scale)));
    attributes.set_output_scales(1 << 1, scales);
  } else if (!factors.empty()) {
    const std::vector<float> values(factors.begin(), factors.end());
    const dnnl::memory::desc desc = per_output(outputs, rank);
    post_operations.append_binary(dnnl::algorithm::binary_mul, desc);
    described.arguments.push_back(constant_argument(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                                                    builder.constant(constant_key(node, "factor"), values, desc, desc)));
  }
  if (tail.residual) {
    const float factor = static_cast<float>(static_cast<double>(forms.residual.scale) / static_cast<double>(forms.dst.scale));
    post_operations.append_sum(factor, 0, onednn_type(forms.residual.type));
  }
  // Saturation at 0 is a Relu.
  if (tail.has_relu && forms.dst.type != ValueType::uint8) post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  attributes.set_post_ops(post_operations);
  described.types = {.src = narrow_desc(view.source, source),
                     .weights = any_of(view.weight, is_int8 ? ValueType::int8 : ValueType::bfloat16),
                     .bias = plain_desc(Shape{outputs}),
                     .dst = narrow_desc(view.result, forms.dst.type),
                     .attributes = attributes};
  return described;
}

bool is_slow(const NarrowPrimitive& chosen) {
  return chosen.name.find(":ref:") != std::string::npos || chosen.name.find(":gemm:") != std::string::npos;
}

}  // namespace

NarrowPrimitive choose_inner_product(const NarrowTypes& types) {
  const dnnl::inner_product_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, types.src, types.weights, types.bias, types.dst}, types.attributes, cpu_engine());
  return {.parts = {{.make = [chosen] { return dnnl::inner_product_forward(chosen); },
                     .scratchpad = chosen.scratchpad_desc(),
                     .src = types.src,
                     .dst = types.dst}},
          .name = std::string("inner_product:") + chosen.impl_info_str(),
          .weights = chosen.weights_desc()};
}

std::vector<std::string> try_narrow_product(PlanBuilder& builder, const Node& node, const FusedTail& tail, const NarrowProduct& product,
                                            std::vector<std::string> refusals) {
  const ValueType type = product.source.type;
  const bool is_int8 = is_code(type);
  const std::string mode(activations_name(builder.activations()));
  const std::int64_t outputs = weight_shape(product.weight)[0];
  const std::int64_t depth = weight_shape(product.weight).element_count() / std::max<std::int64_t>(outputs, 1);
  if (is_int8 && depth > kMaxExactDepth) {
    refusals.push_back("int8: a sum has " + std::to_string(depth) + " products, 32 bits hold " + std::to_string(kMaxExactDepth));
    return refusals;
  }
  const ResultForms forms = result_forms(builder, tail);
  PlanBuilder::PassingWeights& passing = builder.passing_weights();
  NarrowWeights weights =
      is_int8 ? int8_weights(product.weight, tail.scale, product.bias, product.source.scale, std::exchange(passing.codes, {}))
              : bfloat16_weights(product.weight, tail.scale, product.bias, std::exchange(passing.values, {}));

  Described described = describe(builder, node, tail, forms, type, product.view, weights.factor);
  NarrowPrimitive chosen;
  try {
    chosen = product.choose(described.types);
  } catch (const dnnl::error& error) {
    if (!is_missing(error)) throw;
    refusals.push_back(mode + ": oneDNN has no kernel for this shape");
    return refusals;
  }
  if (is_slow(chosen)) {
    refusals.push_back(mode + ": oneDNN has only a slow kernel for this shape");
    return refusals;
  }
  const dnnl::memory::desc result = described.types.dst;  // as the value lies, whatever the view
  Shape weight_view = product.view.weight;
  if (const auto other = product.alternative ? product.alternative(chosen) : std::nullopt) {
    try {
      Described seen = describe(builder, node, tail, forms, type, other->view, repeated(weights.factor, other->copies));
      NarrowPrimitive alternative = other->choose(seen.types);
      if (other->is_faster(alternative)) {
        chosen = std::move(alternative);
        described = std::move(seen);
        weight_view = other->view.weight;
        other->turn(weights);
        const std::vector<float> bias = std::exchange(weights.bias, {});
        for (std::int64_t i = 0; i < other->copies; ++i) weights.bias.insert(weights.bias.end(), bias.begin(), bias.end());
      }
    } catch (const dnnl::error& error) {
      if (!is_missing(error)) throw;
    }
  }

  const PlannedValue src = builder.value_as(node.inputs[0], product.stored, product.source.scale);
  // A MatMul's result is the primitive's under another shape.
  const bool is_view = product.view.result != builder.shape(tail.output);
  const PlannedValue dst =
      is_view ? builder.make_value(tail.output, with_type(plain_desc(builder.shape(tail.output)), forms.dst.type), forms.dst.scale)
              : builder.destination_of(tail, {.desc = result, .buffer = 0, .scale = forms.dst.scale}, forms.residual);
  const dnnl::memory::desc plain = plain_desc(weight_view);
  const dnnl::memory packed =
      is_int8 ? builder.constant(constant_key(node, "weight"), std::span<const std::int8_t>(weights.codes),
                                 with_type(plain, ValueType::int8), chosen.weights)
              : builder.constant(constant_key(node, "weight"), std::span<const float>(weights.values), plain, chosen.weights);
  if (is_int8) {
    passing.codes = std::move(weights.codes);
  } else {
    passing.values = std::move(weights.values);
  }
  const dnnl::memory bias =
      builder.constant(constant_key(node, "narrow_bias"), std::span<const float>(weights.bias), described.types.bias, described.types.bias);
  described.arguments.push_back(constant_argument(DNNL_ARG_WEIGHTS, packed));
  described.arguments.push_back(constant_argument(DNNL_ARG_BIAS, bias));
  std::vector<PlanBuilder::Part> parts;
  for (NarrowPrimitive::Part& part : chosen.parts) {
    std::vector<PrimitiveArgument> arguments = described.arguments;
    arguments.push_back(reads(DNNL_ARG_SRC, {.desc = part.src, .buffer = src.buffer}));
    arguments.back().offset_bytes = part.src_bytes;
    const PlannedValue seen{.desc = part.dst, .buffer = dst.buffer};
    arguments.push_back(tail.residual ? updates(DNNL_ARG_DST, seen) : writes(DNNL_ARG_DST, seen));
    arguments.back().offset_bytes = part.dst_bytes;
    parts.push_back({.make = std::move(part.make), .scratchpad = part.scratchpad, .arguments = std::move(arguments)});
  }
  if (parts.size() == 1) {
    builder.add_primitive(std::move(parts.front().make), parts.front().scratchpad, std::move(parts.front().arguments));
  } else {
    builder.add_parts(std::move(parts));
  }
  if (!weights.note.empty()) refusals.push_back(weights.note);
  builder.report(node, "onednn:" + chosen.name, std::move(refusals), is_int8 ? ValueType::int8 : ValueType::bfloat16);
  return {};
}

}  // namespace bitwright
