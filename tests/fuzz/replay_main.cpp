// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer: replays every file of a corpus folder and deterministic mutations of it. A failure is a crash.
#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* content, std::size_t size);

namespace {

using bitwright::Rng;
using Bytes = std::vector<std::uint8_t>;

constexpr int kMutationsPerFile = 600;

/// Between one and four edits of the kinds that parsers fear.
Bytes mutate(const Bytes& original, const Rng& rng) {
  Bytes bytes = original;
  const std::uint64_t edits = 1 + rng.below(0, 4);
  for (std::uint64_t edit = 0; edit < edits; ++edit) {
    const Rng draw = rng.at_step(edit + 1);
    const std::size_t at = bytes.empty() ? 0 : draw.below(0, bytes.size());
    const auto position = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto value = static_cast<std::uint8_t>(draw.below(1, 256));
    switch (bytes.empty() ? 3 : draw.below(2, 6)) {
      case 0: *position = static_cast<std::uint8_t>(*position ^ 1U << draw.below(3, 8)); break;
      case 1: *position = value; break;
      case 2: bytes.erase(position, position + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size() - at, 1 + value % 8))); break;
      case 3: bytes.insert(position, 1 + value % 8, value); break;
      case 4: bytes.resize(at); break;
      default: std::fill_n(position, std::min<std::size_t>(bytes.size() - at, 1 + value % 8), 0xFF); break;  // huge lengths
    }
  }
  return bytes;
}

void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__)
  // Nothing here is larger than a few kilobytes, so an allocation from an unchecked length ends the run.
  const rlimit limit{.rlim_cur = 512U << 20, .rlim_max = 512U << 20};
  setrlimit(RLIMIT_AS, &limit);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  limit_memory();
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::ranges::sort(files);
  if (files.empty()) {
    std::fprintf(stderr, "%s: the corpus is empty\n", argv[1]);
    return 1;
  }
  int runs = 0;
  for (const std::filesystem::path& file : files) {
    Bytes original;
    for (const std::byte byte : bitwright::read_file(file)) original.push_back(std::to_integer<std::uint8_t>(byte));
    LLVMFuzzerTestOneInput(original.data(), original.size());
    const Rng rng = Rng(1, "fuzz").split(file.filename().string());
    for (int i = 0; i < kMutationsPerFile; ++i) {
      const Bytes mutated = mutate(original, rng.split(std::to_string(i)));
      LLVMFuzzerTestOneInput(mutated.data(), mutated.size());
      ++runs;
    }
  }
  std::printf("%zu files, %d mutations\n", files.size(), runs);
  return 0;
}
