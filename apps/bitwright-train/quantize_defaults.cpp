// SPDX-License-Identifier: Apache-2.0
#include "quantize_defaults.h"

#include <algorithm>
#include <array>

namespace bitwright::apps {

std::span<const QuantizeDefaults> quantize_defaults() noexcept {
  static constexpr std::array kDefaults = {
#define BITWRIGHT_QUANTIZE(method, bits, epochs) QuantizeDefaults{#method, bits, epochs, &fill_##method},
#include "quantize_defaults.inc"
#undef BITWRIGHT_QUANTIZE
  };
  return kDefaults;
}

void fill_budget(const QuantizeRequest& request, Recipe& recipe) {
  recipe.train.batch = request.is_cifar() ? 128 : 64;
  recipe.data.pad_crop = request.is_cifar() ? 4 : 0;
  recipe.data.flip = request.is_cifar() || request.is_folder();
  recipe.data.random_crop = request.is_folder() ? 0.08 : 0.0;
}

void fill_recipe(const QuantizeRequest& request, Recipe& recipe) {
  fill_budget(request, recipe);
  const std::span<const QuantizeDefaults> all = quantize_defaults();
  MethodRecipe& method = recipe.methods.front();
  // A method without portions refuses the key by its name.
  if (!request.portions.empty()) method.options["portions"] = request.portions;
  const auto defaults = std::ranges::find(all, method.name, &QuantizeDefaults::method);
  if (defaults != all.end()) {
    defaults->fill(request, recipe);
    return;
  }
  recipe.train.epochs = request.epochs.value_or(recipe.train.epochs);
  if (request.bits) method.options["bits"] = *request.bits;
}

}  // namespace bitwright::apps
