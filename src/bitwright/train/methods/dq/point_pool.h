// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/parameters.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bitwright::dq {

/// A frozen weight tensor as the pool needs it, row-major.
struct FrozenWeights {
  std::vector<std::int64_t> shape;
  std::vector<double> scaled;   ///< (D1) of every weight
  std::vector<Bucket> buckets;  ///< alpha and beta
  std::optional<std::int64_t> bucket_size;
};

/// Points, assignments and values of all tensors in one piece, so that a step takes few kernels however many layers there are: only the
/// search for the cell runs tensor by tensor.
///
/// Works on any device without waiting for it, but for `codes` and `points`.
class PointPool {
 public:
  /// `capacity`: points that all tensors together may ever have.
  PointPool(std::span<const FrozenWeights> tensors, std::int64_t capacity, at::Device device);

  /// Replaces the frozen weights by others of the same shapes; `set_points` must follow.
  void set_weights(std::span<const FrozenWeights> tensors);

  /// Replaces the points of every tensor; their numbers may change.
  /// Requires: one ascending list per tensor, at least two points each, within the capacity in all.
  void set_points(std::span<const std::vector<float>> points);

  /// The trained tensor: the tensors' points one after the other, the rest zero and never used.
  [[nodiscard]] const at::Tensor& parameter() const noexcept { return points_; }

  /// Sorts each tensor's points ascending and moves the elements of `states` (shaped like `parameter`) with them; equal points keep their
  /// order. Then assigns anew. Without it momentum would push another point than the one that earned it.
  void sort(std::span<const at::Tensor> states);

  /// Codes by the present points and values of the codes. Equation: (D7), (D8).
  /// Exactness: bit for bit what `Codebook::encode` and `decode` give, on every device.
  void assign();

  /// `assign` in operations on tensors, for any device. Exactness: the same bits.
  void assign_by_tensor_operations();

  /// The values of one tensor, without gradient.
  [[nodiscard]] const at::Tensor& values(std::size_t tensor) const { return entries_[tensor].values; }

  /// The values of all tensors as differentiable functions of `parameter`.
  ///
  /// Equation: (D14) dL/dp_j = sum over the cell of alpha * g, exact at the present assignment.
  /// Exactness: products and sums in float64, added in the order of the weights on the CPU; one rounding to float32.
  [[nodiscard]] std::vector<at::Tensor> differentiable_values() const;

  /// (D8) in float64 from given points at the present assignment: what `differentiable_values` is the derivative of.
  [[nodiscard]] at::Tensor values_from(std::size_t tensor, const at::Tensor& points) const;

  /// Copies to the host.
  [[nodiscard]] std::vector<std::int32_t> codes(std::size_t tensor) const;
  [[nodiscard]] std::vector<float> points(std::size_t tensor) const;
  [[nodiscard]] int levels(std::size_t tensor) const { return static_cast<int>(entries_[tensor].levels); }

 private:
  /// Where a tensor lies in the pool, with views of its parts.
  struct Entry {
    std::int64_t first_weight = 0;
    std::int64_t count = 0;
    std::int64_t first_point = 0;
    std::int64_t levels = 0;
    at::Tensor scaled;
    at::Tensor codes;
    at::Tensor values;  ///< in the tensor's own shape
  };

  std::vector<Entry> entries_;
  at::Tensor points_;
  at::Tensor segments_;      ///< per point: the tensor it belongs to
  at::Tensor scaled_;        ///< per weight, float64
  at::Tensor scales_;        ///< per weight, alpha
  at::Tensor mins_;          ///< per weight, beta
  at::Tensor first_points_;  ///< per weight: its tensor's first point
  at::Tensor codes_;         ///< per weight: its point in the pool
  at::Tensor values_;        ///< per weight
};

}  // namespace bitwright::dq
