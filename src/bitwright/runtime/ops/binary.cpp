// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/broadcast.h"
#include "bitwright/runtime/broadcast_loop.h"
#include "bitwright/runtime/ops/eltwise.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

#include <cmath>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace bitwright {
namespace {

bool is_stored(const PlanBuilder& builder, const Node& node, std::size_t input) { return builder.is_weight(node.inputs[input]); }

const Shape& shape_of(const PlanBuilder& builder, const Node& node, std::size_t input) { return builder.shape(node.inputs[input]); }

// An operand for oneDNN, in the layout `desc` of its own shape.
PrimitiveArgument argument_of(PlanBuilder& builder, const Node& node, std::size_t input, int id, const dnnl::memory::desc& desc) {
  const Shape shape = with_leading_ones(shape_of(builder, node, input), static_cast<std::size_t>(desc.data.ndims));
  if (is_stored(builder, node, input)) {
    const std::string key = constant_key(node, "operand" + std::to_string(input));
    return constant_argument(id, builder.constant(key, builder.weight_floats(node, input), plain_desc(shape), desc));
  }
  if (shape == shape_of(builder, node, input)) return reads(id, builder.value_as(node.inputs[input], desc));
  return reads(id, {.desc = desc, .buffer = builder.plain_value(node, input).buffer});
}

// oneDNN computes in the first operand's layout and lets the second repeat. Returns why it does not.
std::vector<std::string> try_onednn(PlanBuilder& builder, const Node& node, dnnl::algorithm algorithm, std::size_t first) {
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::size_t second = 1 - first;
  if (is_stored(builder, node, first) || shape_of(builder, node, first) != dst_shape) {
    return {"onednn:binary: the first operand repeats, this kernel needs it whole"};
  }
  const PlannedValue a = builder.value(node, first);
  const bool is_equal = shape_of(builder, node, second) == dst_shape;
  const Shape other = with_leading_ones(shape_of(builder, node, second), dst_shape.rank());
  const dnnl::memory::desc b_desc = is_equal ? a.desc : plain_desc(other);
  const dnnl::binary::desc desc(algorithm, a.desc, b_desc, a.desc);
  // The reference kernel computes an offset for every element: slower than a loop of ours.
  const dnnl::binary::primitive_desc plain(desc, strict_attributes(), cpu_engine(), /*allow_empty=*/true);
  if (!plain || std::string_view(plain.impl_info_str()).starts_with("ref"))
    return {"onednn:binary: it has no fast kernel for these shapes"};

  std::string output;
  dnnl::primitive_attr attributes = strict_attributes();
  if (builder.fuse_relu(node, output)) {
    dnnl::post_ops post_operations;
    post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(post_operations);
  }
  const dnnl::binary::primitive_desc chosen(desc, attributes, cpu_engine());
  const PrimitiveArgument b = argument_of(builder, node, second, DNNL_ARG_SRC_1, b_desc);
  const PlannedValue dst = builder.make_value(output, chosen.dst_desc());
  builder.report(node, std::string("onednn:binary:") + chosen.impl_info_str());
  builder.add_primitive(dnnl::binary(chosen), chosen.scratchpad_desc(), {reads(DNNL_ARG_SRC_0, a), b, writes(DNNL_ARG_DST, dst)});
  return {};
}

// Two values in few bits, of one shape, and a result that is wanted so. Returns false otherwise.
bool try_narrow_add(PlanBuilder& builder, const Node& node) {
  const Shape& dst_shape = builder.shape(node.outputs.front());
  for (const std::size_t input : {0U, 1U}) {
    if (is_stored(builder, node, input) || shape_of(builder, node, input) != dst_shape) return false;
  }
  const ValueForm form = builder.forms().stored(builder.after_relu(node));
  if (form.type == ValueType::float32) return false;
  dnnl::primitive_attr attributes = strict_attributes();
  std::vector<ValueForm> sources;
  for (const std::size_t input : {0U, 1U}) {
    const ValueForm stored = builder.stored_value(node, input).form();
    const std::optional<ValueForm> narrow = stored.type == ValueType::float32 ? builder.forms().narrow(node.inputs[input]) : stored;
    if (!narrow) return false;
    sources.push_back(*narrow);
    if (!is_code(form.type)) continue;
    attributes.set_scales(input == 0 ? DNNL_ARG_SRC_0 : DNNL_ARG_SRC_1, 0,
                          {static_cast<float>(static_cast<double>(narrow->scale) / static_cast<double>(form.scale))});
  }
  const dnnl::binary::desc desc(dnnl::algorithm::binary_add, narrow_desc(dst_shape, sources[0].type),
                                narrow_desc(dst_shape, sources[1].type), narrow_desc(dst_shape, form.type));
  const dnnl::binary::primitive_desc plain(desc, attributes, cpu_engine(), /*allow_empty=*/true);
  if (!plain || std::string_view(plain.impl_info_str()).starts_with("ref")) return false;
  std::string output;
  dnnl::post_ops post_operations;
  if (builder.fuse_relu(node, output) && form.type != ValueType::uint8)
    post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  attributes.set_post_ops(post_operations);
  const dnnl::binary::primitive_desc chosen(desc, attributes, cpu_engine());
  std::vector<PrimitiveArgument> arguments;
  for (const std::size_t input : {0U, 1U}) {
    const PlannedValue value = builder.value_as(node.inputs[input], narrow_desc(dst_shape, sources[input].type), sources[input].scale);
    arguments.push_back(reads(input == 0 ? DNNL_ARG_SRC_0 : DNNL_ARG_SRC_1, value));
  }
  const PlannedValue dst = builder.make_value(output, chosen.dst_desc(), form.scale);
  arguments.push_back(writes(DNNL_ARG_DST, dst));
  builder.report(node, std::string("onednn:binary:") + chosen.impl_info_str(), {}, is_code(form.type) ? ValueType::int8 : form.type);
  builder.add_primitive(dnnl::binary(chosen), chosen.scratchpad_desc(), std::move(arguments));
  return true;
}

template <typename Function>
void plan_loop(PlanBuilder& builder, const Node& node, std::string kernel, std::vector<std::string> refusals, Function function) {
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const BroadcastLoop loop(dst_shape, broadcast_strides(shape_of(builder, node, 0), dst_shape),
                           broadcast_strides(shape_of(builder, node, 1), dst_shape));
  // Where an operand is: a stored one in `constants`, a computed one in the next buffer.
  struct Operands {
    std::vector<float> constants[2];
    std::vector<BufferId> buffers;
  };
  const auto operands = std::make_shared<Operands>();
  for (const std::size_t input : {0U, 1U}) {
    if (is_stored(builder, node, input)) {
      operands->constants[input] = builder.weight_floats(node, input);
    } else {
      operands->buffers.push_back(builder.plain_value(node, input).buffer);
    }
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, std::move(kernel), std::move(refusals));
  builder.add_loop(operands->buffers, {dst.buffer},
                   [operands, loop, function, threads = builder.threads()](std::span<float* const> buffers) {
                     const auto& [left, right] = operands->constants;
                     const float* a = left.empty() ? buffers.front() : left.data();
                     const float* b = right.empty() ? buffers[buffers.size() - 2] : right.data();
                     loop.run(a, b, buffers.back(), threads, function);
                   });
}

// The only element of a stored operand.
std::optional<float> stored_scalar(const PlanBuilder& builder, const Node& node, std::size_t input) {
  if (!is_stored(builder, node, input) || shape_of(builder, node, input).element_count() != 1) return std::nullopt;
  return builder.weight_floats(node, input).front();
}

}  // namespace

void plan_add(PlanBuilder& builder, const Node& node) {
  if (try_narrow_add(builder, node)) return;
  std::vector<std::string> refusals;
  for (const std::size_t first : {0U, 1U}) {
    refusals = try_onednn(builder, node, dnnl::algorithm::binary_add, first);
    if (refusals.empty()) return;
  }
  plan_loop(builder, node, "loop:add", std::move(refusals), [](float a, float b) { return a + b; });
}

void plan_mul(PlanBuilder& builder, const Node& node) {
  std::vector<std::string> refusals;
  for (const std::size_t first : {0U, 1U}) {
    refusals = try_onednn(builder, node, dnnl::algorithm::binary_mul, first);
    if (refusals.empty()) return;
  }
  plan_loop(builder, node, "loop:mul", std::move(refusals), [](float a, float b) { return a * b; });
}

void plan_sub(PlanBuilder& builder, const Node& node) {
  std::vector<std::string> refusals = try_onednn(builder, node, dnnl::algorithm::binary_sub, 0);
  if (!refusals.empty()) plan_loop(builder, node, "loop:sub", std::move(refusals), [](float a, float b) { return a - b; });
}

void plan_div(PlanBuilder& builder, const Node& node) {
  std::vector<std::string> refusals = try_onednn(builder, node, dnnl::algorithm::binary_div, 0);
  if (!refusals.empty()) plan_loop(builder, node, "loop:div", std::move(refusals), [](float a, float b) { return a / b; });
}

// Squares and roots, which normalizations written out are made of, are far cheaper than powers.
void plan_pow(PlanBuilder& builder, const Node& node) {
  const bool keeps_shape = shape_of(builder, node, 0) == builder.shape(node.outputs.front());
  const std::optional<float> exponent = keeps_shape ? stored_scalar(builder, node, 1) : std::nullopt;
  if (exponent == 2.0F) return plan_eltwise(builder, node, dnnl::algorithm::eltwise_square);
  if (exponent == 0.5F) return plan_eltwise(builder, node, dnnl::algorithm::eltwise_sqrt);
  plan_loop(builder, node, "loop:pow", {}, [](float a, float b) { return std::pow(a, b); });
}

void plan_p_relu(PlanBuilder& builder, const Node& node) {
  plan_loop(builder, node, "loop:p_relu", {}, [](float x, float slope) { return x < 0.0F ? slope * x : x; });
}

}  // namespace bitwright
