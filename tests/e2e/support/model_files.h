// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bitwright::test {

/// A small quantized network for 1x28x28 images: conv 4 of 5x5, pool, relu, fc 10; both weights `pow2:5`.
[[nodiscard]] Model small_model();

/// Bytes of `small_model` as a packed file.
[[nodiscard]] std::string small_packed_file();

/// The packed file with one text in its names section replaced by another of the same length, all checksums made right again.
[[nodiscard]] std::string with_name_replaced(std::string packed_file, const std::string& from, const std::string& to);

using Tensors = std::map<std::string, FloatTensor>;

/// Writes a well-formed safetensors file of whatever the tensors hold.
void write_safetensors_unchecked(const std::filesystem::path& path, const Tensors& tensors);

/// Writes the IDX files of an MNIST folder: sizes of headers and content as asked.
struct IdxFile {
  std::uint32_t magic;
  std::vector<std::uint32_t> extents;
  std::size_t content_bytes;
};
void write_idx(const std::filesystem::path& path, const IdxFile& file);

}  // namespace bitwright::test
