// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitwright::ttq {

/// What the latent weights get of the gradient g of the ternary ones.
enum class LatentGradient {
  scaled,            ///< (T7) Wp g, g or Wn g
  straight_through,  ///< g
};

/// How the loops run. Values, thresholds and latent gradients are the same bits either way.
enum class Path {
  automatic,  ///< fused loops on the CPU, LibTorch's operators elsewhere
  operators,  ///< LibTorch's operators everywhere: what other devices run, for tests on the CPU
};

/// Gradients of a loss through ternary weights; together they satisfy (T8).
struct TernaryGradient {
  at::Tensor latent;  ///< of the latent weights, their shape. Equation: (T7)
  at::Tensor scales;  ///< float32 {dL/dWp, dL/dWn}; undefined where the rule is `straight_through`. Equation: (T5), (T6)
};

/// Threshold t * max|w| as a tensor of no dimensions on the weights' device; NaN or infinite when a weight is.
/// Equation: (T1). Rounding: the product in double, rounded once to float32. Exactness: as `Ternary::threshold_for_ratio`.
/// Requires: float32, contiguous, not empty.
[[nodiscard]] at::Tensor ratio_threshold(const at::Tensor& latent, double threshold_ratio, Path path = Path::automatic);

/// Threshold and scale of the ternary weight networks baseline.
struct TwnFit {
  at::Tensor threshold;  ///< no dimensions
  at::Tensor scales;     ///< {alpha, alpha}; 1 when no weight lies above the threshold
};

/// Equation: (T13): Delta = 0.7 mean|w|, alpha = mean of |w| over |w| > Delta.
/// Rounding: sums and quotients in double, rounded once to float32. Requires: float32, contiguous, not empty.
[[nodiscard]] TwnFit twn_fit(const at::Tensor& latent, Path path = Path::automatic);

/// The ternary weights {+Wp, 0, -Wn}, with a gradient for the latent weights and, where the rule is `scaled`, for the scales.
///
/// Equation: (T3); (T4) says which weights get which value; backward (T5), (T6), (T7). Shapes: latent any, scales {2} = {Wp, Wn}, threshold
/// no dimensions. Exactness: every value is 0, Wp or -Wn bit for bit. Where the threshold is not finite, so are values: NaN. Requires:
/// float32, latent contiguous, all on one device.
[[nodiscard]] at::Tensor ternary_weights(const at::Tensor& latent, const at::Tensor& scales, const at::Tensor& threshold,
                                         LatentGradient rule, Path path = Path::automatic);

/// What the backward pass of `ternary_weights` computes. Equation: (T5), (T6), (T7).
/// Rounding: sums in double and rounded once to float32. On the CPU their order depends on the number of weights alone, not on threads.
[[nodiscard]] TernaryGradient ternary_gradient(const at::Tensor& latent, const at::Tensor& scales, const at::Tensor& threshold,
                                               const at::Tensor& gradient, LatentGradient rule, Path path = Path::automatic);

}  // namespace bitwright::ttq
