// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/formats/rounding.h"
#include "bitwright/formats/uniform.h"
#include "bitwright/train/network.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright::qd {

/// What the gradient does with a bucket's scale and minimum.
enum class ScaleGradient {
  constant,  ///< straight through: dL/dw = dL/dw_q
  through,   ///< exact derivative with rounding alone taken for the identity: adds to the bucket's largest and smallest weight
};

/// Uniform quantization of many tensors at once with a straight-through gradient.
///
/// All tensors with the same bits and bucket size lie one behind the other in one matrix, a bucket a row, so that a pass takes about
/// fifteen tensor operations for the whole network rather than for each layer. The last bucket of a tensor is filled up with the tensor's
/// last element, which changes neither minimum nor maximum. The first weight that a forward pass asks for computes all; each result is
/// handed out once.
///
/// Equation: (D1)-(D5).
/// Exactness: values equal `Uniform`'s fit, encode and decode bit for bit, on every device: scaled values are double, the level and the
/// value are rounded to float32 after each operation.
class BucketQuantizer {
 public:
  struct Layer {
    std::string name;
    Uniform format;
    at::Tensor weight;  ///< the network's own; may require a gradient
  };

  /// `rounding`: in `Mode::train`; `stochastic` becomes `nearest_even` in `Mode::eval`. Requires: nearest_even, nearest_down or stochastic.
  BucketQuantizer(std::vector<Layer> layers, Rounding rounding, ScaleGradient gradient);
  ~BucketQuantizer();
  BucketQuantizer(const BucketQuantizer&) = delete;
  BucketQuantizer& operator=(const BucketQuantizer&) = delete;

  [[nodiscard]] const std::vector<Layer>& layers() const noexcept { return layers_; }

  /// Quantized values of a layer's weight, with the gradient recorded where gradients are.
  [[nodiscard]] at::Tensor value(std::size_t layer, const PassContext& pass);

  /// Key of the draws of stochastic rounding.
  void set_seed(std::uint64_t seed) noexcept { seed_ = seed; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  /// The stream from which element i of a layer draws with index i in a step. Equation: (D5).
  [[nodiscard]] static Rng draws(std::uint64_t seed, std::int64_t step, const std::string& layer);

 private:
  struct Group;
  void compute(Group& group, const PassContext& pass);
  [[nodiscard]] at::Tensor draws_of(const Group& group, std::int64_t step) const;

  std::vector<Layer> layers_;
  Rounding rounding_;
  ScaleGradient gradient_;
  std::uint64_t seed_ = 1;
  std::vector<Group> groups_;
  std::vector<std::pair<std::size_t, std::size_t>> place_;  ///< per layer: its group and where it stands in it
};

/// The rounding that evaluation and the frozen codes use. Exactness: a network is evaluated with the values of its codes.
[[nodiscard]] constexpr Rounding final_rounding(Rounding rounding) noexcept {
  return rounding == Rounding::stochastic ? Rounding::nearest_even : rounding;
}

}  // namespace bitwright::qd
