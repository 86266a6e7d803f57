// SPDX-License-Identifier: Apache-2.0
// Whether the loader keeps training fed: JPEG files of 500x375 pixels to normalized 3x224x224, a random part of each, mirrored.
//   Loader/W   photographs a second that W workers prepare, nobody else working
//   Fed        ResNet-18 trains on one core (batch 32, bfloat16 where the CPU has it), one worker prepares on another:
//              train_per_second on images that are there already, fed_per_second on those of the loader, waiting_percent of the time
//              of fed steps spent in Loader::next
#include "bench/median.h"
#include "bitwright/core/rng.h"
#include "bitwright/data/dataset.h"
#include "bitwright/data/loader.h"
#include "bitwright/model/zoo.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/recipe.h"
#include "bitwright/train/tensor.h"

#include <benchmark/benchmark.h>
#include <torch/torch.h>
#include <turbojpeg.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace bitwright {
namespace {

constexpr int kWidth = 500;
constexpr int kHeight = 375;
constexpr int kImages = 128;

/// Smooth blobs and some noise, so that the files have the size of photographs (some 50 to 100 kB).
void write_photograph(const std::filesystem::path& path, int number) {
  const Rng rng(1, "photograph", static_cast<std::uint64_t>(number));
  std::vector<unsigned char> pixels;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        const int wave = (x * (3 + channel) + y * (2 + number % 5)) / 4 % 180;
        const auto noise = static_cast<int>(rng.below(static_cast<std::uint64_t>((y * kWidth + x) * 3 + channel), 24));
        pixels.push_back(static_cast<unsigned char>(std::abs(90 - wave) * 2 + noise));
      }
    }
  }
  unsigned char* buffer = nullptr;
  unsigned long bytes = 0;
  const tjhandle handle = tjInitCompress();
  tjCompress2(handle, pixels.data(), kWidth, 0, kHeight, TJPF_RGB, &buffer, &bytes, TJSAMP_420, 85, 0);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(buffer), static_cast<std::streamsize>(bytes));
  tjFree(buffer);
  tjDestroy(handle);
}

const std::filesystem::path& photographs() {
  static const std::filesystem::path folder = [] {
    std::filesystem::path made = std::filesystem::temp_directory_path() / "bitwright-loader-bench";
    std::filesystem::create_directories(made / "train/class");
    for (int i = 0; i < kImages; ++i) write_photograph(made / "train/class" / (std::to_string(i) + ".jpg"), i);
    return made;
  }();
  return folder;
}

constexpr std::int64_t kBatch = 32;

Loader make_loader(int workers) {
  LoaderOptions options;
  options.batch = kBatch;
  options.workers = workers;
  options.augmentation = {.flip_probability = 0.5, .random_crop = 0.08};
  return Loader(open_dataset("folder:" + photographs().string(), Split::train), options);
}

void BM_Loader(benchmark::State& state) {
  Loader loader = make_loader(static_cast<int>(state.range(0)));
  for (auto unused : state) benchmark::DoNotOptimize(loader.next().images.data());
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_Loader)->Name("Loader")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_Fed(benchmark::State& state) {
  at::set_num_threads(1);
  Network network(build_zoo_model("resnet18", 1), {.precision = usable_precision(Precision::bfloat16)});
  TrainRecipe recipe;
  recipe.lr = 1e-4;
  Optimizer optimizer(network, recipe);
  Loader loader = make_loader(1);
  const at::Tensor labels = at::zeros({kBatch}, at::kLong);
  const auto step = [&](const at::Tensor& images) {
    optimizer.zero_gradients();
    at::cross_entropy_loss(network.forward(images, Mode::train), labels).backward();
    optimizer.step();
  };
  const auto now_s = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  const Shape shape = network.graph().inputs[0].shape.with_dim(0, kBatch);
  const at::Tensor ready = to_tensor(shape, loader.next().images);
  std::vector<double> alone_s;
  const auto train_alone = [&] {
    for (int i = 0; i < 8; ++i) {
      const double begin = now_s();
      step(ready);
      alone_s.push_back(now_s() - begin);
    }
  };
  step(ready);
  train_alone();
  std::vector<double> fed_s;
  double waiting_s = 0.0;
  double all_s = 0.0;
  for (auto unused : state) {
    const double begin = now_s();
    const at::Tensor images = to_tensor(shape, loader.next().images);
    const double delivered = now_s();
    step(images);
    const double end = now_s();
    fed_s.push_back(end - begin);
    waiting_s += delivered - begin;
    all_s += end - begin;
  }
  train_alone();
  state.counters["train_per_second"] = static_cast<double>(kBatch) / median(alone_s);
  state.counters["fed_per_second"] = static_cast<double>(kBatch) / median(fed_s);
  state.counters["waiting_percent"] = 100.0 * waiting_s / all_s;
}
BENCHMARK(BM_Fed)->Name("Fed")->Iterations(40)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace bitwright
