// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/model/packed_file.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using namespace bitwright;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

/// Reading either fails with an error of a file, or gives a model whose one file is the input.
void read(std::span<const std::byte> file) {
  try {
    const Model model = unpack_model(file, "fuzz.bw");
    require(std::ranges::equal(pack_model(model), file), "a file was accepted that the writer would not write");
    verify_grid(model);
  } catch (const Error& error) {
    const bool is_of_a_file = error.code() == ErrorCode::corrupt_file || error.code() == ErrorCode::unsupported;
    if (!is_of_a_file) std::fprintf(stderr, "%s\n", error.what());
    require(is_of_a_file, "reading failed with another code");
    require(error.message().starts_with("fuzz.bw"), "a message does not name the file");
  }
}

/// The same content with right length and checksums: damage that only the parsers behind them can find. Layout: docs/file-format.md.
std::vector<std::byte> with_right_checksums(std::span<const std::byte> file) {
  constexpr std::size_t kHeaderBytes = 132;
  constexpr std::size_t kSections = 5;
  std::vector<std::byte> repaired(file.begin(), file.end());
  if (repaired.size() < kHeaderBytes) return repaired;
  const auto put = [&repaired](std::size_t at, std::uint64_t value) {
    for (std::size_t i = 0; i < 8; ++i) repaired[at + i] = static_cast<std::byte>(value >> 8 * i & 0xFF);
  };
  put(16, repaired.size());
  std::size_t position = kHeaderBytes;
  for (std::size_t i = 0; i < kSections; ++i) {
    const std::size_t entry = 24 + 20 * i;
    std::uint64_t length = 0;
    for (std::size_t k = 8; k-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(repaired[entry + 4 + k]);
    const std::uint64_t left = repaired.size() - position;
    if (i + 1 == kSections || length > left) length = left;
    put(entry + 4, length);
    put(entry + 12, xxh3_64(std::span(repaired).subspan(position, static_cast<std::size_t>(length))));
    position += static_cast<std::size_t>(length);
  }
  put(124, xxh3_64(std::span(repaired).first(124)));
  return repaired;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* content, std::size_t size) {
  const auto file = std::as_bytes(std::span(content, size));
  read(file);
  read(with_right_checksums(file));
  return 0;
}
