// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/ttq/ttq.h"

#include "bitwright/core/error.h"
#include "bitwright/train/methods/ttq/ternarize.h"
#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace bitwright::ttq {
namespace {

/// A projected scale is this share of its first value.
constexpr double kMinScaleShare = 1e-4;

/// One row of [layers, 2] as a leaf that shares its memory: the optimizer moves each layer's scales, one operation projects them all.
at::Tensor leaf_row(const at::Tensor& rows, std::size_t index) {
  return rows.select(0, static_cast<std::int64_t>(index)).detach().set_requires_grad(true);
}

}  // namespace

/// One weight tensor in the method's charge.
struct Ttq::Layer {
  std::string name;
  Ternary format;
  at::Tensor weights;    ///< the network's own latent weights
  at::Tensor scales;     ///< {Wp, Wn}, a leaf; undefined for the baseline, which computes them
  at::Tensor threshold;  ///< of `ThresholdRule::sparsity` between refreshes
};

/// Threshold and scales of one pass.
struct Ttq::Quantizer {
  at::Tensor threshold;
  at::Tensor scales;
};

Ttq::Ttq(TtqOptions options) : options_(std::move(options)) {}

Ttq::~Ttq() = default;

BitPlan Ttq::default_plan(const Network& network) const {
  const std::vector<std::string> names = network.weight_names();
  for (const BitRule& rule : options_.plan) {
    const BitPlan alone({{rule.pattern, NumberFormat(Ternary{})}});
    if (std::ranges::any_of(names, [&alone](const std::string& name) { return alone.format_for(name).has_value(); })) continue;
    fail(ErrorCode::usage, "method ttq: a rule of plan matches no weight (found \"{}\", need one of: {}); change its pattern.",
         rule.pattern, fmt::join(names, ", "));
  }
  std::vector<BitRule> rules = options_.plan;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_first = i == 0;
    const bool is_last = i + 1 == names.size();
    const bool is_float = (options_.layers != Layers::all && is_first) || (options_.layers == Layers::inner && is_last);
    if (!is_float) rules.push_back({names[i], NumberFormat(Ternary{.layout = options_.layout})});
  }
  return BitPlan(std::move(rules));
}

void Ttq::attach(Network& network, const BitPlan& plan) {
  layers_.clear();
  std::vector<float> first_scales;
  const std::vector<std::string> names = network.weight_names();
  for (const std::string& name : names) {
    const std::optional<NumberFormat> format = plan.format_for(name);
    if (!format) continue;
    const auto* ternary = format->get_if<Ternary>();
    if (ternary == nullptr) {
      fail(ErrorCode::usage, "method ttq: the plan gives \"{}\" a format that is not ternary (found {}, need {}); change it.", name,
           format->spec(), Ternary::kSyntax);
    }
    auto layer = std::make_unique<Layer>();
    layer->name = name;
    layer->format = *ternary;
    layer->weights = network.parameter(name).detach();  // shares the network's memory
    layers_.push_back(std::move(layer));
  }
  if (layers_.empty()) {
    fail(ErrorCode::usage, "method ttq: no weight becomes ternary (found 0 of {}, need 1 or more); {}", names.size(),
         "change layers or plan, e.g. layers = \"all\".");
  }
  refresh_thresholds();
  for (const auto& layer : layers_) {
    Ternary::Parameters first;
    const std::vector<float> values = tensor_values(layer->weights);
    if (learns_scales()) {
      const float threshold = options_.threshold == ThresholdRule::sparsity
                                  ? layer->threshold.item<float>()
                                  : Ternary::threshold_for_ratio(values, options_.threshold_ratio);
      if (options_.scale_init == ScaleInit::means) first = layer->format.fit_scales(values, threshold);
    } else {
      (void)layer->format.fit(values);  // refuses what is not finite
    }
    first_scales.insert(first_scales.end(), {first.positive_scale, first.negative_scale});
  }
  scales_ = to_tensor(Shape{static_cast<std::int64_t>(layers_.size()), 2}, first_scales).to(network.device());
  min_scales_ = scales_.to(at::kDouble).mul(kMinScaleShare).to(at::kFloat);
  projections_ = at::zeros({}, scales_.options().dtype(at::kLong));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = *layers_[i];
    if (learns_scales()) layers_[i]->scales = leaf_row(scales_, i);
    network.set_weight_transform(layer.name,
                                 [this, &layer](const at::Tensor& latent, const PassContext&) { return transform(layer, latent); });
  }
}

void Ttq::refresh_thresholds() {
  if (options_.threshold != ThresholdRule::sparsity) return;
  for (const auto& layer : layers_) {
    const float threshold = Ternary::threshold_for_sparsity(tensor_values(layer->weights), options_.sparsity_target);
    layer->threshold = at::full({}, threshold, layer->weights.options());
  }
}

std::vector<MethodParameter> Ttq::parameters() const {
  std::vector<MethodParameter> parameters;
  if (!learns_scales()) return parameters;
  for (const auto& layer : layers_) {
    parameters.push_back({.name = "ttq.scales." + layer->name,
                          .tensor = layer->scales,
                          .lr_ratio = options_.scale_lr_ratio,
                          .weight_decay = options_.scale_decay});
  }
  return parameters;
}

Ttq::Quantizer Ttq::quantizer_of(const Layer& layer) const {
  switch (options_.threshold) {
    case ThresholdRule::ratio: return {ratio_threshold(layer.weights, options_.threshold_ratio), layer.scales};
    case ThresholdRule::sparsity: return {layer.threshold, layer.scales};
    case ThresholdRule::twn: break;
  }
  TwnFit fit = twn_fit(layer.weights);
  return {std::move(fit.threshold), std::move(fit.scales)};
}

at::Tensor Ttq::transform(const Layer& layer, const at::Tensor& latent) const {
  const Quantizer now = quantizer_of(layer);
  return ternary_weights(latent, now.scales, now.threshold, learns_scales() ? LatentGradient::scaled : LatentGradient::straight_through);
}

void Ttq::begin_phase(StepContext&) { refresh_thresholds(); }

at::Tensor Ttq::loss(StepContext& context, at::Tensor task_loss) {
  classes_ = context.logits->size(1);
  // Without batch normalization wrong scales multiply from layer to layer. The update would then throw every weight far away, and what is
  // left of the network answers the same for every image: a run that ends at chance level, without an error.
  const double guess = std::log(static_cast<double>(std::max<std::int64_t>(2, classes_)));
  const auto found = task_loss.item<double>();
  if (std::isfinite(found) && found > options_.loss_limit * guess) {
    fail(ErrorCode::numerical,
         "method ttq: the loss exploded at step {} (found {:.4g}, need at most loss_limit * ln(classes) = {:.4g}); {}", context.step + 1,
         found, options_.loss_limit * guess, "set scale_init = \"means\", lower scale_lr_ratio, or put batch normalization behind layers.");
  }
  return task_loss;
}

void Ttq::after_step(StepContext&) {
  if (!learns_scales() || options_.scales == ScaleGuard::raw) return;
  const at::NoGradGuard no_grad;
  projections_.add_(scales_.lt(min_scales_).sum());
  scales_.clamp_min_(min_scales_);
}

void Ttq::end_epoch(StepContext& context, Metrics& metrics) {
  refresh_thresholds();
  std::int64_t below_zero = 0;
  for (const auto& layer : layers_) {
    const Quantizer now = quantizer_of(*layer);
    const std::vector<float> scales = tensor_values(now.scales);
    const at::Tensor magnitudes = layer->weights.abs();
    for (const float scale : scales) {
      if (!std::isfinite(scale)) {
        fail(ErrorCode::numerical,
             "method ttq: a scale of \"{}\" is not finite after step {} (found {}, need a number); lower train.lr or scale_lr_ratio.",
             layer->name, context.step, scale);
      }
      below_zero += scale < 0.0F ? 1 : 0;
    }
    const auto zeros = static_cast<double>(magnitudes.le(now.threshold).sum().item<std::int64_t>());
    metrics["ttq.sparsity." + layer->name] = zeros / static_cast<double>(layer->weights.numel());
    metrics["ttq.scale_pos." + layer->name] = static_cast<double>(scales[0]);
    metrics["ttq.scale_neg." + layer->name] = static_cast<double>(scales[1]);
    metrics["ttq.threshold." + layer->name] = now.threshold.item<double>();
    metrics["ttq.max_abs." + layer->name] = magnitudes.max().item<double>();
  }
  if (learns_scales()) {
    if (options_.scales == ScaleGuard::projected) metrics["ttq.projections"] = projections_.item<std::int64_t>();
    if (options_.scales == ScaleGuard::raw) metrics["ttq.negative_scales"] = below_zero;
  }
  const auto loss = metrics.find("train_loss");
  if (context.epoch < 2 || loss == metrics.end()) return;
  const double guess = std::log(static_cast<double>(std::max<std::int64_t>(2, classes_)));
  const double* const found = std::get_if<double>(&loss->second);
  if (found != nullptr && *found >= guess) {
    fail(ErrorCode::numerical,
         "method ttq: the network is no better than a guess after epoch {} (found train_loss {:.4g}, need less than ln(classes) = {:.4g}); "
         "{}",
         context.epoch, *found, guess, "lower train.lr or scale_lr_ratio, or set scale_init = \"means\".");
  }
}

std::optional<QuantizedTensor> Ttq::freeze(std::string_view weight) const {
  const auto found = std::ranges::find_if(layers_, [weight](const auto& layer) { return layer->name == weight; });
  if (found == layers_.end()) return std::nullopt;
  const at::NoGradGuard no_grad;
  const Layer& layer = **found;
  const Quantizer now = quantizer_of(layer);
  const std::vector<float> scales = tensor_values(now.scales);
  for (const float scale : scales) {
    if (std::isfinite(scale) && scale > 0.0F) continue;
    fail(ErrorCode::numerical, "method ttq: a scale of \"{}\" is not above 0 (found {}, need more than 0); set scales = \"projected\".",
         layer.name, scale);
  }
  // From the values themselves: what was trained on is what the codes say, whatever device it was computed on.
  const std::vector<float> values = tensor_values(transform(layer, layer.weights));
  std::vector<std::int32_t> codes(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      fail(ErrorCode::numerical, "method ttq: weight {} of \"{}\" is not finite (found {}, need a number); lower train.lr.", i, layer.name,
           values[i]);
    }
    codes[i] = values[i] > 0.0F ? 1 : values[i] < 0.0F ? 2 : 0;
  }
  return QuantizedTensor(
      layer.format, tensor_shape(layer.weights), std::move(codes),
      Ternary::Parameters{.positive_scale = scales[0], .negative_scale = scales[1], .threshold = now.threshold.item<float>()});
}

at::Tensor Ttq::surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor> own) const {
  const auto found = std::ranges::find_if(layers_, [weight](const auto& layer) { return layer->name == weight; });
  if (found == layers_.end()) return latent;
  const at::NoGradGuard no_grad;
  const Layer& layer = **found;
  const at::Tensor now = layer.weights.to(at::kDouble);
  const at::Tensor moved = latent - now;
  const at::Tensor threshold = quantizer_of(layer).threshold;
  const at::Tensor pos = layer.weights.gt(threshold);
  const at::Tensor neg = layer.weights.lt(threshold.neg());
  if (!learns_scales()) return transform(layer, layer.weights).to(at::kDouble) + moved;
  const at::Tensor& scales = own[static_cast<std::size_t>(found - layers_.begin())];
  // Wp (1 + dw) on I_p, dw on I_z, Wn (dw - 1) on I_n: its derivatives at dw = 0 are (T5), (T6), (T7).
  return at::where(pos, scales[0] * (moved + 1.0), at::where(neg, scales[1] * (moved - 1.0), moved));
}

void Ttq::save(StateWriter& state) const {
  state.integer("ttq.classes", classes_);
  state.tensor("ttq.scales", scales_);
  state.tensor("ttq.min_scales", min_scales_);
  state.tensor("ttq.projections", projections_);
  if (options_.threshold != ThresholdRule::sparsity) return;
  for (const auto& layer : layers_) state.tensor("ttq.threshold." + layer->name, layer->threshold);
}

void Ttq::load(StateReader& state) {
  classes_ = state.integer("ttq.classes");
  state.tensor_into("ttq.scales", scales_);
  state.tensor_into("ttq.min_scales", min_scales_);
  state.tensor_into("ttq.projections", projections_);
  if (options_.threshold != ThresholdRule::sparsity) return;
  for (const auto& layer : layers_) state.tensor_into("ttq.threshold." + layer->name, layer->threshold);
}

}  // namespace bitwright::ttq

namespace bitwright {

std::unique_ptr<Method> make_ttq(const MethodRecipe& recipe) { return std::make_unique<ttq::Ttq>(ttq::parse_ttq_options(recipe)); }

}  // namespace bitwright
