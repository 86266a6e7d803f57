// SPDX-License-Identifier: Apache-2.0
// Packed matrix times vector: every kernel of gemv_packed and gemv_int8. `cold` goes round copies of the matrix that exceed the last-level
// cache. Counters: bytes of packed weights a second, cycles for 32 weights, and that speed as a share of what one thread reads from as
// many bytes (cold: from 1 GiB), measured in this process.
#include "bench/memory_speed.h"

#include "bitwright/core/rng.h"
#include "bitwright/kernels/gemv_int8/gemv_int8.h"
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <map>

namespace bitwright {
namespace {

constexpr std::int64_t kColdBytes = std::int64_t{1} << 30;

struct Shape2 {
  const char* name;
  std::int64_t outputs;
  std::int64_t inputs;
  bool is_cold;
};
// LeNet-5's and the 784-1000-1000-10 network's layers; in the second-level cache; AlexNet's fc7; VGG's fc6, in cache and from memory.
constexpr Shape2 kShapes[] = {{.name = "500x800", .outputs = 500, .inputs = 800, .is_cold = false},
                              {.name = "1000x784", .outputs = 1000, .inputs = 784, .is_cold = false},
                              {.name = "512x4096", .outputs = 512, .inputs = 4096, .is_cold = false},
                              {.name = "4096x4096", .outputs = 4096, .inputs = 4096, .is_cold = false},
                              {.name = "4096x25088", .outputs = 4096, .inputs = 25088, .is_cold = false},
                              {.name = "4096x25088/cold", .outputs = 4096, .inputs = 25088, .is_cold = true}};

double read_speed(const Shape2& shape, std::int64_t bytes) {
  static std::map<std::int64_t, double> known;
  const std::int64_t size = shape.is_cold ? kColdBytes : std::max<std::int64_t>(bytes, 65536);
  if (!known.contains(size)) known[size] = bench::read_bytes_per_second(size);
  return known[size];
}

std::vector<std::uint8_t> random_codes(std::int64_t count, int levels) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
  std::uint32_t state = 1;  // speed does not depend on the law of the codes
  for (std::uint8_t& code : codes) {
    state = state * 1664525U + 1013904223U;
    code = static_cast<std::uint8_t>((state >> 12) % static_cast<std::uint32_t>(levels));
  }
  return codes;
}

template <typename Weights, typename Multiply>
void measure(benchmark::State& state, const Shape2& shape, const Weights& weights, const Multiply& multiply) {
  const std::int64_t copies = shape.is_cold ? kColdBytes / weights.bytes() + 1 : 1;
  const std::vector<Weights> all(static_cast<std::size_t>(copies), weights);
  std::size_t next = 0;
  const double begin = bench::seconds_now();
  for (auto _ : state) {
    multiply(all[next]);
    next = next + 1 == all.size() ? 0 : next + 1;
    benchmark::ClobberMemory();
  }
  const double seconds = (bench::seconds_now() - begin) / static_cast<double>(state.iterations());
  const auto bytes = static_cast<double>(weights.bytes());
  state.counters["code_bytes"] = bytes / seconds;
  state.counters["cycles_per_32"] = seconds * bench::clock_hz() / (static_cast<double>(shape.outputs * shape.inputs) / 32.0);
  state.counters["of_read"] = bytes / seconds / read_speed(shape, weights.bytes());
  state.counters["bits_per_weight"] = bytes * 8.0 / static_cast<double>(shape.outputs * shape.inputs);
}

void run_packed(benchmark::State& state, const GemvPackedKernel& kernel, const Shape2& shape, int levels, std::int64_t bucket,
                std::int64_t batch) {
  std::vector<float> table(static_cast<std::size_t>(levels), 0.5F);
  const std::vector<float> x(static_cast<std::size_t>(batch * shape.inputs), 0.25F);
  std::vector<float> y(static_cast<std::size_t>(batch * shape.outputs));
  const std::vector<float> bias(static_cast<std::size_t>(shape.outputs), 0.5F);
  const std::vector<float> ones(bucket == 0 ? 0 : static_cast<std::size_t>(shape.outputs * shape.inputs / bucket + 1), 1.0F);
  const GemvPackedWeights weights(random_codes(shape.outputs * shape.inputs, levels), shape.outputs, shape.inputs, table,
                                  {.size = bucket, .scales = ones, .mins = ones});
  measure(state, shape, weights, [&](const GemvPackedWeights& one) {
    kernel.function(one.view(), bias.data(), {.values = x.data(), .batch = batch, .stride = shape.inputs},
                    {.values = y.data(), .stride = shape.outputs}, {.begin = 0, .end = one.block_count()});
  });
}

void run_int8(benchmark::State& state, const GemvInt8Kernel& kernel, const Shape2& shape, int levels, std::size_t planes,
              GemvInt8Layout layout, std::int64_t batch) {
  const std::int64_t stride = gemv_int8_padded(shape.inputs);
  std::vector<std::uint8_t> x(static_cast<std::size_t>(batch * stride), 0);
  std::vector<std::int32_t> sums(static_cast<std::size_t>(batch * shape.outputs) * planes);
  const std::vector<GemvInt8Plane> tables(planes, GemvInt8Plane{.levels = std::vector<std::int8_t>(static_cast<std::size_t>(levels), 1)});
  const GemvInt8Weights weights(random_codes(shape.outputs * shape.inputs, levels), shape.outputs, shape.inputs, tables, layout);
  measure(state, shape, weights, [&](const GemvInt8Weights& one) {
    kernel.function(one.view(), {.values = x.data(), .batch = batch, .stride = stride, .zero_point = 128}, sums.data(),
                    {.begin = 0, .end = one.block_count()});
  });
}

const bool kRegistered = [] {
  const auto add = [](const std::string& name, auto run) { benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime(); };
  for (const Shape2& shape : kShapes) {
    for (const std::int64_t batch : {1, 4, 8}) {
      if (shape.is_cold && batch != 1) continue;
      for (const GemvPackedKernel& kernel : gemv_packed_kernels()) {
        if (!isa_available(kernel.isa)) continue;
        for (const int levels : {2, 3, 4, 8, 16, 17, 64, 256}) {
          add(fmt::format("{}/{}/levels:{}/batch:{}", kernel.name, shape.name, levels, batch),
              [&, levels, batch](benchmark::State& state) { run_packed(state, kernel, shape, levels, 0, batch); });
        }
        if (shape.inputs % 256 == 0) {
          add(fmt::format("{}/{}/levels:16/bucket:256/batch:{}", kernel.name, shape.name, batch),
              [&, batch](benchmark::State& state) { run_packed(state, kernel, shape, 16, 256, batch); });
        }
      }
      for (const GemvInt8Kernel& kernel : gemv_int8_kernels()) {
        if (!isa_available(kernel.isa)) continue;
        for (const int levels : {2, 3, 8, 16, 17, 64}) {
          for (const std::size_t planes : {1U, 2U}) {
            add(fmt::format("{}/{}/levels:{}/planes:{}/batch:{}", kernel.name, shape.name, levels, planes, batch),
                [&, levels, planes, batch](benchmark::State& state) {
                  run_int8(state, kernel, shape, levels, planes, GemvInt8Layout::bits, batch);
                });
            if (levels != 3) continue;
            add(fmt::format("{}/{}/digits/planes:{}/batch:{}", kernel.name, shape.name, planes, batch),
                [&, planes, batch](benchmark::State& state) { run_int8(state, kernel, shape, 3, planes, GemvInt8Layout::digits, batch); });
          }
        }
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace bitwright
