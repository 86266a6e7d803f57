// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/qd/qd.h"

#include "bitwright/core/error.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace bitwright::qd {
namespace {

double length(const at::Tensor& tensor) { return tensor.to(at::kDouble).norm().item<double>(); }

const BucketQuantizer::Layer* find_layer(const std::vector<BucketQuantizer::Layer>& layers, std::string_view name) {
  const auto found = std::ranges::find(layers, name, &BucketQuantizer::Layer::name);
  return found == layers.end() ? nullptr : &*found;
}

}  // namespace

Qd::Qd(QdOptions options) : options_(std::move(options)) {}

Qd::~Qd() = default;

BitPlan Qd::default_plan(const Network& network) const {
  return plan_of(network.graph(), options_.layers, options_.plan, Uniform{.bits = options_.bits, .bucket_size = options_.bucket},
                 "recipe: method qd");
}

void Qd::attach(Network& network, const BitPlan& plan) {
  std::vector<BucketQuantizer::Layer> layers;
  for (const std::string& name : eligible_parameters(network.graph(), options_.layers)) {
    const std::optional<NumberFormat> format = plan.format_for(name);
    if (!format) continue;
    const auto* uniform = format->get_if<Uniform>();
    if (uniform == nullptr) {
      fail(ErrorCode::usage,
           "method qd: the plan gives \"{}\" a format that is not uniform (found {}, need uniform:BITS/BUCKET); change it.", name,
           format->spec());
    }
    layers.push_back({name, *uniform, network.parameter(name)});
  }
  quantizer_ = std::make_unique<BucketQuantizer>(std::move(layers), options_.rounding, options_.gradient);
  for (std::size_t i = 0; i < quantizer_->layers().size(); ++i) {
    network.set_weight_transform(quantizer_->layers()[i].name,
                                 [this, i](const at::Tensor&, const PassContext& pass) { return quantizer_->value(i, pass); });
  }
}

void Qd::begin_phase(StepContext& context) { quantizer_->set_seed(context.seed); }

void Qd::end_epoch(StepContext&, Metrics& metrics) {
  const at::NoGradGuard no_grad;
  double error = 0.0;
  double all = 0.0;
  for (std::size_t i = 0; i < quantizer_->layers().size(); ++i) {
    const BucketQuantizer::Layer& layer = quantizer_->layers()[i];
    const double lost = length(quantizer_->value(i, {.mode = Mode::eval, .step = 0}) - layer.weight);
    const double size = length(layer.weight);
    metrics["qd.error." + layer.name] = size == 0.0 ? 0.0 : lost / size;
    error += lost * lost;
    all += size * size;
  }
  metrics["qd.error"] = all == 0.0 ? 0.0 : std::sqrt(error / all);
}

std::optional<QuantizedTensor> Qd::freeze(std::string_view weight) const {
  const BucketQuantizer::Layer* layer = find_layer(quantizer_->layers(), weight);
  if (layer == nullptr) return std::nullopt;
  return quantize(layer->format, tensor_shape(layer->weight), tensor_values(layer->weight),
                  {.mode = final_rounding(options_.rounding), .rng = nullptr});
}

at::Tensor Qd::surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor>) const {
  const BucketQuantizer::Layer* layer = find_layer(quantizer_->layers(), weight);
  if (layer == nullptr || options_.gradient == ScaleGradient::constant) return latent;
  const at::Tensor now = layer->weight.detach().cpu().to(at::kDouble).reshape({-1});
  const QuantizedTensor codes = *freeze(weight);
  const at::Tensor moved = latent.reshape({-1});
  at::Tensor result = at::empty_like(moved);
  const auto last = static_cast<double>(layer->format.code_count() - 1);
  const auto& buckets = std::get<Uniform::Parameters>(codes.parameters()).buckets;
  for_each_bucket(
      buckets, static_cast<std::size_t>(now.numel()), layer->format.bucket_size,
      [&](const Bucket& bucket, std::size_t begin, std::size_t count) {
        const auto first = static_cast<std::int64_t>(begin);
        const auto end = static_cast<std::int64_t>(begin + count);
        const at::Tensor old = now.slice(0, first, end);
        const at::Tensor values = moved.slice(0, first, end);
        at::Tensor code = at::empty_like(old);
        for (std::size_t i = 0; i < count; ++i) code.data_ptr<double>()[i] = codes.codes()[begin + i];
        const at::Tensor high = values.select(0, old.argmax().item<std::int64_t>());
        const at::Tensor low = values.select(0, old.argmin().item<std::int64_t>());
        const bool is_range = (old.max() - old.min()).item<double>() >= 1e-10;  // else (D3): the scale is the constant 1
        const at::Tensor scale = is_range ? high - low : at::ones({}, values.options());
        const at::Tensor distance = code / last - (old - old.min()) / static_cast<double>(bucket.scale);
        result.slice(0, first, end).copy_(low + scale * ((values - low) / scale + (is_range ? distance : at::zeros_like(distance))));
      });
  return result.view(latent.sizes());
}

void Qd::save(StateWriter& state) const { state.integer("qd.seed", static_cast<std::int64_t>(quantizer_->seed())); }

void Qd::load(StateReader& state) { quantizer_->set_seed(static_cast<std::uint64_t>(state.integer("qd.seed"))); }

}  // namespace bitwright::qd

namespace bitwright {

std::unique_ptr<Method> make_qd(const MethodRecipe& recipe) { return std::make_unique<qd::Qd>(qd::parse_qd_options(recipe)); }

}  // namespace bitwright
