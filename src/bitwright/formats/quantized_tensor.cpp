// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/quantized_tensor.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>

namespace bitwright {
namespace {

/// Calls `visit(format, its parameters)`. Throws: `Error(invalid_input)` when the parameters are another format's.
template <typename Visit>
decltype(auto) visit_with_parameters(const NumberFormat& format, const FormatParameters& parameters, Visit&& visit) {
  return std::visit(
      [&](const auto& chosen) -> decltype(auto) {
        using Parameters = typename std::remove_cvref_t<decltype(chosen)>::Parameters;
        const Parameters* const own = std::get_if<Parameters>(&parameters);
        if (own == nullptr) {
          fail(ErrorCode::invalid_input,
               "{}: the parameters belong to another format (found those of {}, need those of {}); fit them anew.", chosen.spec(),
               registered_formats()[parameters.index()].name, format.name());
        }
        return visit(chosen, *own);
      },
      format.variant());
}

void check_parameters(ErrorCode code, std::string_view where, const NumberFormat& format, const FormatParameters& parameters,
                      std::int64_t element_count, std::string_view advice) {
  const std::string problem = visit_with_parameters(
      format, parameters, [element_count](const auto& chosen, const auto& own) { return chosen.parameter_problem(own, element_count); });
  if (!problem.empty()) fail(code, "{}: {}; {}.", where, problem, advice);
}

void check_codes(ErrorCode code, std::string_view where, const NumberFormat& format, const FormatParameters& parameters,
                 std::span<const std::int32_t> codes, std::string_view advice) {
  const CodeRange range =
      visit_with_parameters(format, parameters, [](const auto& chosen, const auto& own) { return chosen.code_range(own); });
  const auto is_wrong = [range](std::int32_t found) { return found < range.first || found > range.last; };
  // Whether a block has a wrong code is asked without stopping at the first, which compilers turn into vectors.
  constexpr std::size_t kBlock = 4096;
  for (std::size_t first = 0; first < codes.size(); first += kBlock) {
    const std::span<const std::int32_t> block = codes.subspan(first, std::min(kBlock, codes.size() - first));
    bool any = false;
    for (const std::int32_t found : block) any |= found < range.first || found > range.last;
    if (!any) continue;
    const auto wrong = std::ranges::find_if(block, is_wrong);
    fail(code, "{}: a code lies outside {} (found {} at index {}, need {} to {}); {}.", where, format.spec(), *wrong,
         static_cast<std::int64_t>(first) + (wrong - block.begin()), range.first, range.last, advice);
  }
}

}  // namespace

QuantizedTensor::QuantizedTensor(NumberFormat format, Shape shape, std::vector<std::int32_t> codes, FormatParameters parameters)
    : format_(std::move(format)), shape_(std::move(shape)), parameters_(std::move(parameters)) {
  constexpr std::string_view kAdvice = "encode the tensor anew";
  const std::int64_t element_count = shape_.element_count();
  if (static_cast<std::int64_t>(codes.size()) != element_count) {
    fail(ErrorCode::invalid_input, "{} tensor {}: wrong number of codes (found {}, need {}); {}.", format_.spec(), shape_.to_string(),
         codes.size(), element_count, kAdvice);
  }
  const std::string where = fmt::format("{} tensor {}", format_.spec(), shape_.to_string());
  check_parameters(ErrorCode::invalid_input, where, format_, parameters_, element_count, kAdvice);
  check_codes(ErrorCode::invalid_input, where, format_, parameters_, codes, kAdvice);
  const auto owner = std::make_shared<const std::vector<std::int32_t>>(std::move(codes));
  codes_ = Codes(owner, owner->data());
}

QuantizedTensor::QuantizedTensor(NumberFormat format, Shape shape, Codes codes, FormatParameters parameters, Checked)
    : format_(std::move(format)), shape_(std::move(shape)), codes_(std::move(codes)), parameters_(std::move(parameters)) {}

bool operator==(const QuantizedTensor& a, const QuantizedTensor& b) {
  return a.format_ == b.format_ && a.shape_ == b.shape_ && a.parameters_ == b.parameters_ && std::ranges::equal(a.codes(), b.codes());
}

std::vector<float> QuantizedTensor::dequantize() const {
  std::vector<float> values(codes().size());
  dequantize_into(values);
  return values;
}

void QuantizedTensor::dequantize_into(std::span<float> dst) const {
  visit_with_parameters(format_, parameters_, [&](const auto& chosen, const auto& own) { chosen.decode(own, codes(), dst); });
}

std::optional<std::int64_t> QuantizedTensor::first_not_finite() const {
  const auto finite = [](std::span<const float> values) { return std::ranges::all_of(values, [](float value) { return std::isfinite(value); }); };
  const std::vector<float> levels = visit_with_parameters(format_, parameters_, [](const auto& chosen, const auto& own) {
    std::vector<float> values;
    if constexpr (requires { chosen.bucket_size; }) {
      if (chosen.bucket_size) return values;
    }
    const CodeRange range = chosen.code_range(own);
    constexpr std::int64_t kMostLevels = 1 << 16;
    if (static_cast<std::int64_t>(range.last) - range.first >= kMostLevels) return values;
    std::vector<std::int32_t> all(static_cast<std::size_t>(range.last - range.first + 1));
    std::iota(all.begin(), all.end(), range.first);
    values.resize(all.size());
    chosen.decode(own, all, values);
    return values;
  });
  if (!levels.empty() && finite(levels)) return std::nullopt;
  const std::vector<float> values = dequantize();
  const auto wrong = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (wrong == values.end()) return std::nullopt;
  return wrong - values.begin();
}

std::vector<std::byte> QuantizedTensor::packed_codes() const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(code_size_bits() / 8));
  pack_codes(format_.code_layout(), format_.code_bits(), codes(), bytes);
  return bytes;
}

std::vector<std::byte> QuantizedTensor::packed_parameters() const {
  ByteWriter writer;
  visit_with_parameters(format_, parameters_, [&](const auto& chosen, const auto& own) { chosen.write_parameters(own, writer); });
  return std::move(writer).take();
}

QuantizedTensor QuantizedTensor::unpack(const NumberFormat& format, const Shape& shape, std::span<const std::byte> packed_codes,
                                        std::span<const std::byte> packed_parameters, const std::string& source) {
  constexpr std::string_view kAdvice = "the file is damaged, get it again";
  const std::int64_t element_count = shape.element_count();
  const CodeLayout layout = format.code_layout();
  const int code_bits = format.code_bits();
  // Before anything is allocated for this many elements; 2^58 codes of 32 bits still count without overflow.
  const bool is_countable = element_count <= std::int64_t{1} << 58;
  const std::int64_t code_bytes = is_countable ? packed_code_bytes(layout, code_bits, element_count) : -1;
  if (static_cast<std::int64_t>(packed_codes.size()) != code_bytes) {
    fail(ErrorCode::corrupt_file, "{}: wrong number of code bytes for a {} tensor {} (found {}, need {}); {}.", source, format.spec(),
         shape.to_string(), packed_codes.size(), is_countable ? std::to_string(code_bytes) : "fewer elements", kAdvice);
  }
  const std::int64_t parameter_bytes = format.parameter_bytes(element_count);
  if (static_cast<std::int64_t>(packed_parameters.size()) != parameter_bytes) {
    fail(ErrorCode::corrupt_file, "{}: wrong number of parameter bytes for a {} tensor {} (found {}, need {}); {}.", source, format.spec(),
         shape.to_string(), packed_parameters.size(), parameter_bytes, kAdvice);
  }
  if (const auto damaged = first_damaged_byte(layout, code_bits, packed_codes, element_count)) {
    fail(ErrorCode::corrupt_file,
         "{}: code byte {} is not one that a {} tensor {} can hold (found {}, need zero padding and valid digits); {}.", source, *damaged,
         format.spec(), shape.to_string(), std::to_integer<int>(packed_codes[static_cast<std::size_t>(*damaged)]), kAdvice);
  }

  ByteReader reader(packed_parameters, source);
  FormatParameters parameters =
      std::visit([&](const auto& chosen) -> FormatParameters { return chosen.read_parameters(reader, element_count); }, format.variant());
  check_parameters(ErrorCode::corrupt_file, source, format, parameters, element_count, kAdvice);
  // Without zeroing what is written next: pages of a large tensor are touched once.
  const auto codes = std::make_shared_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(element_count));
  const std::span<std::int32_t> all(codes.get(), static_cast<std::size_t>(element_count));
  unpack_codes(layout, code_bits, packed_codes, all);
  check_codes(ErrorCode::corrupt_file, source, format, parameters, all, kAdvice);
  return {format, shape, codes, std::move(parameters), Checked{}};
}

std::int64_t QuantizedTensor::code_size_bits() const {
  return 8 * packed_code_bytes(format_.code_layout(), format_.code_bits(), shape_.element_count());
}

std::int64_t QuantizedTensor::parameter_size_bits() const { return 8 * format_.parameter_bytes(shape_.element_count()); }

FormatParameters fit(const NumberFormat& format, std::span<const float> values) {
  return std::visit([values](const auto& chosen) -> FormatParameters { return chosen.fit(values); }, format.variant());
}

std::vector<std::int32_t> encode(const NumberFormat& format, const FormatParameters& parameters, std::span<const float> values,
                                 const RoundingContext& rounding) {
  check_parameters(ErrorCode::invalid_input, format.spec(), format, parameters, static_cast<std::int64_t>(values.size()), "fit them anew");
  std::vector<std::int32_t> codes(values.size());
  visit_with_parameters(format, parameters, [&](const auto& chosen, const auto& own) { chosen.encode(own, values, rounding, codes); });
  return codes;
}

QuantizedTensor quantize(const NumberFormat& format, const Shape& shape, std::span<const float> values, const RoundingContext& rounding) {
  if (static_cast<std::int64_t>(values.size()) != shape.element_count()) {
    fail(ErrorCode::invalid_input, "{} tensor {}: wrong number of values (found {}, need {}); give one value per element.", format.spec(),
         shape.to_string(), values.size(), shape.element_count());
  }
  FormatParameters parameters = fit(format, values);
  std::vector<std::int32_t> codes = encode(format, parameters, values, rounding);
  return {format, shape, std::move(codes), std::move(parameters)};
}

}  // namespace bitwright
