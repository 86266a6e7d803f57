// SPDX-License-Identifier: Apache-2.0
#include "quantize_defaults.h"

namespace bitwright::apps {

/// CIFAR: recipes/cifar10-resnet20-qd.toml, without its teacher. Other sets: the budget of INQ at four portions.
void fill_qd(const QuantizeRequest& request, Recipe& recipe) {
  recipe.methods.front().options["bits"] = request.bits.value_or(4);
  recipe.train.lr = 0.01;
  recipe.train.schedule = request.is_cifar() ? ScheduleKind::step : ScheduleKind::cosine;
  recipe.train.weight_decay = request.is_cifar() ? 1e-4 : 5e-4;
  recipe.train.epochs = request.epochs.value_or(request.is_cifar() ? 60 : 4);
}

}  // namespace bitwright::apps
