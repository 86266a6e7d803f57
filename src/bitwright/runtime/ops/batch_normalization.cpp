// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

namespace bitwright {

// Only where it follows neither Conv nor Gemm: there it is part of their weights.
void plan_batch_normalization(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.floating_value(node, 0);
  const std::int64_t channels = builder.shape(node.inputs[0])[1];
  std::vector<float> scale_shift = builder.weight_floats(node, 1);
  const std::vector<float> shift = builder.weight_floats(node, 2);
  scale_shift.insert(scale_shift.end(), shift.begin(), shift.end());

  std::string output;
  dnnl::normalization_flags flags = dnnl::normalization_flags::use_global_stats | dnnl::normalization_flags::use_scale_shift;
  dnnl::primitive_attr attributes = strict_attributes();
  if (builder.fuse_relu(node, output)) {
    dnnl::post_ops post_operations;
    post_operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(post_operations);
  }
  const dnnl::batch_normalization_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, src.desc, node.float_attribute("epsilon", 1e-5F), flags}, attributes, cpu_engine());
  const PlannedValue dst = builder.make_value(output, chosen.dst_desc());
  builder.report(node, std::string("onednn:batch_normalization:") + chosen.impl_info_str(), {}, src.form().type);

  const dnnl::memory::desc per_channel = plain_desc(Shape{channels});
  const dnnl::memory::desc two_rows = plain_desc(Shape{2, channels});
  const dnnl::memory weights = builder.constant(constant_key(node, "scale_shift"), scale_shift, two_rows, two_rows);
  const dnnl::memory mean = builder.constant(constant_key(node, "mean"), builder.weight_floats(node, 3), per_channel, per_channel);
  const dnnl::memory variance = builder.constant(constant_key(node, "variance"), builder.weight_floats(node, 4), per_channel, per_channel);
  builder.add_primitive(dnnl::batch_normalization_forward(chosen), chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, src), constant_argument(DNNL_ARG_MEAN, mean), constant_argument(DNNL_ARG_VARIANCE, variance),
                         constant_argument(DNNL_ARG_SCALE_SHIFT, weights), writes(DNNL_ARG_DST, dst)});
}

}  // namespace bitwright
