// SPDX-License-Identifier: Apache-2.0
// One image through LeNet-5, float against packed, run in turn so that both see the same machine; whole batches; and every network of the
// zoo in every activation mode, with its share of this machine's measured peak.
#include "bench/machine_peaks.h"
#include "bench/median.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/calibration.h"
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

/// Multiplications of one image: every Conv and Gemm, and MatMul by a stored matrix.
double products_of(const Model& model) {
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), 1);
  double products = 0.0;
  for (const Node& node : model.graph.nodes) {
    const std::optional<std::string> weight = weight_input(model.graph, node);
    if (!weight) continue;
    const Shape& stored = shapes.at(*weight);
    const auto outputs = static_cast<double>(node.op == Op::MatMul ? stored[1] : stored[0]);
    products +=
        static_cast<double>(shapes.at(node.outputs.front()).element_count()) * static_cast<double>(stored.element_count()) / outputs;
  }
  return products;
}

/// What multiplies fastest here in a mode.
double peak_gops(Activations activations) {
  const MachinePeaks& peaks = machine_peaks();
  switch (activations) {
    case Activations::float32: return peaks.float_fma_gops;
    case Activations::bfloat16: return peaks.bfloat16_amx_gops.value_or(peaks.float_fma_gops);
    case Activations::int8: return peaks.int8_amx_gops.value_or(peaks.int8_vnni_gops.value_or(peaks.float_fma_gops));
  }
  return peaks.float_fma_gops;
}

// Counters: images a second, operations a second (a multiplication and an addition are two), and their share of the peak.
void run_zoo(benchmark::State& state, const std::string& name, Activations activations) {
  if (const std::string refusal = activations_refusal(activations); !refusal.empty()) return state.SkipWithError(refusal.c_str());
  Model model = model_in(name.c_str(), "pow2:5");
  const double products = products_of(model);
  const std::vector<float> input = normals(model.graph.inputs.front().shape.with_dim(0, 1).element_count());
  if (activations == Activations::int8) model = calibrate(model, input);
  Session session(std::move(model), {.threads = 1, .batch = 1, .activations = activations});
  std::vector<float> output(static_cast<std::size_t>(session.output_shape().element_count()));
  for (auto _ : state) session.run(input, output);
  const auto images = static_cast<double>(state.iterations());
  state.counters["images"] = benchmark::Counter(images, benchmark::Counter::kIsRate);
  state.counters["operations"] = benchmark::Counter(2.0 * products * images, benchmark::Counter::kIsRate);
  state.counters["peak_share"] = benchmark::Counter(2.0 * products * images / (peak_gops(activations) * 1e9), benchmark::Counter::kIsRate);
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
  for (const ZooEntry& entry : zoo_registry()) {
    for (const Activations activations : {Activations::float32, Activations::bfloat16, Activations::int8}) {
      benchmark::RegisterBenchmark(
          fmt::format("zoo/{}/{}", entry.name, activations_name(activations)).c_str(),
          [name = std::string(entry.name), activations](benchmark::State& state) { run_zoo(state, name, activations); })
          ->Unit(benchmark::kMillisecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace bitwright
