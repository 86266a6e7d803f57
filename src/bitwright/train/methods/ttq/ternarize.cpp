// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/ttq/ternarize.h"

#include "bitwright/core/assert.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

namespace bitwright::ttq {
namespace {

constexpr double kTwnRatio = 0.7;  // (T13)

/// Elements that one task sums in order; the tasks' sums are then added in order. So the result depends on the tensor alone.
constexpr std::int64_t kChunk = 16384;

/// Independent partial sums let the compiler use vectors and hide the latency of an addition.
constexpr std::int64_t kLanes = 8;

bool is_fused(const at::Tensor& tensor, Path path) { return path == Path::automatic && tensor.device().is_cpu(); }

std::int64_t chunk_count(std::int64_t count) { return (count + kChunk - 1) / kChunk; }

template <typename Body>
void for_each_chunk(std::int64_t count, Body&& body) {
  at::parallel_for(0, chunk_count(count), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk) body(chunk, chunk * kChunk, std::min(count, (chunk + 1) * kChunk));
  });
}

/// Two sums of one pass over a tensor.
using Sums = std::array<double, 2>;

/// Adds what `terms(i)` gives for every element. Equation: lane k sums elements k, k + 8, …; then the lanes, then the chunks in order.
template <typename Terms>
Sums sum_in_order(std::int64_t count, Terms&& terms) {
  std::vector<Sums> partial(static_cast<std::size_t>(chunk_count(count)));
  for_each_chunk(count, [&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
    std::array<double, kLanes> first = {};
    std::array<double, kLanes> second = {};
    std::int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const auto [a, b] = terms(i + lane);
        first[static_cast<std::size_t>(lane)] += static_cast<double>(a);
        second[static_cast<std::size_t>(lane)] += static_cast<double>(b);
      }
    }
    for (std::size_t lane = 0; i < end; ++i, ++lane) {
      const auto [a, b] = terms(i);
      first[lane] += static_cast<double>(a);
      second[lane] += static_cast<double>(b);
    }
    Sums& sums = partial[static_cast<std::size_t>(chunk)];
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums[0] += first[lane];
      sums[1] += second[lane];
    }
  });
  Sums sums = {};
  for (const Sums& part : partial) {
    sums[0] += part[0];
    sums[1] += part[1];
  }
  return sums;
}

struct Pair {
  float a;
  float b;
};

/// Bits of a magnitude order as the magnitudes do, infinity above all numbers and NaN above it: none is lost in the maximum.
float max_magnitude(const at::Tensor& latent) {
  const auto* const bits = reinterpret_cast<const std::uint32_t*>(latent.data_ptr<float>());
  std::vector<std::uint32_t> partial(static_cast<std::size_t>(chunk_count(latent.numel())));
  for_each_chunk(latent.numel(), [&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
    std::uint32_t largest = 0;
    for (std::int64_t i = begin; i < end; ++i) largest = std::max(largest, bits[i] & 0x7FFFFFFFU);
    partial[static_cast<std::size_t>(chunk)] = largest;
  });
  return std::bit_cast<float>(*std::ranges::max_element(partial));
}

at::Tensor scalar_tensor(float value) { return at::full({}, value, at::kFloat); }

at::Tensor pair_tensor(float first, float second) {
  at::Tensor pair = at::empty({2}, at::kFloat);
  pair.data_ptr<float>()[0] = first;
  pair.data_ptr<float>()[1] = second;
  return pair;
}

void ternarize_fused(const at::Tensor& latent, float wp, float wn, float threshold, const at::Tensor& dst) {
  const float* const w = latent.data_ptr<float>();
  float* const value = dst.data_ptr<float>();
  const float zero = threshold * 0.0F;  // NaN where the threshold is not finite
  for_each_chunk(latent.numel(), [=](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) value[i] = w[i] > threshold ? wp : w[i] < -threshold ? -wn : zero;  // (T3)
  });
}

class TernaryWeights : public torch::autograd::Function<TernaryWeights> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& latent, const at::Tensor& scales,
                            const at::Tensor& threshold, bool is_scaled, bool use_operators) {
    context->save_for_backward({latent, scales, threshold});
    context->saved_data["is_scaled"] = is_scaled;
    context->saved_data["use_operators"] = use_operators;
    if (is_fused(latent, use_operators ? Path::operators : Path::automatic)) {
      at::Tensor values = at::empty_like(latent);
      const float* const scale = scales.data_ptr<float>();
      ternarize_fused(latent, scale[0], scale[1], *threshold.data_ptr<float>(), values);
      return values;
    }
    const at::Tensor zero = threshold * 0.0;  // NaN where the threshold is not finite
    return at::where(latent.gt(threshold), scales[0], at::where(latent.lt(threshold.neg()), scales[1].neg(), zero));  // (T3)
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const LatentGradient rule = context->saved_data["is_scaled"].toBool() ? LatentGradient::scaled : LatentGradient::straight_through;
    const Path path = context->saved_data["use_operators"].toBool() ? Path::operators : Path::automatic;
    TernaryGradient result = ternary_gradient(saved[0], saved[1], saved[2], gradients[0], rule, path);
    return {result.latent, result.scales, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor ratio_threshold(const at::Tensor& latent, double threshold_ratio, Path path) {
  const at::NoGradGuard no_grad;
  BITWRIGHT_ASSERT(latent.is_contiguous() && latent.numel() > 0);
  if (is_fused(latent, path)) return scalar_tensor(static_cast<float>(threshold_ratio * static_cast<double>(max_magnitude(latent))));
  return latent.abs().max().to(at::kDouble).mul(threshold_ratio).to(at::kFloat);
}

TwnFit twn_fit(const at::Tensor& latent, Path path) {
  const at::NoGradGuard no_grad;
  BITWRIGHT_ASSERT(latent.is_contiguous() && latent.numel() > 0);
  const auto count = static_cast<double>(latent.numel());
  if (is_fused(latent, path)) {
    const float* const w = latent.data_ptr<float>();
    const double sum = sum_in_order(latent.numel(), [w](std::int64_t i) { return Pair{std::abs(w[i]), 0.0F}; })[0];
    const auto threshold = static_cast<float>(kTwnRatio * (sum / count));
    const Sums kept = sum_in_order(latent.numel(), [w, threshold](std::int64_t i) {
      const float magnitude = std::abs(w[i]);
      return Pair{magnitude > threshold ? magnitude : 0.0F, magnitude > threshold ? 1.0F : 0.0F};
    });
    const float alpha = kept[1] > 0.0 ? static_cast<float>(kept[0] / kept[1]) : 1.0F;
    return {scalar_tensor(threshold), pair_tensor(alpha, alpha)};
  }
  const at::Tensor magnitudes = latent.abs();
  const at::Tensor threshold = magnitudes.sum(at::kDouble).div(count).mul(kTwnRatio).to(at::kFloat);
  const at::Tensor kept = magnitudes.gt(threshold);
  const at::Tensor kept_count = kept.sum();
  const at::Tensor mean = magnitudes.mul(kept).sum(at::kDouble).div(kept_count).to(at::kFloat);
  const at::Tensor alpha = at::where(kept_count.gt(0), mean, at::ones_like(mean));
  return {threshold, at::stack({alpha, alpha})};
}

at::Tensor ternary_weights(const at::Tensor& latent, const at::Tensor& scales, const at::Tensor& threshold, LatentGradient rule,
                           Path path) {
  BITWRIGHT_ASSERT(latent.is_contiguous() && scales.numel() == 2 && threshold.dim() == 0);
  return TernaryWeights::apply(latent, scales, threshold, rule == LatentGradient::scaled, path == Path::operators);
}

TernaryGradient ternary_gradient(const at::Tensor& latent, const at::Tensor& scales, const at::Tensor& threshold,
                                 const at::Tensor& gradient, LatentGradient rule, Path path) {
  const at::NoGradGuard no_grad;
  if (rule == LatentGradient::straight_through) return {gradient, at::Tensor()};
  if (!is_fused(latent, path)) {
    const at::Tensor pos = latent.gt(threshold);
    const at::Tensor neg = latent.lt(threshold.neg());
    const at::Tensor one = at::ones_like(threshold);
    const at::Tensor grad_pos = gradient.mul(pos).sum(at::kDouble);                   // (T5)
    const at::Tensor grad_neg = gradient.mul(neg).sum(at::kDouble).neg();             // (T6)
    return {gradient.mul(at::where(pos, scales[0], at::where(neg, scales[1], one))),  // (T7)
            at::stack({grad_pos, grad_neg}).to(at::kFloat)};
  }
  const at::Tensor rows = gradient.contiguous();
  at::Tensor latent_gradient = at::empty_like(latent);
  const float* const w = latent.data_ptr<float>();
  const float* const g = rows.data_ptr<float>();
  float* const dst = latent_gradient.data_ptr<float>();
  const float wp = scales.data_ptr<float>()[0];
  const float wn = scales.data_ptr<float>()[1];
  const float delta = *threshold.data_ptr<float>();
  const Sums sums = sum_in_order(latent.numel(), [=](std::int64_t i) {
    const bool is_pos = w[i] > delta;
    const bool is_neg = w[i] < -delta;
    dst[i] = g[i] * (is_pos ? wp : is_neg ? wn : 1.0F);       // (T7)
    return Pair{is_pos ? g[i] : 0.0F, is_neg ? g[i] : 0.0F};  // (T5), (T6)
  });
  return {latent_gradient, pair_tensor(static_cast<float>(sums[0]), static_cast<float>(-sums[1]))};
}

}  // namespace bitwright::ttq
