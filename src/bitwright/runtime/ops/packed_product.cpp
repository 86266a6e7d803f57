// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/packed_product.h"

#include <fmt/format.h>
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

GemvPackedChoice select_kernel(const Shape& shape, const CodeTable& table, MatrixOrder order, std::int64_t rows) {
  GemvPackedQuery query{.batch = rows, .levels = table.levels};
  if (table.buckets > 1) {
    if (order == MatrixOrder::by_input) {
      return {
          .refusals = {fmt::format("gemv_packed: the matrix is stored by inputs and has {} buckets, this kernel needs 1", table.buckets)}};
    }
    query.inputs = shape[1];
    query.segment = gemv_packed_segment(shape[0], shape[1], table.bucket_size);
  }
  return select_gemv_packed(query, active_isa());
}

}  // namespace

PackedChoice choose_packed(const Weight& weight, MatrixOrder order, std::int64_t rows) {
  const auto* quantized = std::get_if<QuantizedTensor>(&weight);
  if (quantized == nullptr) return {.table = {}, .refusals = {"gemv_packed: the weight is float32, this kernel needs codes"}};
  CodeTable table = code_table(*quantized, kGemvPackedMaxLevels);
  GemvPackedChoice choice = select_kernel(quantized->shape(), table, order, rows);
  if (choice.kernel == nullptr) return {.table = {}, .refusals = std::move(choice.refusals)};
  return {.table = std::move(table), .kernel = choice.kernel, .order = order, .refusals = std::move(choice.refusals)};
}

GemvPackedWeights pack_weights(const PackedChoice& choice, std::int64_t outputs, std::int64_t inputs) {
  const CodeTable& table = *choice.table;
  if (choice.order == MatrixOrder::by_output) {
    return GemvPackedWeights(table.codes, outputs, inputs, table.values,
                             {.size = table.bucket_size, .scales = table.scales, .mins = table.mins});
  }
  std::vector<std::uint8_t> codes(table.codes.size());
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t j = 0; j < outputs; ++j) {
      codes[static_cast<std::size_t>(j * inputs + i)] = table.codes[static_cast<std::size_t>(i * outputs + j)];
    }
  }
  return GemvPackedWeights(codes, outputs, inputs, table.values);
}

bool has_packed_kernel(const Weight& weight, MatrixOrder order, std::int64_t rows) {
  const auto* quantized = std::get_if<QuantizedTensor>(&weight);
  if (quantized == nullptr) return false;
  return select_kernel(quantized->shape(), code_table(*quantized, 0), order, rows).kernel != nullptr;
}

void add_packed_product(PlanBuilder& builder, const Node& node, const PackedChoice& choice, const PackedProduct& product,
                        const PlannedValue& src, const FusedTail& tail, std::vector<float> bias) {
  const auto& [weights, rows, inputs, outputs] = product;
  const Epilogue epilogue{
      .bias = std::move(bias), .scale = tail.scale, .has_residual = tail.residual.has_value(), .has_relu = tail.has_relu};
  std::vector<BufferId> sources = {src.buffer};
  if (tail.residual) sources.push_back(builder.value_as(*tail.residual, plain_desc(builder.shape(*tail.residual))).buffer);
  const PlannedValue dst = builder.make_value(tail.output, plain_desc(builder.shape(tail.output)));
  const GemvPackedFunction kernel = choice.kernel->function;
  const std::int64_t blocks = weights->block_count();
  // A region always has all the session's threads, idle or not: OpenMP would end those it has no use for and start them again later.
  const int threads = builder.threads();
  const std::int64_t parts = std::clamp<std::int64_t>(blocks / kLeastBlocksPerThread, 1, threads);

  const auto multiply = [packed = weights, epilogue, kernel, batch = rows, depth = inputs, width = outputs](std::span<float* const> buffers,
                                                                                                            GemvBlockRange range) {
    const float* x = buffers.front();
    float* y = buffers.back();
    kernel(packed->view(), epilogue.scale.empty() ? epilogue.bias.data() : nullptr, {.values = x, .batch = batch, .stride = depth},
           {.values = y, .stride = width}, range);
    if (epilogue.scale.empty() && !epilogue.has_residual && !epilogue.has_relu) return;
    finish_rows(epilogue, batch, width, range.begin * kGemvPackedBlockOutputs, std::min(range.end * kGemvPackedBlockOutputs, width),
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
  // E.g. `:5bit/3`: five bits hold the codes of three weights.
  std::string kernel_name = fmt::format("{}:{}bit", choice.kernel->name, weights->code_bits());
  if (weights->tuple() > 1) kernel_name += fmt::format("/{}", weights->tuple());
  builder.report(node, kernel_name, choice.refusals);
}

}  // namespace bitwright
