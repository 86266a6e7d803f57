// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/weight_graph.h"

#include "bitwright/core/error.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/onnx/code_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright::onnx {
namespace {

/// Appends the nodes of one weight; every value between is named `WEIGHT/…`.
class Builder {
 public:
  Builder(const std::string& name, const QuantizedTensor& tensor) : name_(name), tensor_(tensor) { graph_.values = tensor.dequantize(); }

  [[nodiscard]] std::string inside(std::string_view what) const { return name_ + "/" + std::string(what); }

  std::string node(std::string_view op, std::vector<std::string> inputs, std::vector<AttributeProto> attributes = {}) {
    NodeProto made;
    made.op_type = op;
    made.inputs = std::move(inputs);
    made.outputs = {inside(std::to_string(graph_.nodes.size()))};
    made.attributes = std::move(attributes);
    graph_.nodes.push_back(std::move(made));
    return graph_.nodes.back().outputs.front();
  }

  std::string constant(TensorProto tensor) {
    graph_.initializers.push_back(std::move(tensor));
    return graph_.initializers.back().name;
  }
  std::string floats(std::string_view what, std::vector<std::int64_t> dims, std::span<const float> values) {
    return constant(float_tensor(inside(what), std::move(dims), values));
  }
  std::string shared(std::string constant_name) { return *graph_.shared.insert(std::move(constant_name)).first; }

  /// A flat or matrix value of at least `count` elements as the weight's shape.
  void finish_flat(const std::string& value, std::int64_t count) {
    std::string flat = value;
    if (const std::int64_t need = tensor_.shape().element_count(); count != need) {
      flat = node("Reshape", {flat, shared("bitwright/flat")});
      const std::vector<std::int64_t> end = {need};
      flat = node("Slice", {flat, shared("bitwright/zero"), constant(int64_tensor(inside("count"), {1}, end))});
    }
    const std::vector<std::int64_t>& dims = tensor_.shape().dims();
    (void)node("Reshape", {flat, constant(int64_tensor(inside("shape"), {std::ssize(dims)}, dims))});
  }

  /// Names the last value as the weight.
  WeightGraph finish(std::string note) && {
    graph_.nodes.back().outputs.front() = name_;
    graph_.note = std::move(note);
    return std::move(graph_);
  }

  WeightGraph& graph() noexcept { return graph_; }

 private:
  std::string name_;
  const QuantizedTensor& tensor_;
  WeightGraph graph_;
};

/// Codes as int32, flat or with trailing axes; returns the value's name and how many elements it has (some at the end may be padding).
struct UnpackedCodes {
  std::string value;
  std::int64_t count = 0;
};

UnpackedCodes unpack_base3(Builder& builder, std::span<const std::int64_t> codes) {
  const std::string packed = builder.constant(pack_base3(builder.inside("codes"), codes));
  const std::string wide = builder.node("Cast", {packed}, {int_attribute("to", static_cast<std::int64_t>(DataType::int32))});
  const std::string shifted = builder.node("Div", {wide, builder.shared("bitwright/powers_of_3")});
  const std::string digit = builder.node("Mod", {shifted, builder.shared("bitwright/three")});
  return {digit, (std::ssize(codes) + 4) / 5 * 5};
}

UnpackedCodes unpack_bits(Builder& builder, std::span<const std::int64_t> codes, int bits) {
  const std::vector<CodeField> fields = code_fields(bits);
  UnpackedCodes sum;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const CodeField field = fields[i];
    const std::string suffix = fields.size() == 1 ? "codes" : "codes." + std::to_string(i);
    std::string value = builder.constant(pack_field(builder.inside(suffix), codes, field));
    std::int64_t count = std::ssize(codes);
    if (field.width < 8) {
      value = builder.node("BitShift", {value, builder.shared(fmt::format("bitwright/shifts_{}", field.width))},
                           {text_attribute("direction", "RIGHT")});
      value = builder.node("Mod", {value, builder.shared(fmt::format("bitwright/modulus_{}", field.width))});
      const std::int64_t per_byte = 8 / field.width;
      count = (count + per_byte - 1) / per_byte * per_byte;
    }
    value = builder.node("Cast", {value}, {int_attribute("to", static_cast<std::int64_t>(DataType::int32))});
    if (fields.size() == 1) return {value, count};
    // Fields are added, so each must have exactly the codes' number of elements.
    if (field.width < 8) value = builder.node("Reshape", {value, builder.shared("bitwright/flat")});
    if (count != std::ssize(codes)) {
      const std::vector<std::int64_t> end = {std::ssize(codes)};
      value = builder.node("Slice", {value, builder.shared("bitwright/zero"),
                                     builder.constant(int64_tensor(builder.inside("count." + std::to_string(i)), {1}, end))});
    }
    if (field.shift > 0) value = builder.node("Mul", {value, builder.shared(fmt::format("bitwright/weight_{}", field.shift))});
    sum = {i == 0 ? value : builder.node("Add", {sum.value, value}), std::ssize(codes)};
  }
  return sum;
}

std::vector<std::int64_t> wide_codes(const QuantizedTensor& tensor, std::int64_t offset = 0) {
  std::vector<std::int64_t> codes;
  for (const std::int32_t code : tensor.codes()) codes.push_back(code + offset);
  return codes;
}

/// Scale and minimum of every bucket on values that lie in rows of a bucket each.
struct BucketRows {
  std::int64_t rows = 1;
  std::int64_t columns = 0;
};

BucketRows bucket_rows(const QuantizedTensor& tensor, std::optional<std::int64_t> bucket_size) {
  const std::int64_t count = tensor.shape().element_count();
  const std::int64_t rows = bucket_count(count, bucket_size);
  return {.rows = rows, .columns = rows <= 1 ? count : *bucket_size};
}

std::vector<float> bucket_scales(std::span<const Bucket> buckets) {
  std::vector<float> values;
  for (const Bucket& bucket : buckets) values.push_back(bucket.scale);
  return values;
}

std::vector<float> bucket_minima(std::span<const Bucket> buckets) {
  std::vector<float> values;
  for (const Bucket& bucket : buckets) values.push_back(bucket.min);
  return values;
}

/// Levels of `uniform` and `codebook` in rows of a bucket, scaled and shifted as the formats decode: two roundings.
void scale_buckets(Builder& builder, const std::string& levels, const BucketRows& rows, std::span<const Bucket> buckets) {
  const std::vector<std::int64_t> dims = rows.rows == 1 ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{rows.rows, 1};
  std::string value = levels;
  if (rows.rows > 1) {
    const std::vector<std::int64_t> matrix = {rows.rows, rows.columns};
    value = builder.node("Reshape", {value, builder.constant(int64_tensor(builder.inside("rows"), {2}, matrix))});
  }
  value = builder.node("Mul", {value, builder.floats("scale", dims, bucket_scales(buckets))});
  value = builder.node("Add", {value, builder.floats("min", dims, bucket_minima(buckets))});
}

/// Codes of a bucketed format, filled up to whole rows, unpacked to exactly that many.
std::string bucketed_codes(Builder& builder, const QuantizedTensor& tensor, const BucketRows& rows, std::int64_t& count) {
  std::vector<std::int64_t> codes = wide_codes(tensor);
  codes.resize(static_cast<std::size_t>(rows.rows * rows.columns), 0);
  UnpackedCodes unpacked = unpack_bits(builder, codes, tensor.format().code_bits());
  count = unpacked.count;
  if (rows.rows > 1 && count != std::ssize(codes)) {
    std::string flat = builder.node("Reshape", {unpacked.value, builder.shared("bitwright/flat")});
    const std::vector<std::int64_t> end = {std::ssize(codes)};
    unpacked.value = builder.node(
        "Slice", {flat, builder.shared("bitwright/zero"), builder.constant(int64_tensor(builder.inside("codes.count"), {1}, end))});
    count = std::ssize(codes);
  }
  return unpacked.value;
}

WeightGraph build_codebook(Builder builder, const QuantizedTensor& tensor, const FixedPoint& format, const FixedPoint::Parameters&) {
  const int bits = format.word_bits();
  const bool is_machine_type = bits == 8 || bits == 16 || bits == 32;
  std::string codes;
  std::int64_t count = tensor.shape().element_count();
  if (is_machine_type) {
    const DataType type = bits == 8 ? DataType::int8 : bits == 16 ? DataType::int16 : DataType::int32;
    codes = builder.constant(integer_tensor(builder.inside("codes"), type, {count}, wide_codes(tensor)));
  } else {
    const UnpackedCodes unpacked = unpack_bits(builder, wide_codes(tensor, std::int64_t{1} << (bits - 1)), bits);
    count = unpacked.count;
    const std::vector<std::int64_t> half = {std::int64_t{1} << (bits - 1)};
    codes = builder.node("Sub", {unpacked.value, builder.constant(integer_tensor(builder.inside("half"), DataType::int32, {}, half))});
  }
  const std::string value = builder.node("Cast", {codes}, {int_attribute("to", static_cast<std::int64_t>(DataType::float32))});
  const auto step = static_cast<float>(format.step());
  builder.finish_flat(builder.node("Mul", {value, builder.floats("scale", {}, std::span(&step, 1))}), count);
  return std::move(builder).finish("codebook " + format.spec());
}

/// Formats whose codes number few values: one table.
WeightGraph build_table(Builder builder, const QuantizedTensor& tensor, std::span<const float> table, const std::string& note) {
  const bool is_base3 = tensor.format().code_layout() == CodeLayout::base3;
  const UnpackedCodes unpacked =
      is_base3 ? unpack_base3(builder, wide_codes(tensor)) : unpack_bits(builder, wide_codes(tensor), tensor.format().code_bits());
  const std::string value = builder.node("Gather", {builder.floats("points", {std::ssize(table)}, table), unpacked.value});
  builder.finish_flat(value, unpacked.count);
  return std::move(builder).finish("codebook " + tensor.format().spec() + note);
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

WeightGraph build_codebook(Builder builder, const QuantizedTensor& tensor, const PowerOfTwo& format,
                           const PowerOfTwo::Parameters& parameters) {
  const CodeRange range = format.code_range(parameters);
  std::vector<std::int32_t> codes;
  for (std::int64_t code = range.first; code <= range.last; ++code) codes.push_back(static_cast<std::int32_t>(code));
  std::vector<float> table(codes.size());
  format.decode(parameters, codes, table);
  return build_table(std::move(builder), tensor, table, " " + hex(tensor.packed_parameters()));
}

WeightGraph build_codebook(Builder builder, const QuantizedTensor& tensor, const Ternary&, const Ternary::Parameters& parameters) {
  const std::vector<float> table = {0.0F, parameters.positive_scale, -parameters.negative_scale};
  return build_table(std::move(builder), tensor, table, " " + hex(tensor.packed_parameters()));
}

WeightGraph build_codebook(Builder builder, const QuantizedTensor& tensor, const Uniform& format, const Uniform::Parameters& parameters) {
  const BucketRows rows = bucket_rows(tensor, format.bucket_size);
  std::int64_t count = 0;
  const std::string codes = bucketed_codes(builder, tensor, rows, count);
  const std::string real = builder.node("Cast", {codes}, {int_attribute("to", static_cast<std::int64_t>(DataType::float32))});
  const auto last = static_cast<float>(format.code_count() - 1);
  const std::string level = builder.node("Div", {real, builder.floats("last", {}, std::span(&last, 1))});
  scale_buckets(builder, level, rows, parameters.buckets);
  builder.finish_flat(builder.graph().nodes.back().outputs.front(), count);
  return std::move(builder).finish("codebook " + format.spec());
}

WeightGraph build_codebook(Builder builder, const QuantizedTensor& tensor, const Codebook& format, const Codebook::Parameters& parameters) {
  const BucketRows rows = bucket_rows(tensor, format.bucket_size);
  std::int64_t count = 0;
  const std::string codes = bucketed_codes(builder, tensor, rows, count);
  const std::string point = builder.node("Gather", {builder.floats("points", {format.levels}, parameters.points), codes});
  scale_buckets(builder, point, rows, parameters.buckets);
  builder.finish_flat(builder.graph().nodes.back().outputs.front(), count);
  return std::move(builder).finish("codebook " + format.spec());
}

/// Smallest type of DequantizeLinear that holds these integers.
DataType integer_type(std::int64_t low, std::int64_t high) {
  const auto fits = [low, high](std::int64_t first, std::int64_t last) { return low >= first && high <= last; };
  if (fits(-8, 7)) return DataType::int4;
  if (fits(0, 15)) return DataType::uint4;
  if (fits(-128, 127)) return DataType::int8;
  if (fits(0, 255)) return DataType::uint8;
  if (fits(-32768, 32767)) return DataType::int16;
  if (fits(0, 65535)) return DataType::uint16;
  return DataType::int32;
}

bool needs_opset_21(DataType type) {
  return type == DataType::int4 || type == DataType::uint4 || type == DataType::int16 || type == DataType::uint16;
}

/// Integers times scales: one, or one per extent of axis 0.
std::string dequantize(Builder& builder, DataType type, std::vector<std::int64_t> dims, std::span<const std::int64_t> integers,
                       std::span<const float> scales) {
  if (needs_opset_21(type)) builder.graph().opset = 21;
  const std::string codes = builder.constant(integer_tensor(builder.inside("integers"), type, std::move(dims), integers));
  const bool is_one = scales.size() == 1;
  const std::string scale =
      builder.floats("scale", is_one ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{std::ssize(scales)}, scales);
  std::vector<AttributeProto> attributes;
  if (!is_one) attributes.push_back(int_attribute("axis", 0));
  return builder.node("DequantizeLinear", {codes, scale}, std::move(attributes));
}

WeightGraph exact_integers(Builder builder, const QuantizedTensor& tensor, DataType type, std::span<const std::int64_t> integers,
                           float scale, const std::string& note) {
  (void)dequantize(builder, type, tensor.shape().dims(), integers, std::span(&scale, 1));
  return std::move(builder).finish(note);
}

/// The nearest int8 grid with a scale per output: for formats whose values lie on no common grid.
WeightGraph nearest_int8(Builder builder, const QuantizedTensor& tensor) {
  const std::vector<float> values = tensor.dequantize();
  const std::vector<std::int64_t>& dims = tensor.shape().dims();
  const std::size_t rows = dims.size() < 2 ? 1 : static_cast<std::size_t>(dims[0]);
  const std::size_t columns = rows == 0 ? 0 : values.size() / rows;
  std::vector<float> scales;
  std::vector<std::int64_t> integers;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::span<const float> part = std::span(values).subspan(row * columns, columns);
    float largest = 0.0F;
    for (const float value : part) largest = std::max(largest, std::abs(value));
    // A row so small that its step would be no normal number keeps step 1: all zero.
    const float scale = largest / 127.0F >= std::numeric_limits<float>::min() ? largest / 127.0F : 1.0F;
    scales.push_back(scale);
    for (std::size_t i = 0; i < columns; ++i) {
      const auto integer = std::clamp<std::int64_t>(std::llround(static_cast<double>(part[i]) / scale), -127, 127);
      integers.push_back(integer);
      builder.graph().values[row * columns + i] = static_cast<float>(integer) * scale;
    }
  }
  (void)dequantize(builder, DataType::int8, dims, integers, scales);
  return std::move(builder).finish("");
}

WeightGraph build_qdq(Builder builder, const QuantizedTensor& tensor, const FixedPoint& format, const FixedPoint::Parameters&) {
  // The type that holds the whole format, so that equal formats give equal types.
  const DataType type = integer_type(format.min_code(), format.max_code());
  return exact_integers(std::move(builder), tensor, type, wide_codes(tensor), static_cast<float>(format.step()), "qdq " + format.spec());
}

WeightGraph build_qdq(Builder builder, const QuantizedTensor& tensor, const Ternary& format, const Ternary::Parameters& parameters) {
  if (parameters.positive_scale != parameters.negative_scale) return nearest_int8(std::move(builder), tensor);
  std::vector<std::int64_t> integers;
  for (const std::int32_t code : tensor.codes()) integers.push_back(code == 2 ? -1 : code);
  return exact_integers(std::move(builder), tensor, DataType::int4, integers, parameters.positive_scale,
                        "qdq " + format.spec() + " " + hex(tensor.packed_parameters()));
}

WeightGraph build_qdq(Builder builder, const QuantizedTensor& tensor, const PowerOfTwo& format, const PowerOfTwo::Parameters& parameters) {
  const int span = parameters.exp_max - parameters.exp_min;
  if (span > 30) return nearest_int8(std::move(builder), tensor);
  const std::int64_t largest = std::int64_t{1} << span;
  std::vector<std::int64_t> integers;
  for (const std::int32_t code : tensor.codes()) {
    const std::int64_t magnitude = code == 0 ? 0 : std::int64_t{1} << ((code - 1) >> 1);
    integers.push_back((code & 1) != 0 || code == 0 ? magnitude : -magnitude);
  }
  return exact_integers(std::move(builder), tensor, integer_type(-largest, largest), integers, std::ldexp(1.0F, parameters.exp_min),
                        "qdq " + format.spec() + " " + hex(tensor.packed_parameters()));
}

WeightGraph build_qdq(Builder builder, const QuantizedTensor& tensor, const Uniform& format, const Uniform::Parameters& parameters) {
  const BucketRows rows = bucket_rows(tensor, format.bucket_size);
  std::vector<std::int64_t> codes = wide_codes(tensor);
  codes.resize(static_cast<std::size_t>(rows.rows * rows.columns), 0);
  const auto last = static_cast<float>(format.code_count() - 1);
  std::vector<float> steps;
  for (const Bucket& bucket : parameters.buckets) {
    steps.push_back(bucket.scale / last);
    if (!(steps.back() >= std::numeric_limits<float>::min())) return nearest_int8(std::move(builder), tensor);
  }
  std::vector<float>& values = builder.graph().values;
  for_each_bucket(parameters.buckets, values.size(), format.bucket_size, [&](const Bucket& bucket, std::size_t first, std::size_t count) {
    const float step = bucket.scale / last;
    for (std::size_t i = first; i < first + count; ++i) values[i] = static_cast<float>(tensor.codes()[i]) * step + bucket.min;
  });
  const DataType type = format.bits <= 4 ? DataType::uint4 : format.bits <= 8 ? DataType::uint8 : DataType::uint16;
  const bool is_one = rows.rows == 1;
  const std::string level =
      dequantize(builder, type, is_one ? tensor.shape().dims() : std::vector<std::int64_t>{rows.rows, rows.columns}, codes, steps);
  const std::vector<std::int64_t> dims = is_one ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{rows.rows, 1};
  const std::string value = builder.node("Add", {level, builder.floats("min", dims, bucket_minima(parameters.buckets))});
  if (!is_one) builder.finish_flat(value, rows.rows * rows.columns);
  // The steps alone do not give the ranges back to the last bit.
  return std::move(builder).finish("qdq " + format.spec() + " " + hex(tensor.packed_parameters()));
}

WeightGraph build_qdq(Builder builder, const QuantizedTensor& tensor, const Codebook& format, const Codebook::Parameters& parameters) {
  const std::vector<float>& points = parameters.points;
  const BucketRows rows = bucket_rows(tensor, format.bucket_size);
  const bool are_outputs = rows.rows == 1 || (tensor.shape().rank() > 0 && rows.rows == tensor.shape()[0] &&
                                              rows.rows * rows.columns == tensor.shape().element_count());
  const bool are_integers =
      std::ranges::all_of(points, [](float point) { return point == std::trunc(point) && point >= -32768.0F && point <= 65535.0F; });
  const bool are_scales = std::ranges::all_of(parameters.buckets, [](const Bucket& bucket) { return bucket.min == 0.0F; });
  if (!are_outputs || !are_integers || !are_scales || points.empty()) return nearest_int8(std::move(builder), tensor);
  const DataType type = integer_type(static_cast<std::int64_t>(points.front()), static_cast<std::int64_t>(points.back()));
  std::vector<std::int64_t> integers;
  for (const std::int32_t code : tensor.codes()) integers.push_back(static_cast<std::int64_t>(points[static_cast<std::size_t>(code)]));
  (void)dequantize(builder, type, tensor.shape().dims(), integers, bucket_scales(parameters.buckets));
  return std::move(builder).finish("");
}

template <typename Build>
WeightGraph visit_format(const QuantizedTensor& tensor, const Build& build) {
  return std::visit(
      [&](const auto& format) {
        using Parameters = typename std::remove_cvref_t<decltype(format)>::Parameters;
        return build(format, std::get<Parameters>(tensor.parameters()));
      },
      tensor.format().variant());
}

}  // namespace

WeightGraph codebook_graph(const std::string& name, const QuantizedTensor& tensor) {
  return visit_format(tensor, [&](const auto& format, const auto& parameters) {
    return build_codebook(Builder(name, tensor), tensor, format, parameters);
  });
}

WeightGraph qdq_graph(const std::string& name, const QuantizedTensor& tensor) {
  return visit_format(
      tensor, [&](const auto& format, const auto& parameters) { return build_qdq(Builder(name, tensor), tensor, format, parameters); });
}

}  // namespace bitwright::onnx
