// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "quantize_defaults.h"

namespace bitwright::apps {

/// CIFAR: recipes/cifar10-resnet20-ttq.toml. Other sets: recipes/mnist-lenet5-ttq.toml, whose network has no batch norm to catch quick
/// scales. Three values are three values: `--bits` may say 2, the bits of the sign and the zero, and nothing else.
void fill_ttq(const QuantizeRequest& request, Recipe& recipe) {
  if (request.bits && *request.bits != 2) {
    fail(ErrorCode::usage, "quantize: method ttq makes ternary weights (found --bits {}, need 2 or nothing); choose another method.",
         *request.bits);
  }
  if (request.is_cifar()) {
    recipe.train.lr = 0.05;
    recipe.train.schedule = ScheduleKind::step;
    recipe.train.weight_decay = 1e-4;
    recipe.train.epochs = request.epochs.value_or(60);
  } else {
    recipe.methods.front().options["scale_lr_ratio"] = 0.001;
    recipe.train.lr = 0.01;
    recipe.train.schedule = ScheduleKind::cosine;
    recipe.train.weight_decay = 5e-4;
    recipe.train.epochs = request.epochs.value_or(6);
  }
}

}  // namespace bitwright::apps
