// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

namespace bitwright {

/// A training state read back from a checkpoint file.
struct Checkpoint {
  std::filesystem::path path;
  std::uint64_t sequence = 0;    ///< grows by one with every checkpoint of a run
  std::uint64_t recipe = 0;      ///< `recipe_fingerprint`
  std::vector<std::byte> state;  ///< what a `StateWriter` wrote
};

/// The two checkpoint files of a run, `ckpt.a` and `ckpt.b`, written in turns: one good file is there at every moment.
///
/// File: magic `BWCKPT01`, u64 sequence, u64 recipe, u64 size of the state, the state, u64 XXH3-64 of all bytes before; little-endian.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path folder);

  /// Replaces the older file, atomically. Returns its path. Throws: `Error(io)`.
  std::filesystem::path write(std::uint64_t recipe, std::span<const std::byte> state);

  /// The newest good checkpoint; nothing when there is none. Damaged files are passed over.
  [[nodiscard]] std::optional<Checkpoint> newest() const;

  /// Whether there is any checkpoint file, good or damaged.
  [[nodiscard]] bool has_files() const;

 private:
  std::filesystem::path folder_;
};

/// Parses one checkpoint file. Throws: `Error(corrupt_file)`, `Error(io)`.
[[nodiscard]] Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace bitwright
