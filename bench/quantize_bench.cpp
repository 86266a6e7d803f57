// SPDX-License-Identifier: Apache-2.0
// Rounding, quantizing and packing of long arrays: every kernel of the family. Counters: elements a second, and the time of a memcpy of
// the source (4 bytes an element), measured in this process at the same size, as a share of ours.
#include "bench/memory_speed.h"

#include "bitwright/kernels/quantize/quantize.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <map>

namespace bitwright {
namespace {

// In the second-level cache; beyond the last level of most processors (1 GiB of floats).
constexpr std::int64_t kSizes[] = {std::int64_t{1} << 16, std::int64_t{1} << 28};

double copy_speed(std::int64_t bytes) {
  static std::map<std::int64_t, double> known;
  if (!known.contains(bytes)) known[bytes] = bench::copy_bytes_per_second(bytes);
  return known[bytes];
}

struct Arrays {
  std::vector<float> src;
  std::vector<std::int32_t> codes;
  std::vector<std::byte> bytes;
};
Arrays& arrays(std::int64_t count) {
  static Arrays kept;
  if (kept.src.size() != static_cast<std::size_t>(count)) {
    kept.src.resize(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < kept.src.size(); ++i) kept.src[i] = static_cast<float>(i % 8191) * 0x1p-12F - 1.0F;
    kept.codes.assign(kept.src.size(), 0);
    kept.bytes.assign(kept.src.size(), std::byte{0x55});
  }
  return kept;
}

template <typename Work>
void measure(benchmark::State& state, std::int64_t count, const Work& work) {
  work(arrays(count));  // pages are there
  const double begin = bench::seconds_now();
  for (auto _ : state) {
    work(arrays(count));
    benchmark::ClobberMemory();
  }
  const double per_second = static_cast<double>(count) * static_cast<double>(state.iterations()) / (bench::seconds_now() - begin);
  state.counters["elements"] = per_second;
  state.counters["of_memcpy"] = per_second * 4.0 / copy_speed(count * 4);
}

template <typename Call>
Call encode_call(Arrays& a) {
  Call call;
  call.src = a.src.data();
  call.codes = a.codes.data();
  call.count = static_cast<std::int64_t>(a.src.size());
  return call;
}

void run_round(benchmark::State& state, const QuantizeKernel& kernel, std::int64_t count, RoundMode mode, RoundDraw draw) {
  const Rng rng(1, "quantize_bench");
  measure(state, count, [&](Arrays& a) {
    benchmark::DoNotOptimize(kernel.round(
        {.src = a.src.data(), .dst = reinterpret_cast<float*>(a.codes.data()), .count = count, .mode = mode, .draw = draw, .rng = &rng}));
  });
}

const bool kRegistered = [] {
  for (const QuantizeKernel& kernel : quantize_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    for (const std::int64_t count : kSizes) {
      const auto add = [&](const char* what, auto run) {
        benchmark::RegisterBenchmark(fmt::format("{}/{}/{}", kernel.name, what, count).c_str(), run)->UseRealTime();
      };
      add("round:nearest_even",
          [&kernel, count](benchmark::State& state) { run_round(state, kernel, count, RoundMode::nearest_even, RoundDraw::block); });
      add("round:nearest_down",
          [&kernel, count](benchmark::State& state) { run_round(state, kernel, count, RoundMode::nearest_down, RoundDraw::block); });
      add("round:stochastic:block",
          [&kernel, count](benchmark::State& state) { run_round(state, kernel, count, RoundMode::stochastic, RoundDraw::block); });
      add("round:stochastic:word",
          [&kernel, count](benchmark::State& state) { run_round(state, kernel, count, RoundMode::stochastic, RoundDraw::word); });
      add("uniform:4", [&kernel, count](benchmark::State& state) {
        measure(state, count, [&](Arrays& a) {
          auto call = encode_call<UniformCall>(a);
          call.scale = 2.0F;
          call.min = -1.0F;
          benchmark::DoNotOptimize(kernel.uniform(call));
        });
      });
      add("ternary", [&kernel, count](benchmark::State& state) {
        measure(state, count, [&](Arrays& a) {
          auto call = encode_call<TernaryCall>(a);
          call.threshold = 0.3F;
          benchmark::DoNotOptimize(kernel.ternary(call));
        });
      });
      add("pow2:5", [&kernel, count](benchmark::State& state) {
        measure(state, count, [&](Arrays& a) {
          auto call = encode_call<PowerCall>(a);
          call.exp_min = -7;
          benchmark::DoNotOptimize(kernel.power(call));
        });
      });
      add("codebook:16", [&kernel, count](benchmark::State& state) {
        static const std::vector<double> kMidpoints = [] {
          std::vector<double> midpoints;
          for (int i = 1; i < 16; ++i) midpoints.push_back(i / 16.0);
          return midpoints;
        }();
        measure(state, count, [&](Arrays& a) {
          auto call = encode_call<CodebookCall>(a);
          call.scale = 2.0F;
          call.min = -1.0F;
          call.midpoints = kMidpoints;
          benchmark::DoNotOptimize(kernel.codebook(call));
        });
      });
      for (const int bits : {1, 2, 3, 4, 5, 8}) {
        add(fmt::format("pack:{}", bits).c_str(), [&kernel, count, bits](benchmark::State& state) {
          measure(state, count,
                  [&](Arrays& a) { kernel.pack({.code_bits = bits, .codes = a.codes.data(), .count = count, .bytes = a.bytes.data()}); });
        });
        add(fmt::format("unpack:{}", bits).c_str(), [&kernel, count, bits](benchmark::State& state) {
          measure(state, count,
                  [&](Arrays& a) { kernel.unpack({.code_bits = bits, .bytes = a.bytes.data(), .count = count, .codes = a.codes.data()}); });
        });
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace bitwright
