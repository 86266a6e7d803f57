// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/narrow_product.h"
#include "bitwright/runtime/ops/packed_product.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

#include <utility>

namespace bitwright {
namespace {

// Multiplies straight by the codes. Returns why not, when it does not.
std::vector<std::string> try_packed(PlanBuilder& builder, const Node& node) {
  const PackedChoice choice = choose_packed(builder.weight(node, 1), MatrixOrder::by_output, builder.shape(node.inputs[0])[0]);
  if (!choice.table) return choice.refusals;
  const PlannedValue src = builder.plain_value(node, 0);
  const FusedTail tail = builder.fuse_tail(node);
  const Shape& weight = weight_shape(builder.weight(node, 1));
  const auto weights = builder.constants().packed(constant_key(node, "packed"), [&] { return pack_weights(choice, weight[0], weight[1]); });
  add_packed_product(builder, node, choice,
                     {.weights = weights, .rows = builder.shape(node.inputs[0])[0], .inputs = weight[1], .outputs = weight[0]}, src, tail,
                     folded_bias(builder, node, tail));
  return {};
}

void plan_inner_product(PlanBuilder& builder, const Node& node, std::vector<std::string> refusals) {
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& weight = weight_shape(builder.weight(node, 1));
  const FusedTail tail = builder.fuse_tail(node);
  if (const std::optional<ValueForm> form = builder.narrow_source(node, refusals)) {
    const NarrowProduct narrow{.weight = builder.weight(node, 1),
                               .bias = folded_bias(builder, node, tail),
                               .source = *form,
                               .view = {.source = src_shape, .weight = weight, .result = builder.shape(tail.output)},
                               .stored = narrow_desc(src_shape, form->type),
                               .choose = choose_inner_product,
                               .alternative = {}};
    refusals = try_narrow_product(builder, node, tail, narrow, std::move(refusals));
    if (refusals.empty()) return;
  }
  FoldedProduct product = fold_product(builder, node, tail);
  const Shape bias_dims{weight[0]};
  const dnnl::inner_product_forward::desc desc(dnnl::prop_kind::forward_inference, any_desc(src_shape.dims()), any_desc(weight.dims()),
                                               plain_desc(bias_dims), any_desc(builder.shape(tail.output).dims()));
  const dnnl::inner_product_forward::primitive_desc chosen(desc, tail_attributes(tail), cpu_engine());
  builder.report(node, std::string("onednn:inner_product:") + chosen.impl_info_str(), std::move(refusals));

  const PlannedValue converted = builder.value_as(node.inputs[0], chosen.src_desc());
  const PlannedValue dst = builder.destination_of(tail, chosen.dst_desc());
  const dnnl::memory weights = builder.constant(constant_key(node, "weight"), product.weights, plain_desc(weight), chosen.weights_desc());
  builder.passing_weights().values = std::move(product.weights);
  const dnnl::memory bias = builder.constant(constant_key(node, "bias"), product.bias, plain_desc(bias_dims), plain_desc(bias_dims));
  builder.add_primitive([chosen] { return dnnl::inner_product_forward(chosen); }, chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, converted), constant_argument(DNNL_ARG_WEIGHTS, weights),
                         constant_argument(DNNL_ARG_BIAS, bias), tail.residual ? updates(DNNL_ARG_DST, dst) : writes(DNNL_ARG_DST, dst)});
}

}  // namespace

void plan_gemm(PlanBuilder& builder, const Node& node) {
  (void)builder.stored_value(node, 0);
  std::vector<std::string> refusals = try_packed(builder, node);
  if (!refusals.empty()) plan_inner_product(builder, node, std::move(refusals));
}

}  // namespace bitwright
