// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/window.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

namespace bitwright {

void plan_conv(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.value(node, 0);
  const Shape& weight = weight_shape(builder.weight(node, 1));
  const Window window = read_window(node, &weight);
  const std::int64_t group = node.int_attribute("group", 1);
  const FusedTail tail = builder.fuse_tail(node);
  const FoldedProduct product = fold_product(builder, node, tail);

  // Grouped weights are the same values seen as [group, outputs per group, inputs per group, height, width].
  Shape weight_dims = weight;
  if (group > 1) weight_dims = Shape{group, weight[0] / group, weight[1], weight[2], weight[3]};
  const Shape bias_dims{weight[0]};
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                             any_desc(src.desc.dims()), any_desc(weight_dims.dims()), plain_desc(bias_dims),
                                             any_desc(builder.shape(tail.output).dims()), {window.strides[0], window.strides[1]},
                                             {window.dilations[0] - 1, window.dilations[1] - 1},
                                             {window.pads_begin[0], window.pads_begin[1]}, {window.pads_end[0], window.pads_end[1]});
  const dnnl::convolution_forward::primitive_desc chosen(desc, tail_attributes(tail), cpu_engine());
  builder.report(node, std::string("onednn:conv:") + chosen.impl_info_str());

  const PlannedValue converted = builder.value_as(node.inputs[0], chosen.src_desc());
  const PlannedValue dst = builder.destination_of(tail, chosen.dst_desc());
  const dnnl::memory weights =
      builder.constant(constant_key(node, "weight"), product.weights, plain_desc(weight_dims), chosen.weights_desc());
  const dnnl::memory bias = builder.constant(constant_key(node, "bias"), product.bias, plain_desc(bias_dims), plain_desc(bias_dims));
  builder.add_primitive(dnnl::convolution_forward(chosen), chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, converted), constant_argument(DNNL_ARG_WEIGHTS, weights),
                         constant_argument(DNNL_ARG_BIAS, bias), tail.residual ? updates(DNNL_ARG_DST, dst) : writes(DNNL_ARG_DST, dst)});
}

}  // namespace bitwright
