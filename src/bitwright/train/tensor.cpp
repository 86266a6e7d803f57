// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/tensor.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <torch/torch.h>

#include <algorithm>
#include <new>

namespace bitwright {

at::Tensor to_tensor(const Shape& shape, std::span<const float> values) {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(values.size()) == shape.element_count());
  at::Tensor tensor = at::empty(shape.dims(), at::kFloat);
  std::ranges::copy(values, tensor.data_ptr<float>());
  return tensor;
}

std::vector<float> tensor_values(const at::Tensor& tensor) {
  BITWRIGHT_ASSERT(tensor.scalar_type() == at::kFloat);
  const at::Tensor rows = tensor.detach().cpu().contiguous(at::MemoryFormat::Contiguous);
  const float* first = rows.data_ptr<float>();
  return {first, first + rows.numel()};
}

Shape tensor_shape(const at::Tensor& tensor) { return Shape(tensor.sizes().vec()); }

std::span<float> float_span(const at::Tensor& tensor) {
  BITWRIGHT_ASSERT(tensor.scalar_type() == at::kFloat && tensor.is_contiguous());
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

void translate_torch_errors(const std::string& where, const std::function<void()>& body) {
  try {
    body();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (text.find("not enough memory") != std::string::npos) {
      fail(ErrorCode::io, "{}: not enough memory; lower train.batch.", where);
    }
    fail(ErrorCode::internal, "{}: LibTorch refused ({}); report it with the recipe.", where, text.substr(0, text.find('\n')));
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::io, "{}: not enough memory; lower train.batch.", where);
  }
}

}  // namespace bitwright
