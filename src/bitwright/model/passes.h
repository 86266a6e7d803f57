// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

namespace bitwright {

/// Turns every BatchNormalization that is the only reader of a Conv or Gemm into that node's weights and bias.
///
/// A quantized weight keeps its codes: the per-channel factor can't enter them, so the fold is then expressed as `Conv` -> `BatchNormalization`
/// with scale and shift only (mean 0, variance 1, epsilon 0), which the runtime fuses as a per-channel post-operation.
/// Exactness: real-arithmetic identical; float32 results differ by rounding. Requires: a valid model. Ensures: a valid model.
[[nodiscard]] Model fold_batch_normalization(Model model);

/// Drops nodes that do nothing at inference (Dropout).
[[nodiscard]] Model remove_training_nodes(Model model);

}  // namespace bitwright
