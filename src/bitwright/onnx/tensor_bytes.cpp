// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/tensor_bytes.h"

#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/text_rules.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

namespace bitwright::onnx {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{4} << 20;

template <typename T, typename Result, typename Convert>
void convert_all(std::span<const std::byte> bytes, std::vector<Result>& values, Convert convert) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = convert(value);
  }
}

template <typename T>
void widen(std::span<const std::byte> bytes, std::vector<std::int64_t>& values) {
  convert_all<T>(bytes, values, [](T value) { return static_cast<std::int64_t>(value); });
}

std::optional<std::uint64_t> whole_number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

float half_to_float(std::uint16_t bits) noexcept {
  const int exponent = bits >> 10 & 0x1F;
  const int fraction = bits & 0x3FF;
  float value = 0.0F;
  if (exponent == 0x1F) {
    value = fraction == 0 ? HUGE_VALF : std::nanf("");
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    value = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

TensorBytes::TensorBytes(std::string source, std::optional<std::filesystem::path> folder,
                         std::function<void(std::span<const std::byte>)> release)
    : source_(std::move(source)), folder_(std::move(folder)), release_(std::move(release)) {}

std::string TensorBytes::where(const TensorProto& tensor) const { return fmt::format("{}: tensor \"{}\"", source_, escaped(tensor.name)); }

bool TensorBytes::is_float(DataType type) noexcept {
  return type == DataType::float32 || type == DataType::float16 || type == DataType::bfloat16 || type == DataType::float64;
}

void TensorBytes::release(std::span<const std::byte> bytes) const {
  if (release_) release_(bytes);
}

Shape TensorBytes::shape(const TensorProto& tensor) {
  if (tensor.dims.size() > limits::kMaxTensorRank) {
    fail(ErrorCode::invalid_input, "{} has too many axes (found {}, need at most {}); check the model.", where(tensor), tensor.dims.size(),
         limits::kMaxTensorRank);
  }
  std::int64_t count = 1;
  for (const std::int64_t dim : tensor.dims) {
    if (dim < 0 || dim > limits::kMaxExtent || (dim > 0 && count > (std::int64_t{1} << 40) / dim)) {
      fail(ErrorCode::invalid_input, "{} has an extent out of range (found {}, need 0 to {} and at most 2^40 elements); check the model.",
           where(tensor), Shape(tensor.dims).to_string(), limits::kMaxExtent);
    }
    count *= dim;
  }
  if (data_type_bits(tensor.data_type) == 0) {
    fail(ErrorCode::unsupported, "{} has a type that is not supported (found {}, need floats or integers); convert it.", where(tensor),
         data_type_name(tensor.data_type));
  }
  if (tensor.has_raw || tensor.is_external) {
    (void)raw(tensor, count);
    return Shape(tensor.dims);
  }
  const bool is_float_list = tensor.data_type == DataType::float32;
  const std::size_t found = is_float_list                           ? tensor.floats.size()
                            : tensor.data_type == DataType::float64 ? tensor.doubles.size()
                                                                    : tensor.ints.size();
  // 4-bit integers lie two to an entry of int32_data.
  const std::int64_t need = data_type_bits(tensor.data_type) == 4 ? raw_bytes(tensor.data_type, count) : count;
  if (static_cast<std::int64_t>(found) != need) {
    fail(ErrorCode::invalid_input, "{} has a number of values that its shape denies (found {}, need {} for {}); check the model.",
         where(tensor), found, need, Shape(tensor.dims).to_string());
  }
  return Shape(tensor.dims);
}

std::span<const std::byte> TensorBytes::raw(const TensorProto& tensor, std::int64_t element_count) {
  const std::span<const std::byte> bytes = tensor.is_external ? external(tensor) : tensor.raw_view();
  const std::int64_t need = raw_bytes(tensor.data_type, element_count);
  if (static_cast<std::int64_t>(bytes.size()) != need) {
    fail(ErrorCode::invalid_input,
         "{} has a number of bytes that its shape and type deny (found {}, need {} for {} of {}); check the model.", where(tensor),
         bytes.size(), need, data_type_name(tensor.data_type), Shape(tensor.dims).to_string());
  }
  return bytes;
}

std::span<const std::byte> TensorBytes::external(const TensorProto& tensor) {
  const auto entry = [&](const char* key) {
    const auto found = tensor.external.find(key);
    return found == tensor.external.end() ? std::string() : found->second;
  };
  const std::string location = entry("location");
  if (!folder_) {
    fail(ErrorCode::unsupported, "{} lies in another file (found location \"{}\"), and bytes have no folder; open the model by its path.",
         where(tensor), escaped(location));
  }
  namespace fs = std::filesystem;
  const fs::path relative = fs::path(location).lexically_normal();
  std::error_code error;
  const fs::path root = fs::weakly_canonical(*folder_, error);
  const fs::path target = fs::weakly_canonical(*folder_ / relative, error);
  const auto [root_end, inside] = std::mismatch(root.begin(), root.end(), target.begin(), target.end());
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() || error || root_end != root.end() ||
      inside == target.end()) {
    fail(ErrorCode::invalid_input, "{} lies outside the model's folder (found location \"{}\", need a path inside it); {}", where(tensor),
         escaped(location), "a model must not read other files.");
  }
  const std::string offset_text = entry("offset");
  const std::string length_text = entry("length");
  const auto offset = offset_text.empty() ? std::optional<std::uint64_t>(0) : whole_number(offset_text);
  const auto length = length_text.empty() ? std::optional<std::uint64_t>(UINT64_MAX) : whole_number(length_text);
  if (!offset || !length) {
    fail(ErrorCode::invalid_input, "{} has an external offset or length that is no number (found \"{}\" and \"{}\"); check the model.",
         where(tensor), escaped(offset_text), escaped(length_text));
  }
  std::unique_ptr<MappedFile>& file = files_[location];
  if (!file) file = std::make_unique<MappedFile>(target);
  const std::span<const std::byte> all = file->bytes();
  if (*offset > all.size() || (*length != UINT64_MAX && *length > all.size() - *offset)) {
    fail(ErrorCode::corrupt_file, "{} lies behind the end of its file (found offset {} and length \"{}\" in {} bytes of \"{}\"); {}",
         where(tensor), *offset, length_text, all.size(), escaped(location), "get the file again.");
  }
  const auto start = static_cast<std::size_t>(*offset);
  return all.subspan(start, *length == UINT64_MAX ? all.size() - start : static_cast<std::size_t>(*length));
}

std::vector<float> TensorBytes::floats(const TensorProto& tensor) {
  const std::int64_t count = shape(tensor).element_count();
  if (!is_float(tensor.data_type)) {
    fail(ErrorCode::unsupported, "{} has a type that can't be a weight (found {}, need FLOAT); convert it.", where(tensor),
         data_type_name(tensor.data_type));
  }
  std::vector<float> values;
  if (!tensor.has_raw && !tensor.is_external) {
    if (tensor.data_type == DataType::float32) return tensor.floats;
    values.reserve(static_cast<std::size_t>(count));
    if (tensor.data_type == DataType::float64) {
      for (const double value : tensor.doubles) values.push_back(static_cast<float>(value));
    } else {
      for (const std::int64_t value : tensor.ints) {
        const auto bits = static_cast<std::uint16_t>(value);
        values.push_back(tensor.data_type == DataType::float16 ? half_to_float(bits) : std::bit_cast<float>(std::uint32_t{bits} << 16));
      }
    }
    return values;
  }
  const std::span<const std::byte> bytes = raw(tensor, count);
  values.resize(static_cast<std::size_t>(count));
  switch (tensor.data_type) {
    case DataType::float16: convert_all<std::uint16_t>(bytes, values, half_to_float); break;
    case DataType::bfloat16:
      convert_all<std::uint16_t>(bytes, values, [](std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); });
      break;
    case DataType::float64: convert_all<double>(bytes, values, [](double value) { return static_cast<float>(value); }); break;
    default:
      // In pieces, so that file and values together never take much more memory than one of them.
      for (std::size_t at = 0; at < bytes.size(); at += kChunkBytes) {
        const std::span<const std::byte> chunk = bytes.subspan(at, std::min(kChunkBytes, bytes.size() - at));
        std::memcpy(reinterpret_cast<std::byte*>(values.data()) + at, chunk.data(), chunk.size());
        release(chunk);
      }
  }
  return values;
}

std::vector<std::int64_t> TensorBytes::integers(const TensorProto& tensor) {
  const auto count = static_cast<std::size_t>(shape(tensor).element_count());
  const DataType type = tensor.data_type;
  if (is_float(type)) {
    fail(ErrorCode::unsupported, "{} has a type that can't be an index or extent (found {}, need INT64); convert it.", where(tensor),
         data_type_name(type));
  }
  std::vector<std::int64_t> values(count);
  if (type == DataType::int4 || type == DataType::uint4) {
    const auto nibble = [&](std::size_t i) {
      const std::uint64_t pair = tensor.has_raw || tensor.is_external
                                     ? std::to_integer<std::uint64_t>(raw(tensor, std::ssize(values))[i / 2])
                                     : static_cast<std::uint64_t>(tensor.ints[i / 2]);
      const auto bits = static_cast<std::int64_t>(pair >> (i % 2 * 4) & 0xF);
      return type == DataType::int4 && bits >= 8 ? bits - 16 : bits;
    };
    for (std::size_t i = 0; i < count; ++i) values[i] = nibble(i);
    return values;
  }
  if (!tensor.has_raw && !tensor.is_external) {
    const int bits = data_type_bits(type);
    const bool is_signed = type == DataType::int8 || type == DataType::int16 || type == DataType::int32 || type == DataType::int64;
    const std::int64_t low = !is_signed ? 0 : bits == 64 ? INT64_MIN : -(std::int64_t{1} << (bits - 1));
    const std::int64_t high = bits == 64 ? INT64_MAX : (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
    for (const std::int64_t value : tensor.ints) {
      if (value >= low && value <= high) continue;
      fail(ErrorCode::invalid_input, "{} holds a value that its type can't (found {}, need {} to {} for {}); check the model.",
           where(tensor), value, low, high, data_type_name(type));
    }
    return tensor.ints;
  }
  const std::span<const std::byte> bytes = raw(tensor, std::ssize(values));
  switch (type) {
    case DataType::uint8:
    case DataType::boolean: widen<std::uint8_t>(bytes, values); break;
    case DataType::int8: widen<std::int8_t>(bytes, values); break;
    case DataType::uint16: widen<std::uint16_t>(bytes, values); break;
    case DataType::int16: widen<std::int16_t>(bytes, values); break;
    case DataType::uint32: widen<std::uint32_t>(bytes, values); break;
    case DataType::int32: widen<std::int32_t>(bytes, values); break;
    default: widen<std::int64_t>(bytes, values); break;
  }
  return values;
}

}  // namespace bitwright::onnx
