// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/huge_block.h"
#include "bitwright/model/model.h"
#include "bitwright/model/packed/wire.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

// Contents of the packed file's sections; docs/file-format.md. Each pair is the inverse of the other. Writers throw `Error(invalid_input)`
// above a limit; readers throw `Error(corrupt_file)`, or `Error(unsupported)` for an operator or number format that is not known.

/// Every text that the graph section and the weight section refer to.
[[nodiscard]] StringTable collect_strings(const Model& model);

void put_graph(ByteWriter& writer, const Graph& graph, const StringTable& strings);
[[nodiscard]] Graph get_graph(ByteReader& reader, const StringTable& strings);

void put_metadata(ByteWriter& writer, const Model& model);
/// Fills input transform, class names and notes.
void get_metadata(ByteReader& reader, Model& model);

/// One entry of the weight section.
struct WeightEntry {
  std::string name;
  std::uint8_t kind = 0;  ///< 0 float32, else the number format's tag
  std::string spec;       ///< number format, empty for float32
  Shape shape;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t code_bytes = 0;
};

[[nodiscard]] WeightEntry weight_entry(const std::string& name, const Weight& weight);
void put_weight_entry(ByteWriter& writer, const WeightEntry& entry, const StringTable& strings);

void put_weights(ByteWriter& writer, const Model& model, const StringTable& strings);
[[nodiscard]] std::vector<WeightEntry> get_weights(ByteReader& reader, const StringTable& strings);

void put_tensor(ByteWriter& writer, const Weight& weight);

/// Where the packed codes of a file's tensors are kept once the file is closed: side by side in huge pages, when they are many.
class KeptCodes {
 public:
  /// For codes of `bytes` bytes in all. Requires: no more than the file has.
  explicit KeptCodes(std::uint64_t bytes);
  /// A copy of one tensor's codes, and who keeps it; without an owner `codes` itself, for the tensor to copy.
  struct Kept {
    std::span<const std::byte> codes;
    std::shared_ptr<const void> owner;
  };
  [[nodiscard]] Kept keep(std::span<const std::byte> codes);

 private:
  std::shared_ptr<const HugeBlock> block_;  // null for few
  std::size_t used_ = 0;
};

/// Reads what `entry` announces.
[[nodiscard]] Weight get_tensor(ByteReader& reader, const WeightEntry& entry, KeptCodes& kept_codes);

}  // namespace bitwright
