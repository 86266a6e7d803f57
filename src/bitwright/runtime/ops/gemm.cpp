// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/gemv_packed.h"
#include "bitwright/runtime/code_table.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

#include <omp.h>

#include <algorithm>

namespace bitwright {
namespace {

// Fewer blocks than this per thread are not worth waking one.
constexpr std::int64_t kLeastBlocksPerThread = 8;

struct Epilogue {
  std::vector<float> bias;   // added by the kernel when there is no scale
  std::vector<float> scale;  // empty = 1
  bool has_residual = false;
  bool has_relu = false;
};

// y = relu(scale * y + bias + residual) on rows of one block range.
void finish_rows(const Epilogue& epilogue, std::int64_t batch, std::int64_t outputs, std::int64_t begin, std::int64_t end,
                 const float* residual, float* y) {
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t j = n * outputs + begin; j < n * outputs + end; ++j) {
      const auto c = static_cast<std::size_t>(j - n * outputs);
      float value = y[j];
      if (!epilogue.scale.empty()) value = value * epilogue.scale[c] + epilogue.bias[c];
      if (residual != nullptr) value += residual[j];
      if (epilogue.has_relu) value = value > 0.0F ? value : 0.0F;
      y[j] = value;
    }
  }
}

// Multiplies straight by the codes. Returns why not, when it does not.
std::vector<std::string> try_packed(PlanBuilder& builder, const Node& node) {
  const auto* quantized = std::get_if<QuantizedTensor>(&builder.weight(node, 1));
  if (quantized == nullptr) return {"gemv_packed: the weight is float32, this kernel needs codes"};
  const std::int64_t batch = builder.shape(node.inputs[0])[0];
  const std::int64_t inputs = quantized->shape()[1];
  const std::int64_t outputs = quantized->shape()[0];
  const CodeTable table = code_table(*quantized, kGemvPackedMaxLevels);
  const GemvPackedChoice choice = select_gemv_packed({.batch = batch, .levels = table.levels, .tables = table.buckets}, active_isa());
  if (choice.kernel == nullptr) return choice.refusals;

  const PlannedValue src = builder.plain_value(node, 0);
  const FusedTail tail = builder.fuse_tail(node);
  const auto weights = builder.constants().packed(constant_key(node, "packed"),
                                                  [&] { return GemvPackedWeights(table.codes, outputs, inputs, table.values); });
  const Epilogue epilogue{
      .bias = folded_bias(builder, node, tail), .scale = tail.scale, .has_residual = tail.residual.has_value(), .has_relu = tail.has_relu};
  std::vector<BufferId> sources = {src.buffer};
  if (tail.residual) sources.push_back(builder.value_as(*tail.residual, plain_desc(builder.shape(*tail.residual))).buffer);
  const PlannedValue dst = builder.make_value(tail.output, plain_desc(builder.shape(tail.output)));
  const GemvPackedFunction kernel = choice.kernel->function;
  const std::int64_t blocks = weights->block_count();
  // A region always has all the session's threads, idle or not: OpenMP would end those it has no use for and start them again later.
  const int threads = builder.threads();
  const std::int64_t parts = std::clamp<std::int64_t>(blocks / kLeastBlocksPerThread, 1, threads);

  const auto multiply = [weights, epilogue, kernel, batch, inputs, outputs](std::span<float* const> buffers, GemvBlockRange range) {
    const float* x = buffers.front();
    float* y = buffers.back();
    kernel(weights->view(), epilogue.scale.empty() ? epilogue.bias.data() : nullptr, {.values = x, .batch = batch, .stride = inputs},
           {.values = y, .stride = outputs}, range);
    if (epilogue.scale.empty() && !epilogue.has_residual && !epilogue.has_relu) return;
    finish_rows(epilogue, batch, outputs, range.begin * kGemvPackedBlockOutputs, std::min(range.end * kGemvPackedBlockOutputs, outputs),
                epilogue.has_residual ? buffers[1] : nullptr, y);
  };
  builder.add_loop(std::move(sources), {dst.buffer}, [multiply, blocks, threads, parts](std::span<float* const> buffers) {
    if (parts == 1) return multiply(buffers, {.begin = 0, .end = blocks});
#pragma omp parallel num_threads(threads)
    {
      const std::int64_t part = omp_get_thread_num();
      if (part < parts) multiply(buffers, {.begin = blocks * part / parts, .end = blocks * (part + 1) / parts});
    }
  });
  builder.report(node, std::string(choice.kernel->name) + ":" + std::to_string(weights->code_bits()) + "bit", choice.refusals);
  return {};
}

void plan_inner_product(PlanBuilder& builder, const Node& node, std::vector<std::string> refusals) {
  const PlannedValue src = builder.value(node, 0);
  const Shape& weight = weight_shape(builder.weight(node, 1));
  const FusedTail tail = builder.fuse_tail(node);
  const FoldedProduct product = fold_product(builder, node, tail);
  const Shape bias_dims{weight[0]};
  const dnnl::inner_product_forward::desc desc(dnnl::prop_kind::forward_inference, any_desc(src.desc.dims()), any_desc(weight.dims()),
                                               plain_desc(bias_dims), any_desc(builder.shape(tail.output).dims()));
  const dnnl::inner_product_forward::primitive_desc chosen(desc, tail_attributes(tail), cpu_engine());
  builder.report(node, std::string("onednn:inner_product:") + chosen.impl_info_str(), std::move(refusals));

  const PlannedValue converted = builder.value_as(node.inputs[0], chosen.src_desc());
  const PlannedValue dst = builder.destination_of(tail, chosen.dst_desc());
  const dnnl::memory weights = builder.constant(constant_key(node, "weight"), product.weights, plain_desc(weight), chosen.weights_desc());
  const dnnl::memory bias = builder.constant(constant_key(node, "bias"), product.bias, plain_desc(bias_dims), plain_desc(bias_dims));
  builder.add_primitive(dnnl::inner_product_forward(chosen), chosen.scratchpad_desc(),
                        {reads(DNNL_ARG_SRC, converted), constant_argument(DNNL_ARG_WEIGHTS, weights),
                         constant_argument(DNNL_ARG_BIAS, bias), tail.residual ? updates(DNNL_ARG_DST, dst) : writes(DNNL_ARG_DST, dst)});
}

}  // namespace

void plan_gemm(PlanBuilder& builder, const Node& node) {
  (void)builder.value(node, 0);
  std::vector<std::string> refusals = try_packed(builder, node);
  if (!refusals.empty()) plan_inner_product(builder, node, std::move(refusals));
}

}  // namespace bitwright
