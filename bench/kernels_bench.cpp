// SPDX-License-Identifier: Apache-2.0
// Convolutions: every kernel of conv_shifted and fixed_point at the shapes that networks of the zoo have. Counter: products a second.
// gemv_bench.cpp and quantize_bench.cpp have the other families.
#include "bitwright/core/rng.h"
#include "bitwright/kernels/conv_shifted/conv_shifted.h"
#include "bitwright/kernels/fixed_point/fixed_point.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

namespace bitwright {
namespace {

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

std::vector<std::int16_t> codes16(std::int64_t count, std::string_view name) {
  const Rng rng(1, name);
  std::vector<std::int16_t> codes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int16_t>(rng.bits32(i));
  return codes;
}

// Memory aligned as the kernels want their scratch and like their packed operands.
template <typename T>
class Aligned {
 public:
  explicit Aligned(std::int64_t count) : storage_(static_cast<std::size_t>(count) * sizeof(T) + 64) {}
  T* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(storage_.data());
    return reinterpret_cast<T*>(storage_.data() + (64 - at % 64) % 64);
  }

 private:
  std::vector<std::byte> storage_;
};

constexpr FixedConvShape fixed_layer(std::int64_t channels, std::int64_t extent) {
  return {.channels = channels,
          .height = extent,
          .width = extent,
          .outputs = 64,
          .kernel_height = 5,
          .kernel_width = 5,
          .pad_top = 2,
          .pad_left = 2,
          .out_height = extent,
          .out_width = extent};
}
struct NamedLayer {
  const char* name;
  FixedConvShape shape;
};
// Gupta's CIFAR-10 network.
constexpr NamedLayer kFixedLayers[] = {{.name = "3to64@32", .shape = fixed_layer(3, 32)},
                                       {.name = "64to64@16", .shape = fixed_layer(64, 16)},
                                       {.name = "64to64@8", .shape = fixed_layer(64, 8)}};
constexpr std::int64_t kFixedImages = 4;

void count_products(benchmark::State& state, std::int64_t products) {
  state.counters["products"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(products), benchmark::Counter::kIsRate);
}

// Forward, or the errors of the inputs, with stochastic rounding as in training.
void run_fixed_convolve(benchmark::State& state, const FixedPointKernel& kernel, const FixedConvShape& layer, FixedConvWeights use,
                        int weight_bits) {
  const FixedConvShape shape = use == FixedConvWeights::forward ? layer : fixed_input_error_shape(layer);
  const FixedDigits digits = fixed_digits(16, weight_bits);
  const std::vector<std::int16_t> weights = codes16(layer.outputs * layer.depth(), "weights");
  const std::int64_t src_stride = shape.channels * shape.height * shape.width;
  const std::int64_t dst_stride = shape.outputs * shape.out_height * shape.out_width;
  const std::vector<std::int16_t> src = codes16(kFixedImages * src_stride, "src");
  std::vector<std::int16_t> dst(static_cast<std::size_t>(kFixedImages * dst_stride));
  Aligned<std::int16_t> packed(fixed_packed_conv_count(shape, digits));
  fixed_pack_conv(layer, use, {.narrow = weights.data()}, digits, packed.data());
  Aligned<std::byte> scratch(fixed_convolve_scratch_bytes(shape));
  const Rng rng(1, "draws");
  const FixedEpilogue epilogue{.change = {.shift = 14, .rounding = FixedRounding::stochastic, .rng = &rng}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(fixed_convolve(kernel,
                                            {.shape = shape,
                                             .src = src.data(),
                                             .src_image_stride = src_stride,
                                             .images = kFixedImages,
                                             .last_row = shape.out_height,
                                             .packed = packed.data(),
                                             .digits = digits,
                                             .scratch = scratch.data()},
                                            epilogue, {.codes = dst.data()}, dst_stride));
  }
  count_products(state, static_cast<std::int64_t>(dst.size()) * shape.depth());
}

void run_fixed_weight_gradient(benchmark::State& state, const FixedPointKernel& kernel, const FixedConvShape& layer) {
  const FixedDigits digits = fixed_digits(16, 16);
  const std::int64_t src_stride = layer.channels * layer.height * layer.width;
  const std::int64_t error_stride = layer.outputs * layer.out_height * layer.out_width;
  const std::vector<std::int16_t> src = codes16(kFixedImages * src_stride, "src");
  const std::vector<std::int16_t> errors = codes16(kFixedImages * error_stride, "errors");
  std::vector<std::int64_t> gradient(static_cast<std::size_t>(layer.outputs * layer.depth()));
  Aligned<std::byte> scratch(fixed_weight_gradient_scratch_bytes(layer, digits));
  for (auto _ : state) {
    fixed_weight_gradient(kernel, {.layer = layer,
                                   .src = src.data(),
                                   .src_image_stride = src_stride,
                                   .errors = errors.data(),
                                   .error_image_stride = error_stride,
                                   .images = kFixedImages,
                                   .digits = digits,
                                   .dst = gradient.data(),
                                   .scratch = scratch.data()});
    benchmark::ClobberMemory();
  }
  count_products(state, static_cast<std::int64_t>(errors.size()) * layer.depth());
}

// Gupta's MLP: 100 images, 784 inputs, 1000 outputs; with packing, which a training step does anew.
void run_fixed_dense(benchmark::State& state, const FixedPointKernel& kernel) {
  constexpr std::int64_t kRows = 100;
  constexpr std::int64_t kInputs = 784;
  constexpr std::int64_t kOutputs = 1000;
  const FixedDigits digits = fixed_digits(16, 16);
  const std::vector<std::int16_t> weights = codes16(kOutputs * kInputs, "weights");
  const std::vector<std::int16_t> src = codes16(kRows * kInputs, "src");
  std::vector<std::int16_t> dst(static_cast<std::size_t>(kRows * kOutputs));
  Aligned<std::int16_t> packed(fixed_packed_count(kOutputs, kInputs, digits));
  Aligned<std::byte> scratch(fixed_dense_scratch_bytes(kOutputs));
  const Rng rng(1, "draws");
  const FixedEpilogue epilogue{.change = {.shift = 14, .rounding = FixedRounding::stochastic, .rng = &rng}};
  for (auto _ : state) {
    fixed_pack(kernel, {.codes = {.narrow = weights.data()},
                        .columns = kOutputs,
                        .column_stride = kInputs,
                        .depth = kInputs,
                        .digits = digits,
                        .dst = packed.data()});
    benchmark::DoNotOptimize(fixed_dense(kernel,
                                         {.a = src.data(),
                                          .a_stride = kInputs,
                                          .rows = kRows,
                                          .packed = packed.data(),
                                          .columns = kOutputs,
                                          .depth = kInputs,
                                          .digits = digits,
                                          .last_column = kOutputs},
                                         epilogue, {.codes = dst.data()}, scratch.data()));
  }
  count_products(state, kRows * kInputs * kOutputs);
}

void run_fixed_round(benchmark::State& state, const FixedPointKernel& kernel, FixedRounding rounding) {
  const Rng rng(1, "draws");
  const std::vector<std::int64_t> acc(10000, 123456789);
  std::vector<std::int16_t> dst(acc.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(fixed_round(kernel, {.acc = acc.data(),
                                                  .count = static_cast<std::int64_t>(acc.size()),
                                                  .change = {.shift = 14, .rounding = rounding, .rng = &rng},
                                                  .dst = dst.data()}));
    benchmark::ClobberMemory();
  }
  state.counters["elements"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(acc.size()), benchmark::Counter::kIsRate);
}

void register_fixed_point() {
  for (const FixedPointKernel& kernel : fixed_point_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    const auto add = [&kernel](const std::string& what, auto run) {
      benchmark::RegisterBenchmark(fmt::format("{}/{}", kernel.name, what).c_str(), run);
    };
    for (const NamedLayer& layer : kFixedLayers) {
      for (const int bits : {16, 20}) {
        add(fmt::format("forward:{}bit/{}", bits, layer.name), [&kernel, &layer, bits](benchmark::State& state) {
          run_fixed_convolve(state, kernel, layer.shape, FixedConvWeights::forward, bits);
        });
      }
      add(fmt::format("input_error/{}", layer.name), [&kernel, &layer](benchmark::State& state) {
        run_fixed_convolve(state, kernel, layer.shape, FixedConvWeights::input_error, 16);
      });
      add(fmt::format("weight_gradient/{}", layer.name),
          [&kernel, &layer](benchmark::State& state) { run_fixed_weight_gradient(state, kernel, layer.shape); });
    }
    add("dense/100x784x1000", [&kernel](benchmark::State& state) { run_fixed_dense(state, kernel); });
    add("round:nearest_down", [&kernel](benchmark::State& state) { run_fixed_round(state, kernel, FixedRounding::nearest_down); });
    add("round:stochastic", [&kernel](benchmark::State& state) { run_fixed_round(state, kernel, FixedRounding::stochastic); });
  }
}

const bool kRegistered = [] {
  register_fixed_point();
  for (const ConvShiftedKernel& kernel : conv_shifted_kernels()) {
    if (!isa_available(kernel.isa)) continue;
    for (const NamedConv& conv : kConvs) {
      benchmark::RegisterBenchmark(fmt::format("{}/{}", kernel.name, conv.name).c_str(),
                                   [&kernel, &conv](benchmark::State& state) { run_conv_shifted(state, kernel, conv.shape); });
    }
  }
  return true;
}();

}  // namespace
}  // namespace bitwright
