// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <string_view>

namespace bitwright {

/// Opens what a user may write for MODEL: `net.bw`, or `zoo:NAME` / `zoo:NAME@weights.safetensors`.
/// `seed` initializes a zoo network without weights. Throws: as the readers; `Error(usage)` for any other text.
[[nodiscard]] Model open_model(std::string_view source, std::uint64_t seed = 1);

}  // namespace bitwright
