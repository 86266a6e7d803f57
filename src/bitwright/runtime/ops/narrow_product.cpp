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

}  // namespace

NarrowPrimitive choose_inner_product(const NarrowTypes& types) {
  const dnnl::inner_product_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, types.src, types.weights, types.bias, types.dst}, types.attributes, cpu_engine());
  return {.make = [chosen] { return dnnl::inner_product_forward(chosen); },
          .name = std::string("inner_product:") + chosen.impl_info_str(),
          .weights = chosen.weights_desc(),
          .scratchpad = chosen.scratchpad_desc()};
}

std::vector<std::string> try_narrow_product(PlanBuilder& builder, const Node& node, const FusedTail& tail, const NarrowProduct& product,
                                            const NarrowChoice& choose, std::vector<std::string> refusals) {
  const bool is_int8 = is_code(product.source.type);
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

  dnnl::primitive_attr attributes = strict_attributes();
  dnnl::post_ops post_operations;
  std::vector<PrimitiveArgument> arguments;
  const std::size_t rank = product.result_view.rank();
  if (is_int8) {
    std::vector<float> scales;
    for (const double factor : weights.factor) scales.push_back(static_cast<float>(factor / static_cast<double>(forms.dst.scale)));
    attributes.set_output_scales(1 << 1, scales);
  } else if (!weights.factor.empty()) {
    const std::vector<float> factors(weights.factor.begin(), weights.factor.end());
    const dnnl::memory::desc desc = per_output(outputs, rank);
    post_operations.append_binary(dnnl::algorithm::binary_mul, desc);
    arguments.push_back(constant_argument(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                                          builder.constant(constant_key(node, "factor"), factors, desc, desc)));
  }
  if (tail.residual) {
    const float factor = static_cast<float>(static_cast<double>(forms.residual.scale) / static_cast<double>(forms.dst.scale));
    post_operations.append_sum(factor, 0, onednn_type(forms.residual.type));
  }
  // Saturation at 0 is a Relu.
  if (tail.has_relu && forms.dst.type != ValueType::uint8) post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  attributes.set_post_ops(post_operations);

  const NarrowTypes types{.src = narrow_desc(product.source_view, product.source.type),
                          .weights = any_of(product.weight_view, is_int8 ? ValueType::int8 : ValueType::bfloat16),
                          .bias = plain_desc(Shape{outputs}),
                          .dst = narrow_desc(product.result_view, forms.dst.type),
                          .attributes = attributes};
  NarrowPrimitive chosen;
  try {
    chosen = choose(types);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented && error.status != dnnl_invalid_arguments) throw;
    refusals.push_back(mode + ": oneDNN has no kernel for this shape");
    return refusals;
  }
  if (chosen.name.find(":ref:") != std::string::npos || chosen.name.find(":gemm:") != std::string::npos) {
    refusals.push_back(mode + ": oneDNN has only a slow kernel for this shape");
    return refusals;
  }

  const PlannedValue src = builder.value_as(node.inputs[0], product.stored, product.source.scale);
  // A MatMul's result is the primitive's under another shape.
  const bool is_view = product.result_view != builder.shape(tail.output);
  const PlannedValue dst =
      is_view ? builder.make_value(tail.output, with_type(plain_desc(builder.shape(tail.output)), forms.dst.type), forms.dst.scale)
              : builder.destination_of(tail, {.desc = types.dst, .buffer = 0, .scale = forms.dst.scale}, forms.residual);
  const dnnl::memory::desc plain = plain_desc(product.weight_view);
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
      builder.constant(constant_key(node, "narrow_bias"), std::span<const float>(weights.bias), types.bias, types.bias);
  arguments.push_back(reads(DNNL_ARG_SRC, {.desc = types.src, .buffer = src.buffer}));
  arguments.push_back(constant_argument(DNNL_ARG_WEIGHTS, packed));
  arguments.push_back(constant_argument(DNNL_ARG_BIAS, bias));
  const PlannedValue seen{.desc = types.dst, .buffer = dst.buffer};
  arguments.push_back(tail.residual ? updates(DNNL_ARG_DST, seen) : writes(DNNL_ARG_DST, seen));
  builder.add_primitive(std::move(chosen.make), chosen.scratchpad, std::move(arguments));
  if (!weights.note.empty()) refusals.push_back(weights.note);
  builder.report(node, "onednn:" + chosen.name, std::move(refusals), is_int8 ? ValueType::int8 : ValueType::bfloat16);
  return {};
}

}  // namespace bitwright
