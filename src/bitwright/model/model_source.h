// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace bitwright {

/// Reads a model from a file of another kind.
using ModelReader = Model (*)(const std::filesystem::path& path);

/// Makes `open_model` take files with this ending, e.g. `.onnx`: a program says once, before anything is opened, which layers above this
/// one read models. A second reader for the same ending replaces the first, none takes it away.
void register_model_reader(std::string_view ending, ModelReader reader);

/// Opens what a user may write for MODEL: `net.bw`, `zoo:NAME` / `zoo:NAME@weights.safetensors`, or a file with a registered ending.
/// `seed` initializes a zoo network without weights. Throws: as the readers; `Error(usage)` for any other text.
[[nodiscard]] Model open_model(std::string_view source, std::uint64_t seed = 1);

}  // namespace bitwright
