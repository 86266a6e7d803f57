// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/plan_builder.h"

#include <functional>
#include <string>
#include <vector>

namespace bitwright {

/// What a product in few bits is asked for, in oneDNN's words but without types.
struct NarrowProduct {
  const Weight& weight;     ///< [outputs, …], one row per output
  std::vector<float> bias;  ///< with the tail's scale and shift in it: y = tail.scale * (w x) + bias
  ValueForm source;         ///< what it reads
  Shape source_view;        ///< extents as the primitive sees them: a MatMul's are [rows, inputs]
  Shape weight_view;        ///< a grouped convolution's are [group, outputs per group, inputs per group, height, width]
  Shape result_view;
  dnnl::memory::desc stored;  ///< the source as it must lie: `source_view` is another view of it
};

/// Types and attributes of a product, for the primitive's description.
struct NarrowTypes {
  dnnl::memory::desc src;
  dnnl::memory::desc weights;  ///< any layout
  dnnl::memory::desc bias;
  dnnl::memory::desc dst;
  dnnl::primitive_attr attributes;
};

/// A primitive that was chosen, with what is needed to run it.
struct NarrowPrimitive {
  PrimitiveMaker::Make make;
  std::string name;  ///< kind and implementation, e.g. `conv:brgconv:avx512_core_amx_int8`
  dnnl::memory::desc weights;
  dnnl::memory::desc scratchpad;
};
using NarrowChoice = std::function<NarrowPrimitive(const NarrowTypes&)>;

/// oneDNN's inner product.
[[nodiscard]] NarrowPrimitive choose_inner_product(const NarrowTypes& types);

/// Adds relu(tail.scale * (w x) + bias + residual) in bfloat16 or int8. Returns why not, when oneDNN has no fast kernel for it.
///
/// Equation, int8: y = round((c / s_y) * (Σ w_int x_int + bias / c) + (s_r / s_y) r_int) with c = tail.scale * s_w * s_x per output; the
/// sum is exact, everything behind it float32. bfloat16: y = round(f * (Σ w x + bias / f) + r), f = tail.scale times the scale of the
/// weights' integers, where the format has any that bfloat16 holds exactly; else f = 1 and tail.scale is multiplied into the rounded
/// weights.
[[nodiscard]] std::vector<std::string> try_narrow_product(PlanBuilder& builder, const Node& node, const FusedTail& tail,
                                                          const NarrowProduct& product, const NarrowChoice& choose,
                                                          std::vector<std::string> refusals);

}  // namespace bitwright
