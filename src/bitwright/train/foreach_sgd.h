// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace torch::optim {
class SGD;
}

namespace bitwright {

/// One step of LibTorch's SGD by operators that work on all tensors of a group at once: on a GPU, where every operator is a
/// launch, ResNet-20's 59 tensors would else take four each.
/// Exactness: the optimizer's own equation and order of operations; on the CPU bit for bit what `optimizer.step()` gives. State is
/// kept where the optimizer keeps it.
void foreach_sgd_step(torch::optim::SGD& optimizer);

}  // namespace bitwright
