// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/state.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>

namespace bitwright {
namespace {

enum Kind : std::uint8_t { kInteger = 1, kReal, kText, kBytes, kFloatTensor, kIntegerTensor };

constexpr std::uint32_t kMaxName = 4096;
constexpr std::uint32_t kMaxText = 1U << 20;

}  // namespace

void StateWriter::begin(std::string_view name, std::uint8_t kind) {
  writer_.text(name);
  writer_.u8(kind);
}

void StateWriter::integer(std::string_view name, std::int64_t value) {
  begin(name, kInteger);
  writer_.i64(value);
}

void StateWriter::real(std::string_view name, double value) {
  begin(name, kReal);
  writer_.f64(value);
}

void StateWriter::text(std::string_view name, std::string_view value) {
  begin(name, kText);
  writer_.text(value);
}

void StateWriter::bytes(std::string_view name, std::span<const std::uint8_t> value) {
  begin(name, kBytes);
  writer_.u64(value.size());
  writer_.bytes(std::as_bytes(value));
}

void StateWriter::tensor(std::string_view name, const at::Tensor& value) {
  const bool is_float = value.scalar_type() == at::kFloat;
  BITWRIGHT_ASSERT(is_float || value.scalar_type() == at::kLong);
  begin(name, is_float ? kFloatTensor : kIntegerTensor);
  const at::Tensor rows = value.detach().cpu().contiguous(at::MemoryFormat::Contiguous);
  writer_.u32(static_cast<std::uint32_t>(rows.dim()));
  for (const std::int64_t extent : rows.sizes()) writer_.i64(extent);
  writer_.bytes({static_cast<const std::byte*>(rows.data_ptr()), rows.nbytes()});
}

void StateReader::begin(std::string_view name, std::uint8_t kind) {
  const std::string found = reader_.text(kMaxName);
  const std::uint8_t found_kind = reader_.u8();
  if (found != name || found_kind != kind) {
    fail(ErrorCode::corrupt_file, "{}: holds another state than this recipe makes (found \"{}\", need \"{}\"); start the run anew.",
         reader_.source(), found, name);
  }
}

std::int64_t StateReader::integer(std::string_view name) {
  begin(name, kInteger);
  return reader_.i64();
}

double StateReader::real(std::string_view name) {
  begin(name, kReal);
  return reader_.f64();
}

std::string StateReader::text(std::string_view name) {
  begin(name, kText);
  return reader_.text(kMaxText);
}

std::vector<std::uint8_t> StateReader::bytes(std::string_view name) {
  begin(name, kBytes);
  const std::span<const std::byte> found = reader_.bytes(reader_.u64());
  std::vector<std::uint8_t> value(found.size());
  std::ranges::transform(found, value.begin(), [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return value;
}

at::Tensor StateReader::tensor(std::string_view name) {
  const std::string found = reader_.text(kMaxName);
  const std::uint8_t kind = reader_.u8();
  if (found != name || (kind != kFloatTensor && kind != kIntegerTensor)) {
    fail(ErrorCode::corrupt_file, "{}: holds another state than this recipe makes (found \"{}\", need \"{}\"); start the run anew.",
         reader_.source(), found, name);
  }
  std::vector<std::int64_t> dims(std::min<std::uint32_t>(reader_.u32(), 16));
  for (std::int64_t& extent : dims) extent = reader_.i64();
  const std::int64_t count = Shape(dims).element_count();
  const std::uint64_t width = kind == kFloatTensor ? sizeof(float) : sizeof(std::int64_t);
  // The bytes are there before memory is taken for them.
  const std::span<const std::byte> content = reader_.bytes(static_cast<std::uint64_t>(count) * width);
  at::Tensor value = at::empty(dims, kind == kFloatTensor ? at::kFloat : at::kLong);
  if (!content.empty()) std::memcpy(value.data_ptr(), content.data(), content.size());
  return value;
}

void StateReader::tensor_into(std::string_view name, const at::Tensor& dst) {
  const at::Tensor value = tensor(name);
  if (value.sizes() != dst.sizes() || value.scalar_type() != dst.scalar_type()) {
    fail(ErrorCode::corrupt_file, "{}: \"{}\" has another shape (found {}, need {}); start the run anew.", reader_.source(), name,
         tensor_shape(value).to_string(), tensor_shape(dst).to_string());
  }
  const at::NoGradGuard no_grad;
  dst.detach().copy_(value);
}

void StateReader::finish() const {
  if (reader_.remaining() != 0) {
    fail(ErrorCode::corrupt_file, "{}: holds more than this recipe makes (found {} bytes left, need 0); start the run anew.",
         reader_.source(), reader_.remaining());
  }
}

}  // namespace bitwright
