// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bitwright {

/// Reads all F32 (and F16/BF16, widened) tensors of a safetensors file; I64 counters such as `num_batches_tracked` are skipped.
/// Throws: `Error(corrupt_file)`: header longer than the file or 100 MB, ranges that overlap or leave the file, sizes that disagree with
/// dtype and shape, duplicate names. `Error(io)`.
[[nodiscard]] std::map<std::string, FloatTensor, std::less<>> read_safetensors(const std::filesystem::path& path);

/// Writes the model's weights as float32, dequantized where they hold codes; canonical (sorted names, same model, same bytes), atomic.
void write_safetensors(const std::filesystem::path& path, const Model& model);

/// Puts tensors into a model by name; the model's own names are the torchvision / pytorch ones.
/// Throws: `Error(invalid_input)`: a weight missing, an unknown tensor, a shape mismatch (names the tensor and both shapes), NaN (names
/// tensor and index).
void load_weights(Model& model, const std::map<std::string, FloatTensor, std::less<>>& tensors, const std::string& source);

}  // namespace bitwright
