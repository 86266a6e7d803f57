// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/checkpoint.h"

#include "bitwright/core/bytes.h"
#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

namespace bitwright {
namespace {

constexpr std::string_view kMagic = "BWCKPT01";
constexpr std::size_t kFixedBytes = 8 + 8 + 8 + 8 + 8;
constexpr std::array<std::string_view, 2> kNames = {"ckpt.a", "ckpt.b"};

std::optional<Checkpoint> read_if_good(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  try {
    return read_checkpoint(path);
  } catch (const Error& damage) {
    if (damage.code() != ErrorCode::corrupt_file) throw;
    return std::nullopt;
  }
}

}  // namespace

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  const std::vector<std::byte> file = read_file(path);
  const std::string source = path.string();
  if (file.size() < kFixedBytes) {
    fail(ErrorCode::corrupt_file, "{}: the checkpoint is too short (found {} bytes, need {} or more); remove it.", source, file.size(),
         kFixedBytes);
  }
  const std::span<const std::byte> all(file);
  ByteReader sum(all.last(8), source);
  if (sum.u64() != xxh3_64(all.first(all.size() - 8))) {
    fail(ErrorCode::corrupt_file, "{}: the checkpoint is damaged (its checksum does not match); remove it.", source);
  }
  ByteReader reader(all.first(all.size() - 8), source);
  if (!std::ranges::equal(reader.bytes(kMagic.size()), as_bytes(kMagic))) {
    fail(ErrorCode::corrupt_file, "{}: not a checkpoint of this version (need {}); remove it.", source, kMagic);
  }
  Checkpoint checkpoint;
  checkpoint.path = path;
  checkpoint.sequence = reader.u64();
  checkpoint.recipe = reader.u64();
  const std::span<const std::byte> state = reader.bytes(reader.u64());
  checkpoint.state.assign(state.begin(), state.end());
  return checkpoint;
}

CheckpointFolder::CheckpointFolder(std::filesystem::path folder) : folder_(std::move(folder)) { make_folders(folder_); }

std::optional<Checkpoint> CheckpointFolder::newest() const {
  std::optional<Checkpoint> best;
  for (const std::string_view name : kNames) {
    std::optional<Checkpoint> found = read_if_good(folder_ / name);
    if (found && (!best || found->sequence > best->sequence)) best = std::move(found);
  }
  return best;
}

bool CheckpointFolder::has_files() const {
  std::error_code error;
  return std::ranges::any_of(kNames, [&](std::string_view name) { return std::filesystem::exists(folder_ / name, error); });
}

std::filesystem::path CheckpointFolder::write(std::uint64_t recipe, std::span<const std::byte> state) {
  const std::optional<Checkpoint> last = newest();
  const std::uint64_t sequence = last ? last->sequence + 1 : 0;
  const bool last_is_first_file = last && last->path == folder_ / kNames[0];
  const std::filesystem::path path = folder_ / kNames[last_is_first_file ? 1 : 0];
  ByteWriter writer;
  writer.bytes(as_bytes(kMagic));
  writer.u64(sequence);
  writer.u64(recipe);
  writer.u64(state.size());
  writer.bytes(state);
  writer.u64(xxh3_64(writer.view()));
  write_file_atomic(path, writer.view());
  return path;
}

}  // namespace bitwright
