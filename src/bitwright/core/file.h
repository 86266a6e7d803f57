// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Whole content of a file.
/// Throws: `Error(io)` when it can't be opened or read; the message says why and how to fix.
[[nodiscard]] std::vector<std::byte> read_file(const std::filesystem::path& path);
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path);

/// Writes a file so that a reader sees either the old content or all of the new: temporary file beside it, fsync, rename, fsync of the
/// folder. On failure the temporary file is removed and the old content stays.
/// Throws: `Error(io)`, e.g. `out.bw: cannot write the file (No space left on device); free some space or choose another folder.`
void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> content);
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

/// Appends one line to a text file in a single write, creating the file when missing.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Creates a folder and its parents. Throws: `Error(io)`.
void make_folders(const std::filesystem::path& path);

/// Read-only memory map of a whole file; empty files map to an empty span.
class MappedFile {
 public:
  /// Throws: `Error(io)`.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// Says that a part of the map was read and is not needed now: its whole pages leave this process' memory, and come back from the file
  /// when they are read again. Requires: `part` lies in `bytes()`.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace bitwright
