// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/error.h"
#include "bitwright/model/model.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// A network that was imported, and what a user should know about how.
struct Imported {
  Model model;
  std::vector<std::string> remarks;  ///< one sentence each, e.g. that a fixed batch became free
};

/// Before opset 7 some operators had other attributes (Add's `broadcast`, Reshape's `shape`): these are understood too.
inline constexpr std::int64_t kOldestOpset = 1;
inline constexpr std::int64_t kNewestOpset = 21;

/// Brings an ONNX file to bitwright's operators (docs/onnx.md): constants become attributes, shape arithmetic is computed, quantized
/// weights come in as codes. `folder`: where external data may lie; nothing refuses external data. Ensures: a valid model; what
/// `export_onnx` wrote comes back as the model that it was given, but for what it said is lost. Throws, naming `source`:
/// `Error(corrupt_file)` for damage; `Error(invalid_input)` for a graph that makes no sense; `Error(unsupported)` for what bitwright can't
/// run, all such operators with their nodes in one message.
[[nodiscard]] Imported import_onnx(std::span<const std::byte> file, const std::string& source,
                                   const std::optional<std::filesystem::path>& folder = {});

/// The same from a path. Cost: the file is read once; memory is that of the weights.
[[nodiscard]] Imported import_onnx(const std::filesystem::path& path);

/// An operator of ONNX that the importer takes, for docs/onnx.md.
struct ImportableOperator {
  std::string_view onnx;
  std::string_view becomes;
};
[[nodiscard]] std::vector<ImportableOperator> importable_operators();

}  // namespace bitwright
