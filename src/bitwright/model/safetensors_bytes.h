// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// `read_safetensors` and `write_safetensors` on bytes in memory; `source` names them in messages.
[[nodiscard]] std::map<std::string, FloatTensor, std::less<>> parse_safetensors(std::span<const std::byte> file, const std::string& source);
[[nodiscard]] std::vector<std::byte> format_safetensors(const Model& model);

}  // namespace bitwright
