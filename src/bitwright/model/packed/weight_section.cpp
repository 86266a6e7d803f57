// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/packed/sections.h"

#include <algorithm>
#include <array>

namespace bitwright {
namespace {

constexpr std::uint8_t kFloat32 = 0;
constexpr std::uint64_t kMaxSpecBytes = 64;

constexpr std::array kFormatTags = {
#define BITWRIGHT_FORMAT(Type, name, tag) std::uint8_t{tag},
#include "bitwright/formats/formats.inc"
#undef BITWRIGHT_FORMAT
};
static_assert(std::ranges::find(kFormatTags, kFloat32) == kFormatTags.end(), "0 is float32 in the packed file");

// The length in bytes of a tensor can't be checked against its section before its format is known, so it is only bounded here.
constexpr std::uint64_t kMaxTensorBytes = std::uint64_t{1} << 62;

NumberFormat entry_format(const ByteReader& reader, const WeightEntry& entry) {
  if (std::ranges::find(kFormatTags, entry.kind) == kFormatTags.end()) {
    fail(ErrorCode::unsupported, "{}: weight \"{}\" has a number format that is not known (found tag {}, spec \"{}\"); update bitwright.",
         reader.source(), entry.name, entry.kind, entry.spec);
  }
  try {
    const NumberFormat format = NumberFormat::parse(entry.spec);
    if (format.tag() == entry.kind && format.spec() == entry.spec) return format;
  } catch (const Error&) {
    // Falls through: whatever is wrong with the text, the file's writer can't have written it.
  }
  fail(ErrorCode::corrupt_file, "{}: weight \"{}\" has a bad number format (found tag {}, spec \"{}\"); the file is damaged, get it again.",
       reader.source(), entry.name, entry.kind, entry.spec);
}

FloatTensor get_floats(ByteReader& reader, const WeightEntry& entry) {
  const auto elements = static_cast<std::uint64_t>(entry.shape.element_count());
  if (entry.parameter_bytes != 0 || entry.code_bytes != 4 * elements) {
    fail(ErrorCode::corrupt_file,
         "{}: weight \"{}\" has a wrong length (found {} + {} bytes, need 0 + {}); the file is damaged, get it again.", reader.source(),
         entry.name, entry.parameter_bytes, entry.code_bytes, 4 * elements);
  }
  ByteReader values(reader.bytes(entry.code_bytes), reader.source());
  FloatTensor tensor{.shape = entry.shape, .values = std::vector<float>(static_cast<std::size_t>(elements))};
  for (float& value : tensor.values) value = values.f32();
  return tensor;
}

}  // namespace

WeightEntry weight_entry(const std::string& name, const Weight& weight) {
  WeightEntry entry{.name = name, .kind = kFloat32, .spec = {}, .shape = weight_shape(weight), .parameter_bytes = 0, .code_bytes = 0};
  if (const auto* tensor = std::get_if<QuantizedTensor>(&weight)) {
    entry.kind = tensor->format().tag();
    entry.spec = tensor->format().spec();
    entry.parameter_bytes = static_cast<std::uint64_t>(tensor->parameter_size_bits()) / 8;
    entry.code_bytes = static_cast<std::uint64_t>(tensor->code_size_bits()) / 8;
  } else {
    entry.code_bytes = 4 * static_cast<std::uint64_t>(entry.shape.element_count());
  }
  return entry;
}

void put_weight_entry(ByteWriter& writer, const WeightEntry& entry, const StringTable& strings) {
  strings.put_reference(writer, entry.name);
  writer.u8(entry.kind);
  if (entry.kind != kFloat32) put_text(writer, entry.spec, kMaxSpecBytes, "bytes of a number format's text");
  put_count(writer, entry.shape.rank(), limits::kMaxTensorRank, "axes of a weight");
  for (const std::int64_t dim : entry.shape.dims())
    put_count(writer, static_cast<std::uint64_t>(dim), limits::kMaxExtent, "extent of a weight");
  if (entry.kind != kFloat32) put_varint(writer, entry.parameter_bytes);
  put_varint(writer, entry.code_bytes);
}

void put_weights(ByteWriter& writer, const Model& model, const StringTable& strings) {
  put_count(writer, model.weights.size(), limits::kMaxWeights, "weights");
  for (const auto& [name, weight] : model.weights) put_weight_entry(writer, weight_entry(name, weight), strings);
}

std::vector<WeightEntry> get_weights(ByteReader& reader, const StringTable& strings) {
  const std::uint64_t count = get_count(reader, limits::kMaxWeights, "weights");
  std::vector<WeightEntry> entries;
  for (std::uint64_t i = 0; i < count; ++i) {
    WeightEntry entry;
    entry.name = strings.get_reference(reader);
    entry.kind = reader.u8();
    if (entry.kind != kFloat32) entry.spec = get_text(reader, kMaxSpecBytes, "bytes of a number format's text");
    const std::uint64_t rank = get_count(reader, limits::kMaxTensorRank, "axes of a weight");
    std::vector<std::int64_t> dims;
    for (std::uint64_t axis = 0; axis < rank; ++axis) {
      dims.push_back(static_cast<std::int64_t>(get_count(reader, limits::kMaxExtent, "extent of a weight")));
    }
    entry.shape = Shape(std::move(dims));
    if (entry.kind != kFloat32) entry.parameter_bytes = get_count(reader, kMaxTensorBytes, "bytes of a weight's parameters");
    entry.code_bytes = get_count(reader, kMaxTensorBytes, "bytes of a weight");
    entries.push_back(std::move(entry));
  }
  return entries;
}

void put_tensor(ByteWriter& writer, const Weight& weight) {
  if (const auto* tensor = std::get_if<QuantizedTensor>(&weight)) {
    writer.bytes(tensor->packed_parameters());
    writer.bytes(tensor->packed_codes());
  } else {
    for (const float value : std::get<FloatTensor>(weight).values) writer.f32(value);
  }
}

KeptCodes::KeptCodes(std::uint64_t bytes) {
  if (bytes >= static_cast<std::uint64_t>(HugeBlock::kPageBytes))
    block_ = std::make_shared<const HugeBlock>(static_cast<std::int64_t>(bytes));
}

KeptCodes::Kept KeptCodes::keep(std::span<const std::byte> codes) {
  if (block_ == nullptr || codes.size() > static_cast<std::size_t>(block_->bytes()) - used_) return {.codes = codes, .owner = nullptr};
  std::byte* const begin = block_->begin() + used_;
  std::ranges::copy(codes, begin);
  used_ += codes.size();
  return {.codes = {begin, codes.size()}, .owner = block_};
}

Weight get_tensor(ByteReader& reader, const WeightEntry& entry, KeptCodes& kept_codes) {
  if (entry.kind == kFloat32) return get_floats(reader, entry);
  const NumberFormat format = entry_format(reader, entry);
  const auto parameters = reader.bytes(entry.parameter_bytes);
  const KeptCodes::Kept kept = kept_codes.keep(reader.bytes(entry.code_bytes));
  return QuantizedTensor::unpack(format, entry.shape, kept.codes, parameters, reader.source() + ", weight \"" + entry.name + "\"",
                                 kept.owner);
}

}  // namespace bitwright
