// SPDX-License-Identifier: Apache-2.0
#include "tests/interop/onnx_runtime.h"

#include "bitwright/core/file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = BITWRIGHT_SOURCE_DIR;

fs::path node_modules() {
  const char* const stated = std::getenv("BITWRIGHT_NODE_MODULES");
  return stated != nullptr ? fs::path(stated) : kSource / "build/interop/node_modules";
}

}  // namespace

bool has_onnx_runtime() { return fs::exists(node_modules() / "onnxruntime-node") && std::system("node --version >/dev/null 2>&1") == 0; }

std::vector<float> run_onnx_runtime(const fs::path& model, const fs::path& folder, const Shape& shape, std::span<const float> input) {
  write_file_atomic(folder / "input.f32", std::as_bytes(input));
  std::string extents;
  for (const std::int64_t dim : shape.dims()) extents += (extents.empty() ? "" : ",") + std::to_string(dim);
  const std::string command = "node '" + (kSource / "tests/interop/run_onnx.js").string() + "' '" + node_modules().string() + "' '" +
                              model.string() + "' '" + (folder / "input.f32").string() + "' '" + (folder / "output.f32").string() + "' " +
                              extents;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  const std::vector<std::byte> bytes = read_file(folder / "output.f32");
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace bitwright::test
