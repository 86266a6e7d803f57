// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"

#include <filesystem>
#include <span>
#include <vector>

namespace bitwright::test {

/// Whether ONNX Runtime can be asked: `node`, and onnxruntime-node in build/interop or in $BITWRIGHT_NODE_MODULES.
[[nodiscard]] bool has_onnx_runtime();

/// What ONNX Runtime computes from a file for images of a shape. `folder`: for its input and output. Fails the test when it does not run.
[[nodiscard]] std::vector<float> run_onnx_runtime(const std::filesystem::path& model, const std::filesystem::path& folder,
                                                  const Shape& shape, std::span<const float> input);

}  // namespace bitwright::test
