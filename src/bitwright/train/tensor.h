// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// A float32 tensor with a copy of the values. Requires: values.size() == shape.element_count().
[[nodiscard]] at::Tensor to_tensor(const Shape& shape, std::span<const float> values);

/// The values, row-major, whatever the tensor's memory layout and device. Requires: float32.
[[nodiscard]] std::vector<float> tensor_values(const at::Tensor& tensor);

[[nodiscard]] Shape tensor_shape(const at::Tensor& tensor);

/// Memory of a contiguous float32 tensor. Requires: float32, contiguous, on the CPU.
[[nodiscard]] std::span<float> float_span(const at::Tensor& tensor);

/// Runs `body` and turns what LibTorch throws into `Error(internal)`: `where: LibTorch refused (…first line…); report it with the recipe.`
/// Out of memory becomes `Error(io)`.
void translate_torch_errors(const std::string& where, const std::function<void()>& body);

}  // namespace bitwright
