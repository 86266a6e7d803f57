// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/ops/narrow_weights.h"
#include "bitwright/runtime/plan_builder.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// Extents as a primitive sees them: a MatMul's are [rows, inputs], the weights of a grouped convolution [group, outputs per group, inputs
/// per group, height, width].
struct NarrowView {
  Shape source;
  Shape weight;
  Shape result;
};

/// Types and attributes of a product, for the primitive's description.
struct NarrowTypes {
  dnnl::memory::desc src;
  dnnl::memory::desc weights;  ///< any layout
  dnnl::memory::desc bias;
  dnnl::memory::desc dst;
  dnnl::primitive_attr attributes;
};

/// A primitive that was chosen, or several, each for a part of the result and for a thread of its own.
struct NarrowPrimitive {
  struct Part {
    PrimitiveMaker::Make make;
    dnnl::memory::desc scratchpad;
    dnnl::memory::desc src;
    dnnl::memory::desc dst;
    std::int64_t src_bytes = 0;  ///< where its rows begin
    std::int64_t dst_bytes = 0;
  };
  std::vector<Part> parts;
  std::string name;  ///< kind and implementation, e.g. `conv:brgconv:avx512_core_amx_int8`
  dnnl::memory::desc weights;
};
using NarrowChoice = std::function<NarrowPrimitive(const NarrowTypes&)>;

/// The same product over the same memory seen otherwise, with each output `copies` times, every copy after all outputs of the one before.
struct NarrowAlternative {
  std::int64_t copies = 1;
  NarrowView view;
  NarrowChoice choose;
  std::function<bool(const NarrowPrimitive&)> is_faster;  ///< whether what `choose` found is worth it
  std::function<void(NarrowWeights&)> turn;               ///< brings codes or values into the order of the view's weights
};

/// What a product in few bits is asked for, in oneDNN's words but without types.
struct NarrowProduct {
  const Weight& weight;     ///< [outputs, …], one row per output
  std::vector<float> bias;  ///< with the tail's scale and shift in it: y = tail.scale * (w x) + bias
  ValueForm source;         ///< what it reads
  NarrowView view;
  dnnl::memory::desc stored;  ///< the source as it must lie: the view's is another view of it
  NarrowChoice choose;
  /// Given what was chosen, another view that is worth trying; may be empty.
  std::function<std::optional<NarrowAlternative>(const NarrowPrimitive& chosen)> alternative;
};

/// oneDNN's inner product.
[[nodiscard]] NarrowPrimitive choose_inner_product(const NarrowTypes& types);

/// Adds relu(tail.scale * (w x) + bias + residual) in bfloat16 or int8. Returns why not, when oneDNN has no fast kernel for it.
///
/// Equation, int8: y = round((c / s_y) * (Σ w_int x_int + bias / c) + (s_r / s_y) r_int) with c = tail.scale * s_w * s_x per output; the
/// sum is exact, everything behind it float32. bfloat16: y = round(f * (Σ w x + bias / f) + r), f = tail.scale times the scale of the
/// weights' integers, where the format has any that bfloat16 holds exactly; else f = 1 and tail.scale is multiplied into the rounded
/// weights.
[[nodiscard]] std::vector<std::string> try_narrow_product(PlanBuilder& builder, const Node& node, const FusedTail& tail,
                                                          const NarrowProduct& product, std::vector<std::string> refusals);

}  // namespace bitwright
