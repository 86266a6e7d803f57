// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/rearrangement.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"
#include "bitwright/runtime/parallel_for.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace bitwright {
namespace {

// A window of an even number of channels lies off its centre: oneDNN has no word for that.
void plan_even_lrn(PlanBuilder& builder, const Node& node, std::int64_t size, float alpha, float beta, float bias) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape shape = builder.shape(node.inputs[0]);
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(shape));
  builder.report(node, "loop:lrn", {"onednn:lrn: the window is even, this kernel needs a centre"});
  builder.add_loop({src.buffer}, {dst.buffer}, [=, threads = builder.threads()](std::span<float* const> buffers) {
    const std::int64_t channels = shape[1];
    const std::int64_t pixels = shape[2] * shape[3];
    const float scale = alpha / static_cast<float>(size);
    parallel_for(threads, shape[0] * channels, [=](std::int64_t plane) {
      const std::int64_t c = plane % channels;
      const std::int64_t begin = std::max<std::int64_t>(0, c - (size - 1) / 2);
      const std::int64_t end = std::min(channels, c + size / 2 + 1);
      const float* image = buffers[0] + (plane - c) * pixels;
      for (std::int64_t i = 0; i < pixels; ++i) {
        float squares = 0.0F;
        for (std::int64_t other = begin; other < end; ++other) squares += image[other * pixels + i] * image[other * pixels + i];
        buffers[1][plane * pixels + i] = image[c * pixels + i] * std::pow(bias + scale * squares, -beta);
      }
    });
  });
}

void normalize_row(const float* x, const float* scale, const float* shift, float epsilon, std::int64_t count, float* y) noexcept {
  const auto n = static_cast<float>(count);
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) sum += x[i];
  const float mean = sum / n;
  float squares = 0.0F;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < count; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float factor = 1.0F / std::sqrt(squares / n + epsilon);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * factor * scale[i] + shift[i];
}

}  // namespace

// A loop of ours: oneDNN's takes memory in every run.
void plan_layer_normalization(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape& shape = builder.shape(node.inputs[0]);
  struct Parameters {
    std::vector<float> scale;
    std::vector<float> shift;
    float epsilon;
  };
  const auto parameters = std::make_shared<Parameters>();
  parameters->scale = builder.weight_floats(node, 1);
  parameters->shift = builder.weight_floats(node, 2);
  parameters->shift.resize(parameters->scale.size(), 0.0F);
  parameters->epsilon = node.float_attribute("epsilon", 1e-5F);
  const auto count = static_cast<std::int64_t>(parameters->scale.size());
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(shape));
  builder.report(node, "loop:layer_normalization");
  builder.add_loop({src.buffer}, {dst.buffer},
                   [parameters, count, rows = shape.element_count() / count, threads = builder.threads()](std::span<float* const> buffers) {
                     const float* scale = parameters->scale.data();
                     const float* shift = parameters->shift.data();
                     parallel_for(threads, rows, [=, epsilon = parameters->epsilon](std::int64_t row) {
                       normalize_row(buffers[0] + row * count, scale, shift, epsilon, count, buffers[1] + row * count);
                     });
                   });
}

void plan_lrn(PlanBuilder& builder, const Node& node) {
  const std::int64_t size = node.int_attribute("size", 1);
  const float alpha = node.float_attribute("alpha", 1e-4F);
  const float beta = node.float_attribute("beta", 0.75F);
  const float bias = node.float_attribute("bias", 1.0F);
  if (size % 2 == 0) return plan_even_lrn(builder, node, size, alpha, beta, bias);
  const PlannedValue src = builder.value(node, 0);
  const dnnl::lrn_forward::primitive_desc chosen(
      {dnnl::prop_kind::forward_inference, dnnl::algorithm::lrn_across_channels, src.desc, size, alpha, beta, bias}, strict_attributes(),
      cpu_engine());
  const PlannedValue dst = builder.make_value(node.outputs.front(), chosen.dst_desc());
  builder.report(node, std::string("onednn:lrn:") + chosen.impl_info_str());
  builder.add_primitive(dnnl::lrn_forward(chosen), chosen.scratchpad_desc(), {reads(DNNL_ARG_SRC, src), writes(DNNL_ARG_DST, dst)});
}

void plan_reduce_mean(PlanBuilder& builder, const Node& node) {
  const PlannedValue src = builder.plain_value(node, 0);
  const Shape& src_shape = builder.shape(node.inputs[0]);
  const Shape& dst_shape = builder.shape(node.outputs.front());
  const std::vector<bool> is_reduced = reduced_axes(node, src_shape.rank());
  std::vector<std::int64_t> kept = src_shape.dims();
  for (std::size_t axis = 0; axis < kept.size(); ++axis) kept[axis] = is_reduced[axis] ? 1 : kept[axis];
  if (Shape(kept) == src_shape) {
    builder.make_alias(node.outputs.front(), {.desc = plain_desc(dst_shape), .buffer = src.buffer});
    return builder.report(node, "view");
  }
  const dnnl::memory::desc kept_desc = plain_desc(Shape(kept));
  const dnnl::reduction::primitive_desc chosen({dnnl::algorithm::reduction_mean, src.desc, kept_desc, 0.0F, 0.0F}, strict_attributes(),
                                               cpu_engine());
  const PlannedValue dst = builder.make_value(node.outputs.front(), plain_desc(dst_shape));
  builder.report(node, std::string("onednn:reduction:") + chosen.impl_info_str());
  builder.add_primitive(dnnl::reduction(chosen), chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, src), writes(DNNL_ARG_DST, {.desc = kept_desc, .buffer = dst.buffer})});
}

}  // namespace bitwright
