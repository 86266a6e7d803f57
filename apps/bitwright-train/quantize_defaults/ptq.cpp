// SPDX-License-Identifier: Apache-2.0
#include "quantize_defaults.h"

namespace bitwright::apps {

/// Rounds once and trains nothing: neither augmentation nor epochs mean anything.
void fill_ptq(const QuantizeRequest& request, Recipe& recipe) {
  recipe.methods.front().options["bits"] = request.bits.value_or(4);
  recipe.data.pad_crop = 0;
  recipe.data.flip = false;
}

}  // namespace bitwright::apps
