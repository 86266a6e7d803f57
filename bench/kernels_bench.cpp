// SPDX-License-Identifier: Apache-2.0
// Every kernel of every family at the shapes that networks of the zoo have. Counters: weights a second, bytes of codes a second.
#include "bitwright/core/rng.h"
#include "bitwright/kernels/conv_shifted/conv_shifted.h"
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

namespace bitwright {
namespace {

struct GemvShape {
  std::int64_t outputs;
  std::int64_t inputs;
};
constexpr GemvShape kGemvShapes[] = {{500, 800}, {1000, 784}, {10, 500}};  // LeNet-5's and the 784-1000-1000-10 network's

void run_gemv_packed(benchmark::State& state, const GemvPackedKernel& kernel, GemvShape shape, int bits, std::int64_t batch) {
  const Rng rng(1, "kernels_bench");
  std::vector<std::int32_t> codes(static_cast<std::size_t>(shape.outputs * shape.inputs));
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int32_t>(rng.below(i, std::uint64_t{1} << bits));
  std::vector<float> table(std::size_t{1} << bits);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(rng.normal(i));
  std::vector<float> x(static_cast<std::size_t>(batch * shape.inputs));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(rng.normal(i));
  std::vector<float> y(static_cast<std::size_t>(batch * shape.outputs));
  const std::vector<float> bias(static_cast<std::size_t>(shape.outputs), 0.5F);
  const GemvPackedWeights weights(codes, shape.outputs, shape.inputs, table);
  for (auto _ : state) {
    kernel.function(weights.view(), bias.data(), {.values = x.data(), .batch = batch, .stride = shape.inputs},
                    {.values = y.data(), .stride = shape.outputs}, {.begin = 0, .end = weights.block_count()});
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  const auto runs = static_cast<double>(state.iterations());
  state.counters["products"] =
      benchmark::Counter(runs * static_cast<double>(batch * shape.outputs * shape.inputs), benchmark::Counter::kIsRate);
  state.counters["code_bytes"] = benchmark::Counter(runs * static_cast<double>(weights.bytes()), benchmark::Counter::kIsRate);
}

struct NamedConv {
  const char* name;
  ConvShiftedShape shape;
};
constexpr NamedConv kConvs[] = {{.name = "lenet5-conv1",
                                 .shape = {.channels = 1,
                                           .height = 28,
                                           .width = 28,
                                           .outputs = 20,
                                           .kernel_height = 5,
                                           .kernel_width = 5,
                                           .out_height = 24,
                                           .out_width = 24}},
                                {.name = "lenet5-conv2",
                                 .shape = {.channels = 20,
                                           .height = 12,
                                           .width = 12,
                                           .outputs = 50,
                                           .kernel_height = 5,
                                           .kernel_width = 5,
                                           .out_height = 8,
                                           .out_width = 8}}};

void run_conv_shifted(benchmark::State& state, const ConvShiftedKernel& kernel, const ConvShiftedShape& shape) {
  const std::int64_t taps = shape.channels * shape.kernel_height * shape.kernel_width;
  const std::vector<float> values(static_cast<std::size_t>(shape.outputs * taps), 0.25F);
  const ConvShiftedWeights weights(shape, values);
  const std::vector<float> bias(static_cast<std::size_t>(shape.outputs), 0.5F);
  const std::vector<float> src(static_cast<std::size_t>(shape.channels * shape.height * shape.width), 1.0F);
  std::vector<float> scratch(static_cast<std::size_t>(shape.scratch_count()));
  std::vector<float> dst(static_cast<std::size_t>(shape.outputs * shape.out_height * shape.out_width));
  for (auto _ : state) {
    kernel.function({.shape = &shape,
                     .weights = &weights,
                     .bias = bias.data(),
                     .activation = Activation::relu,
                     .src = src.data(),
                     .scratch = scratch.data(),
                     .dst = dst.data()});
    benchmark::DoNotOptimize(dst.data());
    benchmark::ClobberMemory();
  }
  state.counters["products"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(taps) * static_cast<double>(dst.size()), benchmark::Counter::kIsRate);
}

const bool kRegistered = [] {
  for (const ConvShiftedKernel& kernel : conv_shifted_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    for (const NamedConv& conv : kConvs) {
      benchmark::RegisterBenchmark(fmt::format("{}/{}", kernel.name, conv.name).c_str(),
                                   [&kernel, &conv](benchmark::State& state) { run_conv_shifted(state, kernel, conv.shape); });
    }
  }
  for (const GemvPackedKernel& kernel : gemv_packed_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    for (const GemvShape shape : kGemvShapes) {
      for (int bits = 1; bits <= 5; ++bits) {
        for (const std::int64_t batch : {1, 4, 8}) {
          benchmark::RegisterBenchmark(
              fmt::format("{}/bits:{}/{}x{}/batch:{}", kernel.name, bits, shape.outputs, shape.inputs, batch).c_str(),
              [&kernel, shape, bits, batch](benchmark::State& state) { run_gemv_packed(state, kernel, shape, bits, batch); });
        }
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace bitwright
