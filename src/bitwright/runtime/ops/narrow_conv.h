// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/window.h"
#include "bitwright/runtime/ops/narrow_product.h"

namespace bitwright {

/// oneDNN's convolution over this window.
[[nodiscard]] dnnl::convolution_forward::primitive_desc describe_conv(const Window& window, const NarrowTypes& types);

/// oneDNN's convolution in few bits. Threads share the rows of one image, each with a primitive of its own, where its weights are few and
/// its rows many: measured faster than leaving the sharing to oneDNN.
[[nodiscard]] NarrowChoice choose_narrow_conv(const Window& window, int threads);

/// For matrix instructions, whose registers take 64 bytes of channels at once: neighbouring pixels as channels, where the network has few.
[[nodiscard]] std::function<std::optional<NarrowAlternative>(const NarrowPrimitive& chosen)> folding_alternative(const NarrowView& view,
                                                                                                                 const Window& window,
                                                                                                                 int threads);

}  // namespace bitwright
