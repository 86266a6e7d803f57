// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/code_fields.h"

#include "bitwright/onnx/weight_graph.h"

namespace bitwright::onnx {
namespace {

constexpr std::int64_t kDigitsPerByte = 5;

TensorProto byte_column(std::string name, std::vector<std::byte> bytes) {
  TensorProto tensor;
  tensor.name = std::move(name);
  tensor.data_type = DataType::uint8;
  tensor.dims = {std::ssize(bytes), 1};
  tensor.has_raw = true;
  tensor.storage = std::move(bytes);
  return tensor;
}

bool is_byte_column(const TensorProto& tensor, std::size_t size) {
  return tensor.data_type == DataType::uint8 && tensor.has_raw && tensor.raw_view().size() == size &&
         tensor.dims == std::vector<std::int64_t>{static_cast<std::int64_t>(size), 1};
}

}  // namespace

std::vector<CodeField> code_fields(int bits) {
  std::vector<CodeField> fields;
  int shift = 0;
  for (int width = 16; width >= 1; width /= 2) {
    for (; bits - shift >= width; shift += width) fields.push_back({.width = width, .shift = shift});
  }
  return fields;
}

TensorProto pack_field(std::string name, std::span<const std::int64_t> codes, CodeField field) {
  const std::int64_t mask = (std::int64_t{1} << field.width) - 1;
  if (field.width >= 8) {
    std::vector<std::int64_t> parts;
    for (const std::int64_t code : codes) parts.push_back(code >> field.shift & mask);
    return integer_tensor(std::move(name), field.width == 8 ? DataType::uint8 : DataType::uint16, {std::ssize(codes)}, parts);
  }
  const auto per_byte = static_cast<std::size_t>(8 / field.width);
  std::vector<std::byte> bytes((codes.size() + per_byte - 1) / per_byte);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    bytes[i / per_byte] |=
        static_cast<std::byte>((codes[i] >> field.shift & mask) << (i % per_byte * static_cast<std::size_t>(field.width)));
  }
  return byte_column(std::move(name), std::move(bytes));
}

bool unpack_field(const TensorProto& tensor, CodeField field, std::span<std::int64_t> codes) {
  const std::span<const std::byte> bytes = tensor.raw_view();
  if (field.width >= 8) {
    const auto width = static_cast<std::size_t>(field.width / 8);
    if (tensor.data_type != (width == 1 ? DataType::uint8 : DataType::uint16) || !tensor.has_raw || bytes.size() != codes.size() * width)
      return false;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      std::int64_t part = 0;
      for (std::size_t k = 0; k < width; ++k) part |= std::to_integer<std::int64_t>(bytes[i * width + k]) << 8 * k;
      codes[i] |= part << field.shift;
    }
    return true;
  }
  const auto per_byte = static_cast<std::size_t>(8 / field.width);
  if (!is_byte_column(tensor, (codes.size() + per_byte - 1) / per_byte)) return false;
  const std::int64_t mask = (std::int64_t{1} << field.width) - 1;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto byte = std::to_integer<std::int64_t>(bytes[i / per_byte]);
    codes[i] |= (byte >> (i % per_byte * static_cast<std::size_t>(field.width)) & mask) << field.shift;
  }
  return true;
}

TensorProto pack_base3(std::string name, std::span<const std::int64_t> codes) {
  constexpr std::int64_t kPowers[] = {1, 3, 9, 27, 81};
  std::vector<std::byte> bytes((codes.size() + kDigitsPerByte - 1) / kDigitsPerByte);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    std::byte& byte = bytes[i / kDigitsPerByte];
    byte = static_cast<std::byte>(std::to_integer<std::int64_t>(byte) + codes[i] * kPowers[i % kDigitsPerByte]);
  }
  return byte_column(std::move(name), std::move(bytes));
}

bool unpack_base3_bytes(const TensorProto& tensor, std::span<std::int64_t> codes) {
  if (!is_byte_column(tensor, (codes.size() + kDigitsPerByte - 1) / kDigitsPerByte)) return false;
  constexpr std::int64_t kPowers[] = {1, 3, 9, 27, 81};
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = std::to_integer<std::int64_t>(tensor.raw_view()[i / kDigitsPerByte]) / kPowers[i % kDigitsPerByte] % 3;
  }
  return true;
}

}  // namespace bitwright::onnx
