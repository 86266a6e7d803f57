// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/plan_ops.h"

namespace bitwright {

void plan_relu(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.value(node, 0);
  const dnnl::eltwise_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, dnnl::algorithm::eltwise_relu, src.desc, 0.0F, 0.0F}, strict_attributes(), cpu_engine());
  const PlannedValue dst = builder.make_value(node.outputs.front(), chosen.dst_desc());
  builder.report(node, std::string("onednn:eltwise:") + chosen.impl_info_str());
  builder.add_primitive(dnnl::eltwise_forward(chosen), chosen.scratchpad_desc(), {reads(DNNL_ARG_SRC, src), writes(DNNL_ARG_DST, dst)});
}

}  // namespace bitwright
