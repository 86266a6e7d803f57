// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "quantize_defaults.h"

#include <fmt/format.h>

#include <algorithm>

namespace bitwright::apps {
namespace {
constexpr std::int64_t kFewestBits = 8;
constexpr std::int64_t kMostBits = 24;
constexpr std::int64_t kMostOutputBits = 16;  // what the integer kernels take for layer outputs
}  // namespace

/// The formats of Gupta 2015: weights below 2, outputs below 8 on CIFAR and 32 elsewhere; the rest of the word is fraction.
/// CIFAR: the paper's rate, halved in steps. Other sets: 0.1, falling tenfold.
void fill_fixed(const QuantizeRequest& request, Recipe& recipe) {
  const std::int64_t bits = request.bits.value_or(16);
  if (bits < kFewestBits || bits > kMostBits) {
    fail(ErrorCode::usage, "quantize: method fixed: --bits is out of range (found {}, need {} to {}); change it.", bits, kFewestBits,
         kMostBits);
  }
  const std::int64_t integer_bits = request.is_cifar() ? 4 : 6;
  MethodRecipe& fixed = recipe.methods.front();
  fixed.options["weights"] = fmt::format("fixed<2,{}>", bits - 2);
  fixed.options["outputs"] = fmt::format("fixed<{},{}>", integer_bits, std::min(bits, kMostOutputBits) - integer_bits);
  recipe.data.pad_crop = 0;  // as the paper trains
  recipe.data.flip = false;
  recipe.train.schedule = ScheduleKind::step;
  recipe.train.weight_decay = 5e-4;
  if (request.is_cifar()) {
    recipe.train.lr = 0.01;
    recipe.train.milestones = {0.416666, 0.625, 0.833333};
    recipe.train.gamma = 0.5;
    recipe.train.epochs = request.epochs.value_or(24);
  } else {
    recipe.train.batch = 100;
    recipe.train.lr = 0.1;
    recipe.train.epochs = request.epochs.value_or(20);
  }
}

}  // namespace bitwright::apps
