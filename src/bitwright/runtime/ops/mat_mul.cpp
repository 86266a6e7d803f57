// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/broadcast.h"
#include "bitwright/runtime/integer_weights.h"
#include "bitwright/runtime/ops/narrow_product.h"
#include "bitwright/runtime/ops/packed_product.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

namespace bitwright {
namespace {

/// A MatMul by a stored matrix [inputs, outputs]: all rows of the source, whatever its leading axes.
struct StoredProduct {
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
};

StoredProduct stored_product(const PlanBuilder& builder, const Node& node) {
  const Shape& weight = weight_shape(builder.weight(node, 1));
  return {.rows = builder.shape(node.inputs[0]).element_count() / weight[0], .inputs = weight[0], .outputs = weight[1]};
}

std::vector<float> bias_of(const FusedTail& tail, std::int64_t outputs) {
  return tail.shift.empty() ? std::vector<float>(static_cast<std::size_t>(outputs), 0.0F) : tail.shift;
}

// Multiplies straight by the codes, laid out as Gemm's: one row per output. Returns why not, when it does not.
std::vector<std::string> try_packed(PlanBuilder& builder, const Node& node, const StoredProduct& product) {
  const auto& [rows, inputs, outputs] = product;
  const PackedChoice choice = choose_packed(builder.weight(node, 1), MatrixOrder::by_input, rows);
  if (!choice.table) return choice.refusals;
  const PlannedValue src = builder.plain_value(node, 0);
  const FusedTail tail = builder.fuse_bias(node, outputs);
  const auto weights = builder.constants().packed(
      constant_key(node, "packed"), [&choice, depth = inputs, width = outputs] { return pack_weights(choice, width, depth); });
  add_packed_product(builder, node, choice, {.weights = weights, .rows = rows, .inputs = inputs, .outputs = outputs}, src, tail,
                     bias_of(tail, outputs));
  return {};
}

void plan_stored(PlanBuilder& builder, const Node& node) {
  const StoredProduct product = stored_product(builder, node);
  std::vector<std::string> refusals = try_packed(builder, node, product);
  if (refusals.empty()) return;
  const auto& [rows, inputs, outputs] = product;
  const FusedTail tail = builder.fuse_bias(node, outputs);
  const Shape weight{outputs, inputs};
  if (const std::optional<ValueForm> form = builder.narrow_source(node, refusals)) {
    const Weight turned = transposed(builder.weight(node, 1));
    const NarrowProduct narrow{.weight = turned,
                               .bias = bias_of(tail, outputs),
                               .source = *form,
                               .view = {.source = Shape{rows, inputs}, .weight = weight, .result = Shape{rows, outputs}},
                               .stored = with_type(plain_desc(builder.shape(node.inputs[0])), form->type),
                               .choose = choose_inner_product,
                               .alternative = {}};
    refusals = try_narrow_product(builder, node, tail, narrow, std::move(refusals));
    if (refusals.empty()) return;
  }
  const PlannedValue src = builder.plain_value(node, 0);
  const dnnl::memory::desc bias_desc = plain_desc(Shape{outputs});
  const dnnl::memory::desc src_desc = plain_desc(Shape{rows, inputs});
  const dnnl::memory::desc dst_desc = plain_desc(Shape{rows, outputs});
  const dnnl::inner_product_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, src_desc, any_desc(weight.dims()), bias_desc, dst_desc}, tail_attributes(tail), cpu_engine());
  builder.report(node, std::string("onednn:inner_product:") + chosen.impl_info_str(), std::move(refusals));
  // The stored matrix has one row per input; seen with its strides exchanged it is Gemm's.
  const dnnl::memory::desc stored(weight.dims(), dnnl::memory::data_type::f32, {1, outputs});
  const dnnl::memory weights =
      builder.constant(constant_key(node, "weight"), builder.weight_floats(node, 1), stored, chosen.weights_desc());
  const dnnl::memory bias = builder.constant(constant_key(node, "bias"), bias_of(tail, outputs), bias_desc, bias_desc);
  const PlannedValue dst = builder.make_value(tail.output, plain_desc(builder.shape(tail.output)));
  builder.add_primitive([chosen] { return dnnl::inner_product_forward(chosen); }, chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, {.desc = src_desc, .buffer = src.buffer}), constant_argument(DNNL_ARG_WEIGHTS, weights),
                         constant_argument(DNNL_ARG_BIAS, bias), writes(DNNL_ARG_DST, {.desc = dst_desc, .buffer = dst.buffer})});
}

void plan_computed(PlanBuilder& builder, const Node& node) {
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const PlannedValue a = builder.plain_value(node, 0);
  const PlannedValue b = builder.plain_value(node, 1);
  const dnnl::memory::desc a_desc = plain_desc(with_leading_ones(builder.shape(node.inputs[0]), dst_shape.rank()));
  const dnnl::memory::desc b_desc = plain_desc(with_leading_ones(builder.shape(node.inputs[1]), dst_shape.rank()));
  const dnnl::matmul::primitive_desc chosen({a_desc, b_desc, plain_desc(dst_shape)}, strict_attributes(), cpu_engine());
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, std::string("onednn:matmul:") + chosen.impl_info_str());
  builder.add_primitive([chosen] { return dnnl::matmul(chosen); }, chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, {.desc = a_desc, .buffer = a.buffer}),
                         reads(DNNL_ARG_WEIGHTS, {.desc = b_desc, .buffer = b.buffer}), writes(DNNL_ARG_DST, dst)});
}

}  // namespace

void plan_mat_mul(PlanBuilder& builder, const Node& node) {
  if (builder.is_weight(node.inputs[1])) return plan_stored(builder, node);
  plan_computed(builder, node);
}

}  // namespace bitwright
