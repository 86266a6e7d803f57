// SPDX-License-Identifier: Apache-2.0
// How many photographs a second the loader prepares: JPEG files of 500x375 pixels to normalized 3x224x224, a random part of each, mirrored.
// Compare with images a second of training: bench/train_step_bench.
#include "bitwright/core/rng.h"
#include "bitwright/data/dataset.h"
#include "bitwright/data/loader.h"

#include <benchmark/benchmark.h>
#include <turbojpeg.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

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

void BM_Loader(benchmark::State& state) {
  LoaderOptions options;
  options.batch = 32;
  options.workers = static_cast<int>(state.range(0));
  options.augmentation = {.flip_probability = 0.5, .random_crop = 0.08};
  Loader loader(open_dataset("folder:" + photographs().string(), Split::train), options);
  for (auto unused : state) benchmark::DoNotOptimize(loader.next().images.data());
  state.SetItemsProcessed(state.iterations() * options.batch);
}
BENCHMARK(BM_Loader)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace bitwright
