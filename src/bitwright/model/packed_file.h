// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// The packed file `.bw`, version 1. Byte layout: docs/file-format.md.

/// Serializes a model. Canonical: the same model gives the same bytes. Throws: `Error(invalid_input)` when the model is not valid.
[[nodiscard]] std::vector<std::byte> pack_model(const Model& model);

/// Parses and checks everything: magic, version, order mark, checksums over every byte, limits, codes within their format.
/// Throws: `Error(corrupt_file)` (naming `source`), `Error(unsupported)` for a newer version or unknown tag.
[[nodiscard]] Model unpack_model(std::span<const std::byte> file, const std::string& source);

/// pack_model + atomic write / map + unpack_model.
void save_packed(const std::filesystem::path& path, const Model& model);
[[nodiscard]] Model load_packed(const std::filesystem::path& path);

/// Bytes each weight takes in the file, for `inspect`; its name stands once in the string table and is not counted here.
struct PackedWeightSize {
  std::string name;
  std::int64_t code_bytes = 0;
  std::int64_t parameter_bytes = 0;
  std::int64_t directory_bytes = 0;  ///< its entry in the weight section
};
[[nodiscard]] std::vector<PackedWeightSize> packed_weight_sizes(const Model& model);

/// Proves that every weight of a packed model is on its grid: dequantizes every code and checks the value against the format's definition
/// by another route than the decoder's (for `pow2`: the float's own exponent and fraction bits).
/// Throws: `Error(check_failed)` naming the tensor, index and value.
void verify_grid(const Model& model);

}  // namespace bitwright
