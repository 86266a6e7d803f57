// SPDX-License-Identifier: Apache-2.0
// Every kernel of every family at the shapes that networks of the zoo have. Counters: weights a second, bytes of codes a second.
#include "bitwright/core/rng.h"
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

const bool kRegistered = [] {
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
