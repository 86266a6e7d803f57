// SPDX-License-Identifier: Apache-2.0
// What a method adds to a training step. The benchmark `Overhead` takes turns, step by step, between a plain float network and one in a
// method's charge, so that both see the same machine; its counters are the two medians in milliseconds and their ratio.
//
// The bars: a ratio of 1.05 for every weight-only method on ResNet-20 (batch 128, bfloat16) and for INQ on LeNet-5 (batch 64) with half of
// the weights frozen; 3 for a step in exact fixed point against one in float32 on the paper's CIFAR-10 network (batch 128): every product
// is then made of integers, and every value rounded.
#include "bench/median.h"
#include "bitwright/core/cpu.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/zoo.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"
#include "bitwright/train/trainer.h"

#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace bitwright {
namespace {

/// A network, its optimizer and its methods: everything that one step needs.
class Job {
 public:
  Job(const std::string& zoo_name, const std::vector<MethodRecipe>& methods, Precision precision)
      : network_(build_zoo_model(zoo_name, 1), {.precision = usable_precision(precision)}) {
    Recipe recipe;
    recipe.train.lr = 1e-4;
    recipe.train.weight_decay = 5e-4;
    recipe.methods = methods;
    methods_ = attach_methods(recipe, network_);
    optimizer_ = std::make_unique<Optimizer>(network_, recipe.train, methods_);
    StepContext now = context();
    for (const auto& method : methods_) method->begin_phase(now);
  }

  void step(const at::Tensor& images, const at::Tensor& labels) {
    StepContext now = context();
    optimizer_->zero_gradients();
    const at::Tensor logits = network_.forward(images, Mode::train);
    at::Tensor loss = at::cross_entropy_loss(logits, labels);
    now.images = &images;
    now.labels = &labels;
    now.logits = &logits;
    for (const auto& method : methods_) loss = method->loss(now, loss);
    benchmark::DoNotOptimize(loss.item<double>());
    loss.backward();
    for (const auto& method : methods_) method->after_backward(now);
    optimizer_->step();
    for (const auto& method : methods_) method->after_step(now);
  }

 private:
  StepContext context() { return {.network = network_, .optimizer = *optimizer_, .seed = 1}; }
  Network network_;
  std::vector<std::unique_ptr<Method>> methods_;
  std::unique_ptr<Optimizer> optimizer_;
};

constexpr int kWarmUpSteps = 5;

void overhead(benchmark::State& state, const MethodRecipe& method, const std::string& zoo_name, Precision precision, std::int64_t batch) {
  at::set_num_threads(cpu_count());
  const Model model = build_zoo_model(zoo_name, 1);
  const Shape image = model.graph.inputs[0].shape.with_dim(0, batch);
  std::vector<float> pixels(static_cast<std::size_t>(image.element_count()));
  const Rng rng(1, "pixels");
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(rng.normal(i));
  const at::Tensor images = to_tensor(image, pixels);
  const at::Tensor labels = at::arange(batch, at::kLong).remainder(10);
  Job plain(zoo_name, {}, precision);
  Job with_method(zoo_name, {method}, precision);
  const auto timed_ms = [&](Job& job) {
    const auto begin = std::chrono::steady_clock::now();
    job.step(images, labels);
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  };
  for (int i = 0; i < kWarmUpSteps; ++i) {
    timed_ms(plain);
    timed_ms(with_method);
  }
  std::vector<double> plain_ms;
  std::vector<double> method_ms;
  for (auto _ : state) {
    plain_ms.push_back(timed_ms(plain));
    method_ms.push_back(timed_ms(with_method));
    state.SetIterationTime((plain_ms.back() + method_ms.back()) / 1000.0);
  }
  state.counters["plain_ms"] = median(plain_ms);
  state.counters["method_ms"] = median(method_ms);
  state.counters["ratio"] = median(method_ms) / median(plain_ms);
  state.counters["images_per_second"] = 1000.0 * static_cast<double>(batch) / median(plain_ms);
}

/// What is measured with each method.
struct Column {
  std::string network;
  Precision precision;
  std::int64_t batch;
  std::int64_t iterations;
};

void register_benchmarks() {
  const std::vector<Column> columns = {
      {"lenet5", Precision::float32, 64, 400}, {"lenet5", Precision::bfloat16, 64, 400}, {"resnet20", Precision::bfloat16, 128, 25}};
  for (const MethodEntry& entry : method_registry()) {
    if (entry.name == "fixed") continue;  // below: it trains neither batch normalization nor in bfloat16
    for (const Column& column : columns) {
      const std::string method(entry.name);
      const std::string precision = column.precision == Precision::float32 ? "float32" : "bfloat16";
      const std::string name = "Overhead/" + method + "/" + column.network + "/" + precision + "/" + std::to_string(column.batch);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [method, column](benchmark::State& state) {
                                     overhead(state, {method, {}}, column.network, column.precision, column.batch);
                                   })
          ->UseManualTime()
          ->Iterations(column.iterations)
          ->Unit(benchmark::kMillisecond);
    }
  }
  for (const char* arithmetic : {"exact", "float32"}) {
    for (const auto& [network, batch] : {std::pair{"gupta-cifar-cnn", 128}, {"gupta-mnist-cnn", 100}, {"mlp-1000", 100}}) {
      const MethodRecipe method{"fixed", {{"arithmetic", std::string(arithmetic)}}};
      benchmark::RegisterBenchmark(
          ("Overhead/fixed-" + std::string(arithmetic) + "/" + network + "/float32/" + std::to_string(batch)).c_str(),
          [method, network = std::string(network), batch = batch](benchmark::State& state) {
            overhead(state, method, network, Precision::float32, batch);
          })
          ->UseManualTime()
          ->Iterations(15)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

const bool kRegistered = (register_benchmarks(), true);

}  // namespace
}  // namespace bitwright
