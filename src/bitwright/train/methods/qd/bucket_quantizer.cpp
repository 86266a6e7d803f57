// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/qd/bucket_quantizer.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/buckets.h"

#include <torch/torch.h>

#include <algorithm>

namespace bitwright::qd {
namespace {

using torch::autograd::AutogradContext;

constexpr double kNarrowest = 1e-10;  // (D3); compared in float32, as the format does

/// What one rounding of a matrix of buckets needs to know.
struct Rule {
  double last = 0.0;          ///< 2^bits - 1
  at::Tensor last_on_device;  ///< the same as a float32 scalar
  Rounding rounding = Rounding::nearest_even;
  ScaleGradient gradient = ScaleGradient::constant;
  at::Tensor draws;  ///< float64, of the buckets' shape; for stochastic rounding
};

/// (D4), (D5) for scaled values that are not negative; the same case distinctions as `round_scaled`.
at::Tensor round_codes(const at::Tensor& scaled, const Rule& rule) {
  switch (rule.rounding) {
    case Rounding::nearest_down: {
      const at::Tensor whole = scaled.floor();
      return whole + (scaled - whole).gt(0.5);
    }
    case Rounding::stochastic: {
      const at::Tensor whole = scaled.floor();
      return whole + rule.draws.lt(scaled - whole);
    }
    default: return scaled.round();  // ties to even
  }
}

/// [buckets, elements] -> the values of their codes.
class RoundBuckets : public torch::autograd::Function<RoundBuckets> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& buckets, const Rule& rule) {
    const auto [low, high] = at::aminmax(buckets, 1, /*keepdim=*/true);
    at::Tensor scale = high - low;  // (D1)
    const at::Tensor narrow = scale.lt(kNarrowest);
    scale = scale.masked_fill(narrow, 1.0);  // (D3)
    // Tensor / tensor: with a number as divisor, some devices multiply by its rounded reciprocal.
    at::Tensor scaled = buckets.to(at::kDouble).sub_(low).div_(scale).mul_(rule.last).clamp_(0.0, rule.last);
    at::Tensor codes = round_codes(scaled, rule);
    if (rule.rounding == Rounding::stochastic) codes.masked_fill_(narrow, 0.0);  // nearest rounding gives 0 there by itself
    if (rule.gradient == ScaleGradient::through) {
      // code / last - scaled / last; 0 where the scale is not the range
      const at::Tensor shift = (codes - scaled).div_(rule.last_on_device).masked_fill_(narrow, 0.0);
      context->save_for_backward({shift, buckets.argmax(1, /*keepdim=*/true), buckets.argmin(1, /*keepdim=*/true)});
    }
    context->saved_data["through"] = rule.gradient == ScaleGradient::through;
    return codes.to(at::kFloat).div_(rule.last_on_device).mul_(scale).add_(low);
  }

  static torch::autograd::variable_list backward(AutogradContext* context, torch::autograd::variable_list gradients) {
    const at::Tensor& gradient = gradients[0];
    if (!context->saved_data["through"].toBool()) return {gradient, at::Tensor()};
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor sum = gradient.to(at::kDouble).mul(saved[0]).sum(1, /*keepdim=*/true);
    const at::Tensor position = at::arange(gradient.size(1), saved[1].options());
    // A mask in place of scatter_add, which has no deterministic form on some devices. Equal extremes: the first, which is no filler.
    const at::Tensor sign = position.eq(saved[1]).to(at::kDouble) - position.eq(saved[2]).to(at::kDouble);
    return {(gradient + sign * sum).to(at::kFloat), at::Tensor()};
  }
};

}  // namespace

/// Layers that share bits and bucket size.
struct BucketQuantizer::Group {
  Uniform format;
  std::int64_t row = 0;  ///< elements of a bucket
  std::vector<std::size_t> layers;
  std::vector<std::int64_t> sizes;  ///< elements of each layer, each followed by its fillers where it has some
  std::vector<std::size_t> at;      ///< per layer: which of `sizes` is its
  at::Tensor last;                  ///< 2^bits - 1, float32 on the device

  // What is computed and not yet handed out, and from what.
  PassContext pass;
  bool has_gradient = false;
  std::vector<std::int64_t> versions;
  std::vector<at::Tensor> values;

  [[nodiscard]] bool serves(std::size_t layer, const PassContext& wanted, const std::vector<Layer>& all) const {
    if (values.empty() || !values[layer].defined()) return false;
    if (pass.mode != wanted.mode || pass.step != wanted.step || has_gradient != at::GradMode::is_enabled()) return false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (versions[i] != all[layers[i]].weight._version()) return false;
    }
    return true;
  }
};

BucketQuantizer::BucketQuantizer(std::vector<Layer> layers, Rounding rounding, ScaleGradient gradient)
    : layers_(std::move(layers)), rounding_(rounding), gradient_(gradient) {
  BITWRIGHT_ASSERT(rounding == Rounding::nearest_even || rounding == Rounding::nearest_down || rounding == Rounding::stochastic);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::int64_t size = layer.weight.numel();
    const std::int64_t row = layer.format.bucket_size.value_or(size);
    const auto found = std::ranges::find_if(groups_, [&](const Group& group) { return group.format == layer.format && group.row == row; });
    const auto number = static_cast<std::size_t>(found - groups_.begin());
    if (found == groups_.end()) {
      Group group;
      group.format = layer.format;
      group.row = row;
      group.last = at::full({}, static_cast<double>(layer.format.code_count() - 1), layer.weight.options().requires_grad(false));
      groups_.push_back(std::move(group));
    }
    Group& group = groups_[number];
    place_.emplace_back(number, group.layers.size());
    group.layers.push_back(i);
    group.at.push_back(group.sizes.size());
    group.sizes.push_back(size);
    const std::int64_t fillers = bucket_count(size, row) * row - size;
    if (fillers > 0) group.sizes.push_back(fillers);
  }
}

BucketQuantizer::~BucketQuantizer() = default;

Rng BucketQuantizer::draws(std::uint64_t seed, std::int64_t step, const std::string& layer) {
  return Rng(seed, "qd.rounding", static_cast<std::uint64_t>(step)).split(layer);
}

at::Tensor BucketQuantizer::draws_of(const Group& group, std::int64_t step) const {
  std::int64_t total = 0;
  for (const std::int64_t size : group.sizes) total += size;
  at::Tensor draws = at::zeros({total}, at::kDouble);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < group.layers.size(); ++i) {
    const Rng rng = BucketQuantizer::draws(seed_, step, layers_[group.layers[i]].name);
    const std::int64_t size = group.sizes[group.at[i]];
    double* const draw = draws.data_ptr<double>() + first;
    at::parallel_for(0, size, 4096, [&rng, draw](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) draw[j] = rng.uniform01(static_cast<std::uint64_t>(j));
    });
    first += bucket_count(size, group.row) * group.row;
  }
  return draws.view({-1, group.row}).to(group.last.device());
}

void BucketQuantizer::compute(Group& group, const PassContext& pass) {
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < group.layers.size(); ++i) {
    const at::Tensor flat = layers_[group.layers[i]].weight.reshape({-1});
    parts.push_back(flat);
    const std::size_t next = group.at[i] + 1;
    const std::size_t end = i + 1 < group.layers.size() ? group.at[i + 1] : group.sizes.size();
    if (next < end) parts.push_back(flat.detach().slice(0, flat.numel() - 1).expand({group.sizes[next]}));
  }
  const at::Tensor all = parts.size() == 1 ? parts[0] : at::cat(parts);
  Rule rule{.last = static_cast<double>(group.format.code_count() - 1),
            .last_on_device = group.last,
            .rounding = pass.mode == Mode::train ? rounding_ : final_rounding(rounding_),
            .gradient = gradient_,
            .draws = {}};
  if (rule.rounding == Rounding::stochastic) rule.draws = draws_of(group, pass.step);
  const at::Tensor rounded = RoundBuckets::apply(all.view({-1, group.row}), rule).view({-1});
  // One split: its backward is one concatenation, where a slice per layer would each fill a matrix of zeros.
  const std::vector<at::Tensor> pieces = rounded.split_with_sizes(group.sizes);
  group.pass = pass;
  group.has_gradient = at::GradMode::is_enabled();
  group.versions.clear();
  group.values.clear();
  for (std::size_t i = 0; i < group.layers.size(); ++i) {
    const at::Tensor& weight = layers_[group.layers[i]].weight;
    group.versions.push_back(weight._version());
    group.values.push_back(pieces[group.at[i]].view(weight.sizes()));
  }
}

at::Tensor BucketQuantizer::value(std::size_t layer, const PassContext& pass) {
  const auto [number, slot] = place_[layer];
  Group& group = groups_[number];
  if (!group.serves(slot, pass, layers_)) compute(group, pass);
  return std::exchange(group.values[slot], at::Tensor());
}

}  // namespace bitwright::qd
