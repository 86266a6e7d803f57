// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/plan_ops.h"

namespace bitwright {

void plan_add(PlanBuilder& builder, const Node& node) {
  const PlannedValue a = builder.value(node, 0);
  (void)builder.value(node, 1);
  std::string output;
  dnnl::primitive_attr attributes = strict_attributes();
  if (builder.fuse_relu(node, output)) {
    dnnl::post_ops post_operations;
    post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(post_operations);
  }
  const PlannedValue b = builder.value_as(node.inputs[1], a.desc);
  const dnnl::binary::primitive_desc chosen({dnnl::algorithm::binary_add, a.desc, b.desc, a.desc}, attributes, cpu_engine());
  const PlannedValue dst = builder.make_value(output, chosen.dst_desc());
  builder.report(node, std::string("onednn:binary:") + chosen.impl_info_str());
  builder.add_primitive(dnnl::binary(chosen), chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC_0, a), reads(DNNL_ARG_SRC_1, b), writes(DNNL_ARG_DST, dst)});
}

}  // namespace bitwright
