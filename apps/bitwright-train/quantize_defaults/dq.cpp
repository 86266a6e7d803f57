// SPDX-License-Identifier: Apache-2.0
#include "quantize_defaults.h"

namespace bitwright::apps {

/// CIFAR: the paper page's ResNet-20 row. Other sets: recipes/mnist-lenet5-dq.toml. Nothing decays: weights are frozen, points are no
/// weights.
void fill_dq(const QuantizeRequest& request, Recipe& recipe) {
  MethodRecipe& dq = recipe.methods.front();
  dq.options["bits"] = request.bits.value_or(4);
  recipe.train.lr = 1e-5;
  recipe.train.schedule = request.is_cifar() ? ScheduleKind::constant : ScheduleKind::cosine;
  recipe.train.epochs = request.epochs.value_or(request.is_cifar() ? 20 : 2);
}

}  // namespace bitwright::apps
