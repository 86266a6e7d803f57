// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/conv_shifted/conv_shifted.h"
#include "bitwright/model/window.h"
#include "bitwright/runtime/ops/narrow_conv.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace bitwright {
namespace {

// y = relu?(y + residual).
void add_residual(const float* residual, bool has_relu, std::int64_t count, float* y) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    const float sum = y[i] + residual[i];
    y[i] = has_relu ? std::max(sum, 0.0F) : sum;
  }
}

// Few images and channels that fill no vector. Returns why not, when it does not.
std::vector<std::string> try_shifted(PlanBuilder& builder, const Node& node) {
  const Shape& weight = weight_shape(builder.weight(node, 1));
  const Shape src_shape = builder.shape(node.inputs[0]);
  const Shape dst_shape = builder.shape(node.outputs.front());
  const Window window = read_window(node, &weight);
  const std::int64_t batch = src_shape[0];
  const ConvShiftedChoice choice = select_conv_shifted({.batch = batch,
                                                        .threads = builder.threads(),
                                                        .group = node.int_attribute("group", 1),
                                                        .stride_y = window.strides[0],
                                                        .stride_x = window.strides[1],
                                                        .outputs = weight[0],
                                                        .pixels = dst_shape[2] * dst_shape[3]},
                                                       active_isa());
  if (choice.kernel == nullptr) return choice.refusals;
  const ConvShiftedShape shape{.channels = src_shape[1],
                               .height = src_shape[2],
                               .width = src_shape[3],
                               .outputs = weight[0],
                               .kernel_height = window.kernel[0],
                               .kernel_width = window.kernel[1],
                               .dilation_y = window.dilations[0],
                               .dilation_x = window.dilations[1],
                               .pad_top = window.pads_begin[0],
                               .pad_left = window.pads_begin[1],
                               .out_height = dst_shape[2],
                               .out_width = dst_shape[3]};

  const PlannedValue src = builder.plain_value(node, 0);
  const FusedTail tail = builder.fuse_tail(node);
  const FoldedProduct product = fold_product(builder, node, tail);
  std::vector<BufferId> sources = {src.buffer};
  if (tail.residual) sources.push_back(builder.value_as(*tail.residual, plain_desc(dst_shape)).buffer);
  const BufferId scratch = builder.new_buffer(shape.scratch_count() * static_cast<std::int64_t>(sizeof(float)));
  const PlannedValue dst = builder.make_value(tail.output, plain_desc(dst_shape));
  builder.report(node, std::string(choice.kernel->name), choice.refusals);

  struct Work {
    ConvShiftedShape shape;
    ConvShiftedWeights weights;
    std::vector<float> bias;
    ConvShiftedFunction kernel;
    bool has_residual;
    bool has_relu;
  };
  const auto work = std::make_shared<const Work>(Work{.shape = shape,
                                                      .weights = ConvShiftedWeights(shape, product.weights),
                                                      .bias = product.bias,
                                                      .kernel = choice.kernel->function,
                                                      .has_residual = tail.residual.has_value(),
                                                      .has_relu = tail.has_relu});
  builder.add_loop(std::move(sources), {scratch, dst.buffer}, [work, batch](std::span<float* const> buffers) {
    const ConvShiftedShape& s = work->shape;
    const std::int64_t src_count = s.channels * s.height * s.width;
    const std::int64_t dst_count = s.outputs * s.out_height * s.out_width;
    const Activation activation = work->has_relu && !work->has_residual ? Activation::relu : Activation::none;
    for (std::int64_t n = 0; n < batch; ++n) {
      float* y = buffers.back() + n * dst_count;
      work->kernel({.shape = &s,
                    .weights = &work->weights,
                    .bias = work->bias.data(),
                    .activation = activation,
                    .src = buffers.front() + n * src_count,
                    .scratch = buffers[buffers.size() - 2],
                    .dst = y});
      if (work->has_residual) add_residual(buffers[1] + n * dst_count, work->has_relu, dst_count, y);
    }
  });
  return {};
}

void plan_convolution(PlanBuilder& builder, const Node& node, std::vector<std::string> refusals) {
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& weight = weight_shape(builder.weight(node, 1));
  const Window window = read_window(node, &weight);
  const std::int64_t group = node.int_attribute("group", 1);
  const FusedTail tail = builder.fuse_tail(node);

  // Grouped weights are the same values seen as [group, outputs per group, inputs per group, height, width].
  Shape weight_dims = weight;
  if (group > 1) weight_dims = Shape{group, weight[0] / group, weight[1], weight[2], weight[3]};
  const Shape bias_dims{weight[0]};
  if (const std::optional<ValueForm> form = builder.narrow_source(node, refusals)) {
    const NarrowView view{.source = src_shape, .weight = weight_dims, .result = builder.shape(tail.output)};
    const NarrowProduct narrow{.weight = builder.weight(node, 1),
                               .bias = folded_bias(builder, node, tail),
                               .source = *form,
                               .view = view,
                               .stored = narrow_desc(src_shape, form->type),
                               .choose = choose_narrow_conv(window, builder.threads()),
                               .alternative = folding_alternative(view, window, builder.threads())};
    refusals = try_narrow_product(builder, node, tail, narrow, std::move(refusals));
    if (refusals.empty()) return;
  }

  FoldedProduct product = fold_product(builder, node, tail);
  const dnnl::convolution_forward::primitive_desc chosen = describe_conv(window, {.src = any_desc(src_shape.dims()),
                                                                                  .weights = any_desc(weight_dims.dims()),
                                                                                  .bias = plain_desc(bias_dims),
                                                                                  .dst = any_desc(builder.shape(tail.output).dims()),
                                                                                  .attributes = tail_attributes(tail)});
  builder.report(node, std::string("onednn:conv:") + chosen.impl_info_str(), std::move(refusals));

  const PlannedValue converted = builder.value_as(node.inputs[0], chosen.src_desc());
  const PlannedValue dst = builder.destination_of(tail, chosen.dst_desc());
  const dnnl::memory weights =
      builder.constant(constant_key(node, "weight"), product.weights, plain_desc(weight_dims), chosen.weights_desc());
  builder.passing_weights().values = std::move(product.weights);
  const dnnl::memory bias = builder.constant(constant_key(node, "bias"), product.bias, plain_desc(bias_dims), plain_desc(bias_dims));
  builder.add_primitive([chosen] { return dnnl::convolution_forward(chosen); }, chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, converted), constant_argument(DNNL_ARG_WEIGHTS, weights),
                         constant_argument(DNNL_ARG_BIAS, bias), tail.residual ? updates(DNNL_ARG_DST, dst) : writes(DNNL_ARG_DST, dst)});
}

}  // namespace

void plan_conv(PlanBuilder& builder, const Node& node) {
  (void)builder.stored_value(node, 0);
  std::vector<std::string> refusals;
  if (builder.activations() == Activations::float32) {
    refusals = try_shifted(builder, node);
    if (refusals.empty()) return;
  }
  plan_convolution(builder, node, std::move(refusals));
}

}  // namespace bitwright
