// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/point_pool.h"

#include "bitwright/core/assert.h"
#include "bitwright/formats/buckets.h"

#include <torch/torch.h>

#include <algorithm>
#include <limits>

namespace bitwright::dq {
namespace {

template <typename T>
void copy_into(const at::Tensor& dst, std::vector<T>& values) {
  const at::NoGradGuard no_grad;
  dst.copy_(at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::CppTypeToScalarType<T>::value));
}

/// The pool's values as one node of the graph. With a node per tensor every one of them would add its few sums to a gradient of the whole
/// pool.
class PoolValues : public torch::autograd::Function<PoolValues> {
 public:
  /// `values` by address: LibTorch would take a list of tensors for inputs that want gradients.
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& points,
                                                const std::vector<at::Tensor>* values, const at::Tensor& codes, const at::Tensor& scales) {
    context->set_materialize_grads(false);
    // Not as saved variables: those are gone after the first backward pass, and outputs of one node may be asked for in several. The pool
    // assigns anew only after the step.
    context->saved_data["codes"] = codes;
    context->saved_data["scales"] = scales;
    context->saved_data["capacity"] = points.numel();
    torch::autograd::variable_list outputs;
    std::vector<std::int64_t> counts;
    for (const at::Tensor& value : *values) {
      // Another tensor on the same memory: an output gets a place in the graph, the pool's own tensor must not.
      outputs.push_back(value.variable_data());
      counts.push_back(value.numel());
    }
    context->saved_data["counts"] = counts;
    return outputs;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const at::Tensor codes = context->saved_data["codes"].toTensor();
    const at::Tensor scales = context->saved_data["scales"].toTensor();
    const std::vector<std::int64_t> counts = context->saved_data["counts"].toIntVector();
    std::vector<at::Tensor> flat;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      // `reshape` also brings channels-last gradients into the order of the codes.
      flat.push_back(gradients[i].defined() ? gradients[i].reshape(-1) : at::zeros({counts[i]}, scales.options()));
    }
    const at::Tensor terms = at::cat(flat).to(at::kDouble).mul_(scales);
    const at::Tensor sums = at::zeros({context->saved_data["capacity"].toInt()}, terms.options()).index_add_(0, codes, terms);
    return {sums.to(at::kFloat), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

PointPool::PointPool(std::span<const FrozenWeights> tensors, std::int64_t capacity, at::Device device) {
  // Codes are int32, which halves what the search writes and the gather reads.
  BITWRIGHT_ASSERT(!tensors.empty() && capacity <= std::numeric_limits<std::int32_t>::max());
  std::int64_t count = 0;
  for (const FrozenWeights& tensor : tensors) {
    Entry entry;
    entry.first_weight = count;
    entry.count = static_cast<std::int64_t>(tensor.scaled.size());
    count += entry.count;
    entries_.push_back(std::move(entry));
  }
  const at::TensorOptions options(device);
  points_ = at::zeros({capacity}, options.dtype(at::kFloat)).set_requires_grad(true);
  segments_ = at::zeros({capacity}, options.dtype(at::kLong));
  scaled_ = at::zeros({count}, options.dtype(at::kDouble));
  scales_ = at::zeros({count}, options.dtype(at::kFloat));
  mins_ = at::zeros_like(scales_);
  first_points_ = at::zeros({count}, options.dtype(at::kInt));
  codes_ = at::zeros_like(first_points_);
  values_ = at::zeros_like(scales_);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    entry.scaled = scaled_.narrow(0, entry.first_weight, entry.count);
    entry.codes = codes_.narrow(0, entry.first_weight, entry.count);
    entry.values = values_.narrow(0, entry.first_weight, entry.count).view(tensors[i].shape).variable_data();
  }
  set_weights(tensors);
}

void PointPool::set_weights(std::span<const FrozenWeights> tensors) {
  std::vector<double> scaled;
  std::vector<float> scales;
  std::vector<float> mins;
  for (const FrozenWeights& tensor : tensors) {
    scaled.insert(scaled.end(), tensor.scaled.begin(), tensor.scaled.end());
    for_each_bucket(tensor.buckets, tensor.scaled.size(), tensor.bucket_size, [&](const Bucket& bucket, std::size_t, std::size_t count) {
      scales.insert(scales.end(), count, bucket.scale);
      mins.insert(mins.end(), count, bucket.min);
    });
  }
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(scaled.size()) == scaled_.numel());
  copy_into(scaled_, scaled);
  copy_into(scales_, scales);
  copy_into(mins_, mins);
}

void PointPool::set_points(std::span<const std::vector<float>> points) {
  BITWRIGHT_ASSERT(points.size() == entries_.size());
  const auto capacity = static_cast<std::size_t>(points_.numel());
  std::vector<float> all;
  std::vector<std::int64_t> segments;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    entry.first_point = static_cast<std::int64_t>(all.size());
    entry.levels = static_cast<std::int64_t>(points[i].size());
    BITWRIGHT_ASSERT(entry.levels >= 2);
    all.insert(all.end(), points[i].begin(), points[i].end());
    segments.insert(segments.end(), points[i].size(), static_cast<std::int64_t>(i));
    first_points_.narrow(0, entry.first_weight, entry.count).fill_(entry.first_point);
  }
  BITWRIGHT_ASSERT(all.size() <= capacity);
  all.resize(capacity, 0.0F);
  segments.resize(capacity, static_cast<std::int64_t>(entries_.size()));
  copy_into(points_, all);
  copy_into(segments_, segments);
  assign();
}

void PointPool::sort(std::span<const at::Tensor> states) {
  const at::NoGradGuard no_grad;
  // First by value, then stably by tensor: ascending within each, none leaves its own.
  const at::Tensor by_value = std::get<1>(at::sort(points_, /*stable=*/c10::optional<bool>(true), 0, /*descending=*/false));
  const at::Tensor by_tensor =
      std::get<1>(at::sort(segments_.index_select(0, by_value), /*stable=*/c10::optional<bool>(true), 0, /*descending=*/false));
  const at::Tensor order = by_value.index_select(0, by_tensor);
  points_.copy_(points_.index_select(0, order));
  for (const at::Tensor& state : states) state.copy_(state.index_select(0, order));
  assign();
}

namespace {

/// How many midpoints are at most `value`: the same steps for every value, because a search that branches is mispredicted at every second
/// level (on ResNet-20 it takes five times as long). Requires: count >= 1.
std::int64_t cell_of(const double* midpoints, std::int64_t count, double value) noexcept {
  std::int64_t below = 0;
  while (count > 1) {
    const std::int64_t half = count / 2;
    below += half & -static_cast<std::int64_t>(midpoints[below + half - 1] <= value);
    count -= half;
  }
  return below + static_cast<std::int64_t>(midpoints[below] <= value);
}

}  // namespace

void PointPool::assign() {
  if (!points_.is_cpu()) {
    assign_by_tensor_operations();
    return;
  }
  const float* const points = points_.data_ptr<float>();
  std::vector<double> midpoints(static_cast<std::size_t>(points_.numel()));
  for (std::size_t j = 0; j + 1 < midpoints.size(); ++j) midpoints[j] = (static_cast<double>(points[j]) + points[j + 1]) / 2.0;
  for (const Entry& entry : entries_) {
    const double* const cells = midpoints.data() + entry.first_point;
    const double* const scaled = entry.scaled.data_ptr<double>();
    const float* const scales = scales_.data_ptr<float>() + entry.first_weight;
    const float* const mins = mins_.data_ptr<float>() + entry.first_weight;
    std::int32_t* const codes = entry.codes.data_ptr<std::int32_t>();
    float* const values = entry.values.data_ptr<float>();
    constexpr std::int64_t kWeightsPerTask = 8192;
    at::parallel_for(0, entry.count, kWeightsPerTask, [=, &entry](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t code = entry.first_point + cell_of(cells, entry.levels - 1, scaled[i]);
        codes[i] = static_cast<std::int32_t>(code);
        values[i] = mins[i] + scales[i] * points[code];
      }
    });
  }
}

void PointPool::assign_by_tensor_operations() {
  const at::NoGradGuard no_grad;
  const at::Tensor wide = points_.to(at::kDouble);
  // Of neighbors in the pool; those across two tensors are not looked at. Halving is exact.
  const at::Tensor midpoints = (wide.slice(0, 1) + wide.slice(0, 0, -1)).mul_(0.5);
  for (Entry& entry : entries_) {
    at::bucketize_out(entry.codes, entry.scaled, midpoints.narrow(0, entry.first_point, entry.levels - 1), /*out_int32=*/true,
                      /*right=*/true);
  }
  codes_.add_(first_points_);
  // Two operations with a rounding each, as in `Codebook::decode`: a fused multiply-add would round once.
  at::index_select_out(values_, points_.detach(), 0, codes_);
  values_.mul_(scales_);
  values_.add_(mins_);
}

std::vector<at::Tensor> PointPool::differentiable_values() const {
  std::vector<at::Tensor> values;
  for (const Entry& entry : entries_) values.push_back(entry.values);
  return PoolValues::apply(points_, &values, codes_, scales_);
}

at::Tensor PointPool::values_from(std::size_t tensor, const at::Tensor& points) const {
  const Entry& entry = entries_[tensor];
  const auto part = [&entry](const at::Tensor& all) { return all.narrow(0, entry.first_weight, entry.count); };
  const at::Tensor scaled = points.index_select(0, entry.codes) * part(scales_).to(at::kDouble);
  return (scaled + part(mins_).to(at::kDouble)).view(entry.values.sizes());
}

std::vector<std::int32_t> PointPool::codes(std::size_t tensor) const {
  const Entry& entry = entries_[tensor];
  const at::Tensor codes = (entry.codes - entry.first_point).to(at::kCPU).contiguous();
  return {codes.data_ptr<std::int32_t>(), codes.data_ptr<std::int32_t>() + codes.numel()};
}

std::vector<float> PointPool::points(std::size_t tensor) const {
  const Entry& entry = entries_[tensor];
  const at::Tensor points = points_.detach().narrow(0, entry.first_point, entry.levels).to(at::kCPU).contiguous();
  return {points.data_ptr<float>(), points.data_ptr<float>() + points.numel()};
}

}  // namespace bitwright::dq
