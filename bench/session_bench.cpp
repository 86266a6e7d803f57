// SPDX-License-Identifier: Apache-2.0
// One image through LeNet-5, float against packed, run in turn so that both see the same machine; and whole batches.
#include "bench/median.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/session.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace bitwright {
namespace {

Model model_in(const char* name, const char* format) {
  Model model = build_zoo_model(name, 1);
  if (std::string_view(format) == "float") return model;
  for (const std::string& weight_name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(weight_name);
    weight = quantize(NumberFormat::parse(format), weight_shape(weight), weight_values(weight));
  }
  return model;
}

std::vector<float> normals(std::int64_t count) {
  const Rng rng(1, "session_bench");
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
  return values;
}

double seconds_of(Session& session, std::span<const float> input, std::span<float> output) {
  const auto start = std::chrono::steady_clock::now();
  session.run(input, output);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Iteration time is the packed model's; counters: medians of both and their ratio.
void run_against_float(benchmark::State& state, const char* name, const char* format, std::int64_t batch) {
  const SessionOptions options{.threads = 1, .batch = batch};
  Session plain(model_in(name, "float"), options);
  Session packed(model_in(name, format), options);
  const std::vector<float> input = normals(batch * plain.input_shape().element_count());
  std::vector<float> output(static_cast<std::size_t>(batch * plain.output_shape().element_count()));
  std::vector<double> plain_seconds;
  std::vector<double> packed_seconds;
  for (auto _ : state) {
    plain_seconds.push_back(seconds_of(plain, input, output));
    packed_seconds.push_back(seconds_of(packed, input, output));
    state.SetIterationTime(packed_seconds.back());
  }
  state.counters["float_us"] = median(plain_seconds) * 1e6;
  state.counters["packed_us"] = median(packed_seconds) * 1e6;
  state.counters["times_faster"] = median(plain_seconds) / median(packed_seconds);
}

void run_alone(benchmark::State& state, const char* name, std::int64_t batch) {
  Session session(model_in(name, "float"), {.threads = 1, .batch = batch});
  const std::vector<float> input = normals(batch * session.input_shape().element_count());
  std::vector<float> output(static_cast<std::size_t>(batch * session.output_shape().element_count()));
  for (auto _ : state) session.run(input, output);
  state.counters["images"] = benchmark::Counter(static_cast<double>(state.iterations() * batch), benchmark::Counter::kIsRate);
}

const bool kRegistered = [] {
  for (const char* name : {"lenet5", "mlp-1000"}) {
    for (const char* format : {"float", "pow2:5", "pow2:4", "pow2:3", "pow2:2", "ternary", "codebook:16"}) {
      for (const std::int64_t batch : {1, 2, 4, 8}) {
        benchmark::RegisterBenchmark(fmt::format("against_float/{}/{}/batch:{}", name, format, batch).c_str(),
                                     [=](benchmark::State& state) { run_against_float(state, name, format, batch); })
            ->UseManualTime();
      }
    }
  }
  for (const char* name : {"lenet5", "resnet20"}) {
    for (const std::int64_t batch : {1, 64}) {
      benchmark::RegisterBenchmark(fmt::format("alone/{}/batch:{}", name, batch).c_str(),
                                   [=](benchmark::State& state) { run_alone(state, name, batch); });
    }
  }
  return true;
}();

}  // namespace
}  // namespace bitwright
