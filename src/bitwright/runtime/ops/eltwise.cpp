// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/eltwise.h"

#include "bitwright/model/unary_parameters.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/parallel_for.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// A loop of ours, for functions that oneDNN does not have.
template <typename Function>
void plan_loop(PlanBuilder& builder, const Node& node, const char* name, const Function& function) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape& shape = builder.shape(node.inputs[0]);
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(shape));
  builder.report(node, name);
  builder.add_loop({src.buffer}, {dst.buffer},
                   [function, count = shape.element_count(), threads = builder.threads()](std::span<float* const> buffers) {
                     const float* x = buffers[0];
                     float* y = buffers[1];
                     parallel_for(threads, count, [&](std::int64_t i) { y[i] = function(x[i]); });
                   });
}

}  // namespace

void plan_eltwise(PlanBuilder& builder, const Node& node, dnnl::algorithm algorithm, float alpha, float beta,
                  const dnnl::primitive_attr& attributes) {
  const PlannedValue src = builder.floating_value(node, 0);
  const dnnl::eltwise_forward::primitive_desc chosen({dnnl::prop_kind::forward_inference, algorithm, src.desc, alpha, beta}, attributes,
                                                     cpu_engine());
  const PlannedValue dst = builder.make_value(node.outputs.front(), chosen.dst_desc());
  builder.report(node, std::string("onednn:eltwise:") + chosen.impl_info_str(), {}, src.form().type);
  builder.add_primitive(dnnl::eltwise_forward(chosen), chosen.scratchpad_desc(), {reads(DNNL_ARG_SRC, src), writes(DNNL_ARG_DST, dst)});
}

void plan_relu(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.stored_value(node, 0);
  if (!is_code(src.form().type)) return plan_eltwise(builder, node, dnnl::algorithm::eltwise_relu);
  // Codes that can't be below 0 stay as they are.
  if (src.form().type == ValueType::uint8) {
    builder.make_alias(node.outputs.front(), src);
    return builder.report(node, "view", {}, ValueType::int8);
  }
  const PlannedValue dst = builder.make_value(node.outputs.front(), src.desc, src.scale);
  builder.report(node, "loop:relu_of_codes", {}, ValueType::int8);
  builder.add_loop({src.buffer}, {dst.buffer}, [count = builder.shape(node.inputs[0]).element_count()](std::span<float* const> buffers) {
    const auto* x = reinterpret_cast<const std::int8_t*>(buffers[0]);
    auto* y = reinterpret_cast<std::int8_t*>(buffers[1]);
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] < 0 ? std::int8_t{0} : x[i];
  });
}

void plan_abs(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_abs); }

void plan_clip(PlanBuilder& builder, const Node& node) {
  const UnaryParameters parameters = unary_parameters(node);
  plan_eltwise(builder, node, dnnl::algorithm::eltwise_clip, parameters.alpha, parameters.beta);
}

void plan_elu(PlanBuilder& builder, const Node& node) {
  plan_eltwise(builder, node, dnnl::algorithm::eltwise_elu, unary_parameters(node).alpha);
}

void plan_exp(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_exp); }

void plan_gelu(PlanBuilder& builder, const Node& node) {
  const bool is_tanh = unary_parameters(node).approximation == UnaryParameters::Approximation::tanh;
  plan_eltwise(builder, node, is_tanh ? dnnl::algorithm::eltwise_gelu_tanh : dnnl::algorithm::eltwise_gelu_erf);
}

void plan_hard_swish(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_hardswish); }

void plan_leaky_relu(PlanBuilder& builder, const Node& node) {
  plan_eltwise(builder, node, dnnl::algorithm::eltwise_relu, unary_parameters(node).alpha);
}

void plan_neg(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_linear, -1.0F); }

void plan_sigmoid(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_logistic); }

void plan_sqrt(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_sqrt); }

void plan_tanh(PlanBuilder& builder, const Node& node) { plan_eltwise(builder, node, dnnl::algorithm::eltwise_tanh); }

void plan_erf(PlanBuilder& builder, const Node& node) {
  plan_loop(builder, node, "loop:erf", [](float x) { return std::erf(x); });
}

// oneDNN's linear function with a clip behind it gave wrong numbers for three elements (version 2.6).
void plan_hard_sigmoid(PlanBuilder& builder, const Node& node) {
  const UnaryParameters parameters = unary_parameters(node);
  plan_loop(builder, node, "loop:hard_sigmoid",
            [alpha = parameters.alpha, beta = parameters.beta](float x) { return std::max(0.0F, std::min(1.0F, alpha * x + beta)); });
}

}  // namespace bitwright
