// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/fixed_point/product.h"
#include "bitwright/train/network.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

namespace bitwright::fixed_point {

/// How a pass rounds and multiplies, and where its draws come from.
struct PassRule {
  Mode mode = Mode::eval;
  std::int64_t step = 0;
  std::uint64_t seed = 0;
  Rounding rounding = Rounding::nearest_down;
  int random_bits = 64;
  Arithmetic arithmetic = Arithmetic::exact;

  /// The conversion of one tensor: draws keyed by (seed, stream, step, tensor).
  [[nodiscard]] Conversion conversion(std::string_view stream, std::string_view tensor) const;
};

/// How many conversions saturated (G8), of how many.
struct SaturationCount {
  std::int64_t saturated = 0;
  std::int64_t elements = 0;
  void add(const Converted& converted);
  [[nodiscard]] double share() const { return elements == 0 ? 0.0 : static_cast<double>(saturated) / static_cast<double>(elements); }
};

/// One node of a network that computes on codes. In `Mode::train` it keeps what its `backward` needs, until the next forward pass.
class Stage {
 public:
  virtual ~Stage() = default;
  /// Codes of the output from codes of the input, both contiguous int16.
  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& src, const PassRule& rule) = 0;
  /// Errors of the input from errors of the output, codes of the errors' format. Requires: a forward pass in `Mode::train` before.
  [[nodiscard]] virtual at::Tensor backward(const at::Tensor& errors, const PassRule& rule) = 0;

  SaturationCount outputs;       ///< conversions in `Mode::train`
  SaturationCount input_errors;  ///< conversions in `backward`
};

/// Conv or Gemm, with the Relu behind it.
class ProductStage final : public Stage {
 public:
  enum class Position { first, inner };       ///< nobody asks for the errors of the first one's inputs
  enum class SaturatedErrors { pass, stop };  ///< whether an output at an end of its range passes its error on

  ProductStage(const Node& node, const Shape& weight_shape, Product::Activation activation, Position position);

  [[nodiscard]] at::Tensor forward(const at::Tensor& src, const PassRule& rule) override;
  [[nodiscard]] at::Tensor backward(const at::Tensor& errors, const PassRule& rule) override;

  [[nodiscard]] Product& product() noexcept { return product_; }
  void set_saturated_errors(SaturatedErrors choice) noexcept { saturated_errors_ = choice; }
  /// Exact gradients of the last backward pass. Equation: G of 4.4. Requires: sizes of weights and bias (empty: none).
  void gradients(std::span<std::int64_t> weights, std::span<std::int64_t> bias, Arithmetic arithmetic) const;

 private:
  const Node& node_;
  Product product_;
  Product::Activation activation_;
  Position position_;
  SaturatedErrors saturated_errors_ = SaturatedErrors::pass;
  at::Tensor src_;
  at::Tensor dst_;
  at::Tensor positive_;
  at::Tensor errors_;  ///< of the accumulators: behind the masks
};

/// Largest code of each window. In the backward pass an error goes to the first largest code of its window; where windows overlap, errors
/// are added exactly and saturate once.
class MaxPoolStage final : public Stage {
 public:
  MaxPoolStage(const Node& node, const FixedPoint& errors);
  [[nodiscard]] at::Tensor forward(const at::Tensor& src, const PassRule& rule) override;
  [[nodiscard]] at::Tensor backward(const at::Tensor& errors, const PassRule& rule) override;

 private:
  const Node& node_;
  Window window_;
  FixedPoint errors_;
  std::vector<std::int64_t> src_sizes_;
  at::Tensor places_;  ///< int32: index in the plane of the largest code
};

/// Relu that could not be joined to a product: zero below zero, errors pass where the code is above zero.
class ReluStage final : public Stage {
 public:
  [[nodiscard]] at::Tensor forward(const at::Tensor& src, const PassRule& rule) override;
  [[nodiscard]] at::Tensor backward(const at::Tensor& errors, const PassRule& rule) override;

 private:
  at::Tensor dst_;
};

/// A Relu whose product did its work.
class PassStage final : public Stage {
 public:
  [[nodiscard]] at::Tensor forward(const at::Tensor& src, const PassRule& rule) override;
  [[nodiscard]] at::Tensor backward(const at::Tensor& errors, const PassRule& rule) override;
};

class FlattenStage final : public Stage {
 public:
  explicit FlattenStage(const Node& node) : node_(node) {}
  [[nodiscard]] at::Tensor forward(const at::Tensor& src, const PassRule& rule) override;
  [[nodiscard]] at::Tensor backward(const at::Tensor& errors, const PassRule& rule) override;

 private:
  const Node& node_;
  std::vector<std::int64_t> src_sizes_;
};

/// In training a code is dropped or becomes Convert(code / (1 - ratio)) in its own format; errors likewise. In evaluation nothing happens.
class DropoutStage final : public Stage {
 public:
  DropoutStage(const Node& node, const FixedPoint& values, const FixedPoint& errors);
  [[nodiscard]] at::Tensor forward(const at::Tensor& src, const PassRule& rule) override;
  [[nodiscard]] at::Tensor backward(const at::Tensor& errors, const PassRule& rule) override;

 private:
  const Node& node_;
  double ratio_;
  FixedPoint values_;
  FixedPoint errors_;
  Rng dropped_{0, ""};
};

/// Codes of real numbers, element i with draw i. Equation: (G8) around floor(x 2^FL + U), U = word i times 2^-32, or (G4).
/// Throws: `Error(numerical)` on NaN.
[[nodiscard]] Converted convert_values(const at::Tensor& values, const FixedPoint& format, const Conversion& conversion);
/// Values of codes, float32: exact, a code has at most 16 of the 24 bits of a significand. Equation: (G1).
[[nodiscard]] at::Tensor values_of(const at::Tensor& codes, const FixedPoint& format);

}  // namespace bitwright::fixed_point
