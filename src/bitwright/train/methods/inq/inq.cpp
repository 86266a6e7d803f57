// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/inq/inq.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace bitwright::inq {
namespace {

/// Marks a free weight among frozen values: a NaN, which no value on the grid is.
constexpr std::uint32_t kFree = 0xFFFFFFFFU;

constexpr std::uint8_t kNoCode = 0xFF;

/// All bits set for a free weight, none for a frozen one. Which weights are frozen looks random to a branch predictor: with branches in
/// place of these masks a LeNet-5 step takes 1.6 times as long.
std::uint32_t free_mask(std::uint32_t held) { return 0U - static_cast<std::uint32_t>(held == kFree); }

/// values <- frozen ? frozen value : values, bit for bit. Equation: (I14).
struct Restore {
  static std::uint32_t apply(std::uint32_t value, std::uint32_t held) { return (value & free_mask(held)) | (held & ~free_mask(held)); }
};

/// values <- frozen ? 0 : values.
struct Clear {
  static std::uint32_t apply(std::uint32_t value, std::uint32_t held) { return value & free_mask(held); }
};

/// A constant trip count and pointers that do not alias let the compiler use vectors at every optimization level.
constexpr std::int64_t kBlock = 64;

template <typename Rule>
void mask_block(std::uint32_t* __restrict value, const std::uint32_t* __restrict held) {
  for (std::int64_t i = 0; i < kBlock; ++i) value[i] = Rule::apply(value[i], held[i]);
}

template <typename Rule>
void mask_on_cpu(const at::Tensor& values, const std::vector<std::uint32_t>& frozen) {
  static_assert(sizeof(std::uint32_t) == sizeof(float));
  constexpr std::int64_t kBlocksPerTask = 512;
  auto* const value = reinterpret_cast<std::uint32_t*>(values.data_ptr<float>());
  const std::int64_t blocks = values.numel() / kBlock;
  at::parallel_for(0, blocks, kBlocksPerTask, [value, held = frozen.data()](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) mask_block<Rule>(value + block * kBlock, held + block * kBlock);
  });
  for (std::int64_t i = blocks * kBlock; i < values.numel(); ++i) value[i] = Rule::apply(value[i], frozen[static_cast<std::size_t>(i)]);
}

}  // namespace

/// One weight tensor in the method's charge.
struct Inq::Layer {
  std::string name;
  PowerOfTwo format;
  at::Tensor weights;                               ///< the network's own
  std::optional<PowerOfTwo::Parameters> exponents;  ///< fixed when the first phase begins
  std::vector<std::uint8_t> codes;                  ///< (I12) of frozen weights, kNoCode for free ones
  std::vector<std::uint32_t> frozen;                ///< bits of frozen values, kFree for free ones
  std::int64_t frozen_count = 0;
  /// `frozen` as masked_fill and where want it, on the weights' device; made at every phase's beginning, undefined on the CPU.
  at::Tensor device_is_frozen;
  at::Tensor device_frozen;

  [[nodiscard]] std::int64_t size() const { return weights.numel(); }

  /// weights <- frozen ? frozen value : weights, bit for bit. Equation: (I14).
  void restore() const {
    if (weights.is_cpu()) {
      mask_on_cpu<Restore>(weights, frozen);
    } else {
      weights.copy_(at::where(device_is_frozen, device_frozen, weights));
    }
  }

  /// values <- frozen ? 0 : values.
  void clear(const at::Tensor& values) const {
    if (weights.is_cpu()) {
      mask_on_cpu<Clear>(values, frozen);
    } else {
      values.masked_fill_(device_is_frozen, 0.0);
    }
  }

  void upload_mask() {
    if (weights.is_cpu()) return;
    const at::Tensor is_frozen = at::empty(weights.sizes(), at::kBool);
    const at::Tensor values = at::empty(weights.sizes(), at::kFloat);
    for (std::size_t i = 0; i < frozen.size(); ++i) {
      is_frozen.data_ptr<bool>()[i] = frozen[i] != kFree;
      values.data_ptr<float>()[i] = std::bit_cast<float>(frozen[i]);
    }
    device_is_frozen = is_frozen.to(weights.device());
    device_frozen = values.to(weights.device());
  }

  [[nodiscard]] float value_of(std::uint8_t code) const {
    const std::int32_t wide = code;
    float value = 0.0F;
    format.decode(*exponents, {&wide, 1}, {&value, 1});
    return value;
  }

  void freeze_at(std::int64_t index, float weight) {
    const auto i = static_cast<std::size_t>(index);
    std::int32_t code = 0;
    format.encode(*exponents, {&weight, 1}, {}, {&code, 1});
    codes[i] = static_cast<std::uint8_t>(code);
    frozen[i] = std::bit_cast<std::uint32_t>(value_of(codes[i]));
    ++frozen_count;
  }
};

PowerOfTwo::Parameters choose_exponents(const PowerOfTwo& format, std::span<const float> values, ExponentRule rule) {
  const PowerOfTwo::Parameters by_max = format.fit(values);
  if (rule == ExponentRule::max || std::ranges::all_of(values, [](float v) { return v == 0.0F; })) return by_max;
  PowerOfTwo::Parameters best = by_max;
  double best_error = std::numeric_limits<double>::infinity();
  for (int lower = 0; lower <= 2; ++lower) {
    const PowerOfTwo::Parameters candidate{.exp_max = by_max.exp_max - lower, .exp_min = by_max.exp_min - lower};
    double error = 0.0;
    for (const float value : values) {
      const double difference = static_cast<double>(format.quantize_value(candidate, value)) - static_cast<double>(value);
      error += difference * difference;
    }
    if (error < best_error) {
      best_error = error;
      best = candidate;
    }
  }
  return best;
}

Inq::Inq(InqOptions options) : options_(std::move(options)) {}

Inq::~Inq() = default;

BitPlan Inq::default_plan(const Network&) const {
  std::vector<BitRule> rules = options_.plan;
  rules.push_back({"*", NumberFormat(PowerOfTwo{.bits = options_.bits})});
  return BitPlan(std::move(rules));
}

void Inq::attach(Network& network, const BitPlan& plan) {
  layers_.clear();
  for (const std::string& name : network.weight_names()) {
    const std::optional<NumberFormat> format = plan.format_for(name);
    if (!format) continue;
    const auto* power_of_two = format->get_if<PowerOfTwo>();
    if (power_of_two == nullptr) {
      fail(ErrorCode::usage, "method inq: the plan gives \"{}\" a format that is not a power of two (found {}, need pow2:BITS); change it.",
           name, format->spec());
    }
    Layer layer;
    layer.name = name;
    layer.format = *power_of_two;
    layer.weights = network.parameter(name).detach();  // shares the network's memory
    layer.codes.assign(static_cast<std::size_t>(layer.size()), kNoCode);
    layer.frozen.assign(static_cast<std::size_t>(layer.size()), kFree);
    layers_.push_back(std::move(layer));
  }
}

std::vector<Phase> Inq::phases(std::int64_t epochs) const {
  const auto count = static_cast<std::int64_t>(options_.portions_e4.size());
  const std::int64_t each = options_.epochs_per_portion.value_or(std::max<std::int64_t>(1, epochs / count));
  std::vector<Phase> phases;
  for (std::int64_t i = 0; i < count; ++i) {
    const double percent = static_cast<double>(options_.portions_e4[static_cast<std::size_t>(i)]) / 100.0;
    phases.push_back({fmt::format("inq {}/{} ({} % frozen)", i + 1, count, percent), each});
  }
  return phases;
}

void Inq::begin_phase(StepContext& context) {
  const std::int64_t portion_e4 = options_.portions_e4.at(context.phase);
  const Rng rng = Rng(context.seed, "inq.partition", context.phase);
  for (Layer& layer : layers_) {
    const std::vector<float> values = tensor_values(layer.weights);
    if (!layer.exponents) layer.exponents = choose_exponents(layer.format, values, options_.exponents);
    std::vector<bool> is_free(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) is_free[i] = layer.frozen[i] == kFree;
    const std::int64_t count = frozen_count(layer.size(), portion_e4);
    for (const std::int64_t index : select_to_freeze(values, is_free, count, options_.partition, rng.split(layer.name))) {
      layer.freeze_at(index, values[static_cast<std::size_t>(index)]);
    }
    layer.upload_mask();
    layer.restore();
    for (const at::Tensor& state : context.optimizer.state_tensors(layer.name)) layer.clear(state);
  }
}

void Inq::after_backward(StepContext& context) {
  if (options_.mask_point == MaskPoint::final_update) return;
  for (const Layer& layer : layers_) layer.clear(context.network.parameter(layer.name).grad());
}

void Inq::after_step(StepContext& context) {
  if (options_.mask_point != MaskPoint::final_update) return;
  for (const Layer& layer : layers_) {
    layer.restore();
    for (const at::Tensor& state : context.optimizer.state_tensors(layer.name)) layer.clear(state);
  }
}

void Inq::end_epoch(StepContext& context, Metrics& metrics) {
  std::int64_t frozen = 0;
  std::int64_t all = 0;
  for (const Layer& layer : layers_) {
    // Against the codes, not against the bits that the mask restores from: an error in either shows.
    const std::vector<float> values = tensor_values(layer.weights);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (layer.codes[i] == kNoCode) continue;
      const float held = layer.value_of(layer.codes[i]);
      if (std::bit_cast<std::uint32_t>(values[i]) != std::bit_cast<std::uint32_t>(held)) {
        fail(ErrorCode::internal, "method inq: frozen weight {} of \"{}\" moved by step {} (found {}, need {}); report it with the recipe.",
             i, layer.name, context.step, values[i], held);
      }
    }
    metrics["inq.frozen." + layer.name] = static_cast<double>(layer.frozen_count) / static_cast<double>(layer.size());
    frozen += layer.frozen_count;
    all += layer.size();
  }
  if (all > 0) metrics["inq.frozen"] = static_cast<double>(frozen) / static_cast<double>(all);
}

bool Inq::settled() const {
  return std::ranges::all_of(layers_, [](const Layer& layer) { return layer.frozen_count == layer.size(); });
}

std::optional<QuantizedTensor> Inq::freeze(std::string_view weight) const {
  const auto found = std::ranges::find(layers_, weight, &Layer::name);
  if (found == layers_.end()) return std::nullopt;
  const Layer& layer = *found;
  const std::vector<float> values = tensor_values(layer.weights);
  const PowerOfTwo::Parameters exponents = layer.exponents ? *layer.exponents : choose_exponents(layer.format, values, options_.exponents);
  std::vector<std::int32_t> codes(values.size());
  layer.format.encode(exponents, values, {}, codes);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (layer.codes[i] != kNoCode) codes[i] = layer.codes[i];
  }
  return QuantizedTensor(layer.format, tensor_shape(layer.weights), std::move(codes), exponents);
}

void Inq::save(StateWriter& state) const {
  for (const Layer& layer : layers_) {
    state.integer("inq.has_exponents", layer.exponents ? 1 : 0);
    state.integer("inq.exp_max", layer.exponents ? layer.exponents->exp_max : 0);
    state.integer("inq.exp_min", layer.exponents ? layer.exponents->exp_min : 0);
    state.bytes("inq.codes." + layer.name, layer.codes);
  }
}

void Inq::load(StateReader& state) {
  for (Layer& layer : layers_) {
    const bool has_exponents = state.integer("inq.has_exponents") != 0;
    const auto exp_max = static_cast<int>(state.integer("inq.exp_max"));
    const auto exp_min = static_cast<int>(state.integer("inq.exp_min"));
    layer.exponents.reset();
    if (has_exponents) layer.exponents = PowerOfTwo::Parameters{.exp_max = exp_max, .exp_min = exp_min};
    layer.codes = state.bytes("inq.codes." + layer.name);
    if (layer.codes.size() != layer.frozen.size()) {
      fail(ErrorCode::corrupt_file, "checkpoint: \"{}\" has another size (found {} codes, need {}); start the run anew.", layer.name,
           layer.codes.size(), layer.frozen.size());
    }
    layer.frozen_count = 0;
    for (std::size_t i = 0; i < layer.codes.size(); ++i) {
      const bool is_frozen = layer.codes[i] != kNoCode;
      layer.frozen[i] = is_frozen ? std::bit_cast<std::uint32_t>(layer.value_of(layer.codes[i])) : kFree;
      layer.frozen_count += is_frozen ? 1 : 0;
    }
    layer.upload_mask();
  }
}

}  // namespace bitwright::inq

namespace bitwright {

std::unique_ptr<Method> make_inq(const MethodRecipe& recipe) { return std::make_unique<inq::Inq>(inq::parse_inq_options(recipe)); }

}  // namespace bitwright
