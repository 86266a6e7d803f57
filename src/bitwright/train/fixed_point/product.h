// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/formats/fixed_point.h"
#include "bitwright/kernels/fixed_point/fixed_point.h"
#include "bitwright/model/graph.h"
#include "bitwright/model/window.h"

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

namespace bitwright::fixed_point {

/// Number formats of one Conv or Gemm.
struct ProductFormats {
  FixedPoint src;      ///< at most 16 bits
  FixedPoint weights;  ///< at most 24 bits
  FixedPoint bias;     ///< at most as many fraction bits as the accumulator
  FixedPoint dst;      ///< at most 16 bits
  FixedPoint errors;   ///< of outputs and inputs alike, at most 16 bits; matters in training only

  /// Fraction bits of an exact sum. Equation: (G9).
  [[nodiscard]] int acc_frac_bits() const noexcept { return src.frac_bits + weights.frac_bits; }
  friend bool operator==(const ProductFormats&, const ProductFormats&) = default;
};

/// What multiplies and adds.
enum class Arithmetic {
  exact,    ///< int64 accumulators (G9): one rounding per output
  float32,  ///< LibTorch's float32 products of the codes, whose sums are rounded, then one conversion: what the paper's authors ran
};

/// How one conversion rounds.
struct Conversion {
  Rounding rounding = Rounding::nearest_down;  ///< or `stochastic`
  Rng rng{0, ""};                              ///< of `stochastic`: element i takes word i (or pair i) of it
  int random_bits = 64;                        ///< of each draw at most (G13)
};

/// Codes that one conversion made.
struct Converted {
  at::Tensor codes;     ///< int16, contiguous
  at::Tensor positive;  ///< bytes, 1 where the accumulator was above 0; undefined unless asked for
  std::int64_t saturated = 0;
};

/// A Conv or Gemm on codes: the layer, the errors of its inputs and the gradients of its parameters.
///
/// Codes travel as contiguous int16 tensors, NCHW or [n, features]. Work is divided over LibTorch's threads by images, rows or panels;
/// sums are exact in integers and draws are addressed by element, so the bits do not depend on the division.
class Product {
 public:
  enum class Activation { none, relu };  ///< relu: on the accumulator, before the only rounding
  enum class Signs { drop, keep };       ///< whether `Converted::positive` is wanted

  /// Requires: a Conv or Gemm that its shape rule accepts.
  Product(const Node& node, const Shape& weight_shape, Activation activation);

  /// Codes of the weights (OIHW or [out, in]) and of the bias (empty: none) from now on; to be called after every change of them.
  /// Requires: `weights` outlives their use here.
  void set_parameters(const ProductFormats& formats, std::span<const std::int32_t> weights, std::span<const std::int32_t> bias);

  /// Equation: dst = Convert(activation(W src + B)), (G9) then (G11) or (G12), (G8).
  [[nodiscard]] Converted forward(const at::Tensor& src, const Conversion& conversion, Signs signs, Arithmetic arithmetic);
  /// Equation: Convert(W^T errors): 4.3 of the paper page, before the mask of the layer below.
  /// Shapes: errors as the outputs; `src` is the layer's input, for its extents.
  [[nodiscard]] Converted input_errors(const at::Tensor& errors, const at::Tensor& src, const Conversion& conversion,
                                       Arithmetic arithmetic);
  /// Equation: dst = G = sum over batch and positions of errors * src, exact (or float32's sum); fraction bits FL_errors + FL_src.
  void weight_gradient(const at::Tensor& src, const at::Tensor& errors, std::span<std::int64_t> dst, Arithmetic arithmetic) const;
  /// Equation: dst = sum over batch and positions of errors; fraction bits FL_errors.
  void bias_gradient(const at::Tensor& errors, std::span<std::int64_t> dst) const;

  [[nodiscard]] const ProductFormats& formats() const noexcept { return formats_; }
  [[nodiscard]] std::int64_t outputs() const noexcept { return weight_shape_[0]; }

 private:
  /// Weights as the kernels read them: int16, LibTorch's memory because it begins at a cache line and is kept from step to step.
  struct Packed {
    at::Tensor codes;
    bool is_current = false;  ///< since the last change of the weights
    void resize(std::int64_t count);
    [[nodiscard]] std::int16_t* data() const;
    [[nodiscard]] std::int64_t size() const { return codes.numel(); }
  };

  [[nodiscard]] bool is_conv() const noexcept { return node_.op == Op::Conv; }
  [[nodiscard]] FixedConvShape group_shape(const at::Tensor& src) const;
  [[nodiscard]] at::Tensor new_output(const at::Tensor& src, at::ScalarType type) const;
  [[nodiscard]] FixedEpilogue epilogue(const Conversion& conversion) const;
  void pack(FixedConvWeights use);
  void pack_dense(FixedConvWeights use, Packed& packed) const;
  void pack_conv(FixedConvWeights use, Packed& packed) const;
  [[nodiscard]] const Packed& packed_for(FixedConvWeights use) const { return use == FixedConvWeights::forward ? packed_ : packed_errors_; }
  [[nodiscard]] FixedDigits digits_of(FixedConvWeights use) const;

  [[nodiscard]] std::int64_t run_dense(const at::Tensor& src, FixedConvWeights use, const FixedEpilogue& end, const Converted& dst) const;
  [[nodiscard]] std::int64_t run_conv(const at::Tensor& src, FixedConvWeights use, const FixedConvShape& layer, const FixedEpilogue& end,
                                      const Converted& dst) const;
  [[nodiscard]] std::int64_t round_float32(const at::Tensor& acc, const FixedEpilogue& end, const Converted& dst) const;
  [[nodiscard]] at::Tensor float_weights() const;
  [[nodiscard]] at::Tensor padded(const at::Tensor& src) const;
  [[nodiscard]] std::tuple<at::Tensor, at::Tensor, at::Tensor> backward_float32(const at::Tensor& padded_src, const at::Tensor& errors,
                                                                                std::array<bool, 3> wanted) const;
  void weight_gradient_dense(const at::Tensor& src, const at::Tensor& errors, std::span<std::int64_t> dst) const;
  void weight_gradient_conv(const at::Tensor& src, const at::Tensor& errors, std::span<std::int64_t> dst) const;

  const Node& node_;
  Shape weight_shape_;
  Activation activation_;
  Window window_;  ///< of a Conv
  std::int64_t group_ = 1;
  const FixedPointKernel* kernel_;
  ProductFormats formats_;
  std::span<const std::int32_t> weights_;
  std::vector<std::int64_t> bias_;  ///< aligned to the accumulator; empty: none
  Packed packed_;                   ///< for the layer itself, groups one after the other
  Packed packed_errors_;            ///< for the errors of its inputs, likewise
};

}  // namespace bitwright::fixed_point
