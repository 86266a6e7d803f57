// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/dq.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace bitwright::dq {
namespace {

constexpr std::string_view kPoints = "dq.points";

std::int64_t checksum_of(std::span<const float> values) { return static_cast<std::int64_t>(xxh3_64(std::as_bytes(values))); }

/// 2-norm, summed in float64.
double norm_of(const at::Tensor& tensor) { return at::linalg_vector_norm(tensor.to(at::kDouble), 2).item<double>(); }

/// (D1) of every weight.
std::vector<double> scaled_values(std::span<const float> values, std::span<const Bucket> buckets, std::optional<std::int64_t> bucket_size) {
  std::vector<double> scaled(values.size());
  for_each_bucket(buckets, values.size(), bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) scaled[i] = scaled_value(values[i], bucket);
  });
  return scaled;
}

}  // namespace

/// One weight tensor in the method's charge.
struct Dq::Layer {
  std::string name;
  Codebook uniform;  ///< what the plan says
  Codebook format;   ///< the same until points are redistributed
  bool takes_part = false;
  at::Tensor weights;  ///< the network's own, which requires a gradient
  std::vector<Bucket> buckets;
  std::int64_t checksum = 0;   ///< of the frozen weights
  at::Tensor gradient_sum;     ///< over the measured batches; undefined before the first
  double gradient_norm = 0.0;  ///< G, once measured
  [[nodiscard]] std::vector<float> values() const { return tensor_values(weights.detach()); }
};

Dq::Dq(DqOptions options) : options_(std::move(options)) {}

Dq::~Dq() = default;

BitPlan Dq::default_plan(const Network& network) const {
  std::vector<BitRule> rules = options_.plan;
  const std::vector<std::string> names = network.weight_names();
  if (options_.layers == Layers::inner && !names.empty()) {
    rules.push_back({names.front(), std::nullopt});
    rules.push_back({names.back(), std::nullopt});
  }
  rules.push_back({"*", NumberFormat(Codebook{.levels = options_.levels, .bucket_size = options_.bucket_size})});
  return BitPlan(std::move(rules));
}

void Dq::attach(Network& network, const BitPlan& plan) {
  layers_.clear();
  pass_.clear();
  pool_.reset();
  weight_names_ = network.weight_names();
  for (const std::string& name : weight_names_) {
    const std::optional<NumberFormat> format = plan.format_for(name);
    if (!format) continue;
    const auto* codebook = format->get_if<Codebook>();
    if (codebook == nullptr) {
      fail(ErrorCode::usage, "method dq: the plan gives \"{}\" a format without points (found {}, need codebook:LEVELS/BUCKET); change it.",
           name, format->spec());
    }
    Layer layer;
    layer.name = name;
    layer.uniform = *codebook;
    layer.format = *codebook;
    layer.takes_part = codebook->levels == options_.levels && codebook->bucket_size == options_.bucket_size;
    layer.weights = network.parameter(name);
    layers_.push_back(std::move(layer));
  }
  if (layers_.empty()) {
    fail(ErrorCode::usage, "method dq: the plan leaves every weight in float (found 0 of {} with points, need at least 1); change it.",
         weight_names_.size());
  }
  const bool any_takes_part = std::ranges::any_of(layers_, &Layer::takes_part);
  to_measure_ = options_.redistribute == Redistribution::none || !any_takes_part ? 0 : options_.redistribute_batches;
  measured_ = 0;
  take_weights();
  pool_->set_points(quantile_starts());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    network.set_weight_transform(layers_[i].name,
                                 [this, i](const at::Tensor& weights, const PassContext& pass) { return forward(i, weights, pass); });
  }
}

void Dq::take_weights() {
  std::vector<FrozenWeights> frozen;
  std::int64_t capacity = 0;
  for (Layer& layer : layers_) {
    const std::vector<float> values = layer.values();
    const Codebook::Parameters parameters = layer.uniform.fit(values);
    layer.buckets = parameters.buckets;
    layer.checksum = checksum_of(values);
    frozen.push_back({.shape = layer.weights.sizes().vec(),
                      .scaled = scaled_values(values, parameters.buckets, layer.uniform.bucket_size),
                      .buckets = parameters.buckets,
                      .bucket_size = layer.uniform.bucket_size});
    std::int64_t most = layer.uniform.levels;
    if (layer.takes_part && options_.redistribute == Redistribution::equal_bytes) {
      most = std::max(most, std::int64_t{1} << std::ranges::max(options_.redistribute_bits));
    }
    // (D15) moves points from tensor to tensor but makes none.
    capacity += most;
  }
  // Once made, the pool stays: the optimizer holds its points.
  if (pool_ == nullptr) {
    pool_ = std::make_unique<PointPool>(frozen, capacity, layers_.front().weights.device());
  } else {
    pool_->set_weights(frozen);
  }
}

std::vector<std::vector<float>> Dq::quantile_starts() const {
  std::vector<std::vector<float>> starts;
  for (const Layer& layer : layers_) starts.push_back(layer.format.fit(layer.values()).points);
  return starts;
}

std::vector<MethodParameter> Dq::parameters() const { return {{.name = std::string(kPoints), .tensor = pool_->parameter()}}; }

bool Dq::owns_update(std::string_view parameter) const {
  return options_.train_rest == TrainRest::nothing || std::ranges::find(weight_names_, parameter) != weight_names_.end();
}

at::Tensor Dq::forward(std::size_t layer, const at::Tensor& weights, const PassContext& pass) {
  if (measuring()) return weights;
  if (pass.mode == Mode::eval || !at::GradMode::is_enabled()) return pool_->values(layer);
  // One node of the graph serves all tensors. A weight that two nodes of the network use asks twice: its second node gets a graph node
  // anew.
  if (pass_.empty() || !pass_[layer].defined()) pass_ = pool_->differentiable_values();
  return std::exchange(pass_[layer], at::Tensor());
}

at::Tensor Dq::loss(StepContext& context, at::Tensor task_loss) {
  if (!measuring()) return task_loss;
  // By a loss of its own: another method may have added to the recipe's, and (D15) and (D16) ask for plain cross-entropy.
  std::vector<at::Tensor> weights;
  for (const Layer& layer : layers_) weights.push_back(layer.weights);
  const at::Tensor cross_entropy = at::cross_entropy_loss(*context.logits, *context.labels);
  const std::vector<at::Tensor> gradients =
      torch::autograd::grad({cross_entropy}, weights, {}, /*retain_graph=*/true, /*create_graph=*/false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (!layers_[i].gradient_sum.defined()) layers_[i].gradient_sum = at::zeros_like(weights[i]).detach();
    if (gradients[i].defined()) layers_[i].gradient_sum.add_(gradients[i]);
  }
  return task_loss;
}

void Dq::after_backward(StepContext& context) {
  pass_.clear();
  if (!measuring()) return;
  // Batches are only looked at: without a gradient the optimizer changes nothing.
  for (const Parameter& parameter : context.network.parameters()) at::Tensor(parameter.tensor).mutable_grad().reset();
}

void Dq::after_step(StepContext& context) {
  if (measuring()) {
    ++measured_;
    if (!measuring()) redistribute();
    return;
  }
  pool_->sort(context.optimizer.state_tensors(kPoints));
}

void Dq::redistribute() {
  std::vector<Layer*> parts;
  std::vector<double> norms;
  for (Layer& layer : layers_) {
    layer.gradient_norm = norm_of(layer.gradient_sum) / static_cast<double>(measured_);
    layer.gradient_sum.reset();
    if (!std::isfinite(layer.gradient_norm)) {
      fail(ErrorCode::numerical, "method dq: the gradient of \"{}\" is not finite (found norm {}); check the model.", layer.name,
           layer.gradient_norm);
    }
    if (!layer.takes_part) continue;
    parts.push_back(&layer);
    norms.push_back(layer.gradient_norm);
  }
  std::vector<int> levels;
  if (options_.redistribute == Redistribution::gradient_norm) {
    levels = points_by_gradient_norm(norms, options_.levels);
  } else {
    std::vector<std::vector<float>> values;
    for (const Layer* layer : parts) values.push_back(layer->values());
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < parts.size(); ++i) candidates.push_back({values[i], norms[i], parts[i]->uniform});
    levels = points_at_equal_bytes(candidates, options_.redistribute_bits);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i]->format.levels = levels[i];
  pool_->set_points(quantile_starts());
}

std::int64_t Dq::bytes() const {
  std::int64_t sum = 0;
  for (const Layer& layer : layers_) sum += codebook_bytes(layer.format, layer.weights.numel());
  return sum;
}

void Dq::end_epoch(StepContext& context, Metrics& metrics) {
  std::int64_t empty_cells = 0;
  std::int64_t uniform_bytes = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    if (checksum_of(layer.values()) != layer.checksum) {
      fail(ErrorCode::internal, "method dq: a frozen weight of \"{}\" moved by step {}; report it with the recipe.", layer.name,
           context.step);
    }
    const std::vector<float> points = pool_->points(i);
    if (!std::ranges::all_of(points, [](float point) { return std::isfinite(point); })) {
      fail(ErrorCode::numerical, "method dq: a point of \"{}\" is not finite after step {}; lower train.lr.", layer.name, context.step);
    }
    BITWRIGHT_ASSERT(std::ranges::is_sorted(points));
    std::vector<bool> used(points.size());
    for (const std::int32_t code : pool_->codes(i)) used[static_cast<std::size_t>(code)] = true;
    empty_cells += std::ranges::count(used, false);
    uniform_bytes += codebook_bytes(layer.uniform, layer.weights.numel());
    if (options_.redistribute == Redistribution::none || measuring()) continue;
    metrics["dq.levels." + layer.name] = std::int64_t{layer.format.levels};
    metrics["dq.gradient_norm." + layer.name] = layer.gradient_norm;
  }
  metrics["dq.empty_cells"] = empty_cells;
  metrics["dq.bytes"] = bytes();
  if (options_.redistribute != Redistribution::none) metrics["dq.uniform_bytes"] = uniform_bytes;
}

const Dq::Layer* Dq::layer_of(std::string_view weight) const {
  const auto found = std::ranges::find(layers_, weight, &Layer::name);
  return found == layers_.end() ? nullptr : &*found;
}

std::optional<QuantizedTensor> Dq::freeze(std::string_view weight) const {
  const Layer* layer = layer_of(weight);
  if (layer == nullptr) return std::nullopt;
  const auto i = static_cast<std::size_t>(layer - layers_.data());
  return QuantizedTensor(layer->format, tensor_shape(layer->weights), pool_->codes(i),
                         Codebook::Parameters{.points = pool_->points(i), .buckets = layer->buckets});
}

at::Tensor Dq::surrogate(std::string_view weight, const at::Tensor& latent, std::span<const at::Tensor> own) const {
  const Layer* layer = layer_of(weight);
  if (layer == nullptr || measuring()) return latent;
  return pool_->values_from(static_cast<std::size_t>(layer - layers_.data()), own[0]);
}

void Dq::save(StateWriter& state) const {
  state.integer("dq.measured", measured_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    state.integer("dq.weights." + layer.name, layer.checksum);
    state.integer("dq.levels." + layer.name, layer.format.levels);
    state.real("dq.gradient_norm." + layer.name, layer.gradient_norm);
    if (measuring() && measured_ > 0) state.tensor("dq.gradient_sum." + layer.name, layer.gradient_sum);
    // Its momentum lies in the optimizer, in the same order.
    const std::vector<float> points = pool_->points(i);
    state.tensor("dq.points." + layer.name, to_tensor(Shape{static_cast<std::int64_t>(points.size())}, points));
  }
}

void Dq::load(StateReader& state) {
  take_weights();  // the network's were loaded just now
  measured_ = state.integer("dq.measured");
  std::vector<std::vector<float>> points;
  for (Layer& layer : layers_) {
    if (state.integer("dq.weights." + layer.name) != layer.checksum) {
      fail(ErrorCode::corrupt_file, "checkpoint: the weights of \"{}\" are not those that the points belong to; start the run anew.",
           layer.name);
    }
    layer.format.levels = static_cast<int>(state.integer("dq.levels." + layer.name));
    layer.gradient_norm = state.real("dq.gradient_norm." + layer.name);
    layer.gradient_sum.reset();
    if (measuring() && measured_ > 0) {
      layer.gradient_sum = at::zeros_like(layer.weights).detach();
      state.tensor_into("dq.gradient_sum." + layer.name, layer.gradient_sum);
    }
    points.push_back(tensor_values(state.tensor("dq.points." + layer.name)));
    if (points.back().size() != static_cast<std::size_t>(layer.format.levels) || layer.format.levels < 2) {
      fail(ErrorCode::corrupt_file, "checkpoint: \"{}\" has another number of points (found {}, need {}); start the run anew.", layer.name,
           points.back().size(), layer.format.levels);
    }
  }
  pass_.clear();
  pool_->set_points(points);
}

}  // namespace bitwright::dq

namespace bitwright {

std::unique_ptr<Method> make_dq(const MethodRecipe& recipe) { return std::make_unique<dq::Dq>(dq::parse_dq_options(recipe)); }

}  // namespace bitwright
