// SPDX-License-Identifier: Apache-2.0
// Memory of a network's way through bitwright: import an ONNX file, train one step, export. Every network of the zoo, three times over.
//   libtorch_MB   the largest sum of bytes that LibTorch's own allocator held at once: weights, gradients, momentum, activations
//   process_MB    the largest resident memory of the process above what it had before the import
//   ratio         process over libtorch
//   growth_MB     resident memory after the third time less that after the first, what was freed given back: a leak would show
#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/export.h"
#include "bitwright/onnx/import.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/recipe.h"

#include <benchmark/benchmark.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <torch/torch.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <unordered_map>

namespace bitwright {
namespace {

constexpr std::int64_t kBatch = 8;
constexpr double kMegabyte = 1e6;

/// Passes requests on and adds their sizes up.
class CountingAllocator final : public at::Allocator {
 public:
  static CountingAllocator& instance() {
    static CountingAllocator allocator;
    return allocator;
  }
  at::DataPtr allocate(std::size_t bytes) const override {
    at::DataPtr inner = inner_->allocate(bytes);
    void* const data = inner.release_context();
    const std::lock_guard guard(lock_);
    sizes_[data] = bytes;
    held_ += bytes;
    peak_ = std::max(peak_, held_);
    return {data, data, &CountingAllocator::free, at::kCPU};
  }
  at::DeleterFnPtr raw_deleter() const override { return &CountingAllocator::free; }
  void reset_peak() {
    const std::lock_guard guard(lock_);
    peak_ = held_;
  }
  [[nodiscard]] std::size_t peak() const { return peak_; }

 private:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, /*priority=*/100); }
  static void free(void* data) {
    CountingAllocator& self = instance();
    {
      const std::lock_guard guard(self.lock_);
      const auto found = self.sizes_.find(data);
      if (found != self.sizes_.end()) {
        self.held_ -= found->second;
        self.sizes_.erase(found);
      }
    }
    self.inner_->raw_deleter()(data);
  }

  at::Allocator* inner_;
  mutable std::mutex lock_;
  mutable std::unordered_map<void*, std::size_t> sizes_;
  mutable std::size_t held_ = 0;
  mutable std::size_t peak_ = 0;
};

/// A line of /proc/self/status, in bytes.
double status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return 1024.0 * std::stod(line.substr(key.size() + 1));
  }
  return 0.0;
}

void train_once(const std::filesystem::path& path) {
  Network network(import_onnx(path).model);
  TrainRecipe recipe;
  recipe.lr = 1e-3;
  Optimizer optimizer(network, recipe);
  std::vector<std::int64_t> dims = network.graph().inputs[0].shape.dims();
  dims[0] = kBatch;
  const at::Tensor images = at::randn(dims);
  optimizer.zero_gradients();
  at::cross_entropy_loss(network.forward(images, Mode::train), at::zeros({kBatch}, at::kLong)).backward();
  optimizer.step();
  benchmark::DoNotOptimize(export_onnx(network.to_model({}), OnnxForm::float32).file.data());
}

void BM_ImportTrainExport(benchmark::State& state, const std::string& name) {
  CountingAllocator& allocator = CountingAllocator::instance();
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "bitwright-train-memory.onnx";
  write_file_atomic(path, export_onnx(build_zoo_model(name, 1), OnnxForm::float32).file);
  for (auto unused : state) {
    double after_first = 0.0;
    for (int time = 0; time < 3; ++time) {
      ::malloc_trim(0);
      const double before = status_bytes("VmRSS");
      std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
      allocator.reset_peak();
      train_once(path);
      const double peak = status_bytes("VmHWM") - before;
      ::malloc_trim(0);
      if (time == 0) after_first = status_bytes("VmRSS");
      state.counters["libtorch_MB"] = static_cast<double>(allocator.peak()) / kMegabyte;
      state.counters["process_MB"] = peak / kMegabyte;
      state.counters["ratio"] = peak / static_cast<double>(allocator.peak());
      state.counters["growth_MB"] = (status_bytes("VmRSS") - after_first) / kMegabyte;
    }
  }
  std::filesystem::remove(path);
}

const int kRegistered = [] {
  for (const ZooEntry& entry : zoo_registry()) {
    const std::string name(entry.name);
    benchmark::RegisterBenchmark(("ImportTrainExport/" + name).c_str(),
                                 [name](benchmark::State& state) { BM_ImportTrainExport(state, name); })
        ->Iterations(1)
        ->Unit(benchmark::kSecond);
  }
  return 0;
}();

}  // namespace
}  // namespace bitwright
