// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/safetensors_bytes.h"

#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

using namespace bitwright;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

/// Reading either fails with an error of a file, or gives tensors as large as their shapes say.
void read(std::span<const std::byte> file) {
  try {
    for (const auto& [name, tensor] : parse_safetensors(file, "fuzz")) {
      require(static_cast<std::int64_t>(tensor.values.size()) == tensor.shape.element_count(), "a tensor and its shape disagree");
    }
  } catch (const Error& error) {
    const bool is_of_a_file = error.code() == ErrorCode::corrupt_file || error.code() == ErrorCode::unsupported;
    if (!is_of_a_file) std::fprintf(stderr, "%s\n", error.what());
    require(is_of_a_file, "reading failed with another code");
    require(error.message().starts_with("fuzz: "), "a message does not name the file");
  }
}

/// The same content with the length of the header that ends at the first "}}", so that insertions reach the JSON parser.
std::vector<std::byte> with_fitting_header(std::span<const std::byte> file) {
  std::vector<std::byte> repaired(file.begin(), file.end());
  for (std::size_t end = 10; end <= repaired.size(); ++end) {
    if (repaired[end - 1] != std::byte{'}'} || repaired[end - 2] != std::byte{'}'}) continue;
    for (std::size_t i = 0; i < 8; ++i) repaired[i] = static_cast<std::byte>((end - 8) >> 8 * i & 0xFF);
    break;
  }
  return repaired;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* content, std::size_t size) {
  const auto file = std::as_bytes(std::span(content, size));
  read(file);
  read(with_fitting_header(file));
  return 0;
}
