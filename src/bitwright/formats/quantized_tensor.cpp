// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/quantized_tensor.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
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

/// Codes that are handled at a time: few enough for the first-level cache, and whole bytes in every layout.
constexpr std::int64_t kBlock = 40 * 100;

/// Calls `visit(first, block)` for all packed codes, block by block.
template <typename Code, typename Visit>
void for_each_block(CodeLayout layout, int code_bits, std::span<const std::byte> packed, std::int64_t count, Visit&& visit) {
  std::array<Code, kBlock> codes;
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t size = std::min(kBlock, count - first);
    const std::span<Code> block(codes.data(), static_cast<std::size_t>(size));
    unpack_codes(layout, code_bits,
                 packed.subspan(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, first)),
                                static_cast<std::size_t>(packed_code_bytes(layout, code_bits, size))),
                 block);
    visit(first, std::span<const Code>(block));
  }
}

/// `first`: index of the first of these codes in the tensor.
template <typename Code>
void check_codes(ErrorCode code, std::string_view where, const NumberFormat& format, const FormatParameters& parameters,
                 std::span<const Code> codes, std::int64_t first, std::string_view advice) {
  const CodeRange range =
      visit_with_parameters(format, parameters, [](const auto& chosen, const auto& own) { return chosen.code_range(own); });
  const auto is_wrong = [range](Code found) { return found < range.first || found > range.last; };
  // The lowest and the highest are found without branches, in vectors; the first wrong one only where there is one.
  Code lowest = std::numeric_limits<Code>::max();
  Code highest = std::numeric_limits<Code>::min();
  for (const Code found : codes) {
    lowest = std::min(lowest, found);
    highest = std::max(highest, found);
  }
  if (codes.empty() || (lowest >= range.first && highest <= range.last)) return;
  const auto wrong = std::ranges::find_if(codes, is_wrong);
  fail(code, "{}: a code lies outside {} (found {} at index {}, need {} to {}); {}.", where, format.spec(), *wrong,
       first + (wrong - codes.begin()), range.first, range.last, advice);
}

/// Whether a value depends on where its code stands.
bool has_buckets(const NumberFormat& format) {
  return std::visit(
      [](const auto& chosen) {
        if constexpr (requires { chosen.bucket_size; }) return chosen.bucket_size.has_value();
        return false;
      },
      format.variant());
}

}  // namespace

/// Packed, unpacked, or both: what is not there is made when it is wanted.
struct QuantizedTensor::Codes {
  std::span<const std::byte> packed;  ///< empty for a tensor that was made from codes
  std::shared_ptr<const void> owner;  ///< keeps the packed bytes
  std::unique_ptr<std::int32_t[]> unpacked;
  std::vector<std::int32_t> given;  ///< what a tensor was made from
  std::once_flag unpack_once;
};

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
  check_codes(ErrorCode::invalid_input, where, format_, parameters_, std::span<const std::int32_t>(codes), 0, kAdvice);
  codes_ = std::make_shared<Codes>();
  codes_->given = std::move(codes);
}

QuantizedTensor::QuantizedTensor(NumberFormat format, Shape shape, FormatParameters parameters, std::shared_ptr<Codes> codes)
    : format_(std::move(format)), shape_(std::move(shape)), codes_(std::move(codes)), parameters_(std::move(parameters)) {}

bool operator==(const QuantizedTensor& a, const QuantizedTensor& b) {
  if (a.format_ != b.format_ || a.shape_ != b.shape_ || a.parameters_ != b.parameters_) return false;
  if (a.codes_ == b.codes_) return true;
  // One layout has one packed form.
  if (!a.codes_->packed.empty() && !b.codes_->packed.empty()) return std::ranges::equal(a.codes_->packed, b.codes_->packed);
  return std::ranges::equal(a.codes(), b.codes());
}

std::span<const std::int32_t> QuantizedTensor::codes() const {
  Codes& kept = *codes_;
  if (kept.packed.empty()) return kept.given;
  const auto count = static_cast<std::size_t>(shape_.element_count());
  std::call_once(kept.unpack_once, [&] {
    kept.unpacked = std::make_unique_for_overwrite<std::int32_t[]>(count);
    unpack_codes(format_.code_layout(), format_.code_bits(), kept.packed, {kept.unpacked.get(), count});
  });
  return {kept.unpacked.get(), count};
}

template <typename Code>
void QuantizedTensor::copy(std::int64_t first, std::span<Code> dst) const {
  BITWRIGHT_ASSERT(first >= 0 && first + std::ssize(dst) <= shape_.element_count());
  const Codes& kept = *codes_;
  if (kept.packed.empty()) {
    std::ranges::transform(std::span(kept.given).subspan(static_cast<std::size_t>(first), dst.size()), dst.begin(),
                           [](std::int32_t code) { return static_cast<Code>(code); });
    return;
  }
  const CodeLayout layout = format_.code_layout();
  const int code_bits = format_.code_bits();
  // From where codes begin with a byte; at most 39 of them are not wanted.
  constexpr std::int64_t kWholeBytes = 40;
  std::array<Code, kWholeBytes> edge;
  while (!dst.empty() && first % kWholeBytes != 0) {
    const std::int64_t begin = first / kWholeBytes * kWholeBytes;
    const std::int64_t size = std::min(kWholeBytes, shape_.element_count() - begin);
    const std::span<const std::byte> from =
        kept.packed.subspan(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, begin)));
    unpack_codes(layout, code_bits, from.first(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, size))),
                 std::span(edge).first(static_cast<std::size_t>(size)));
    const auto wanted = static_cast<std::size_t>(std::min(std::ssize(dst), begin + size - first));
    std::copy_n(edge.begin() + (first - begin), wanted, dst.begin());
    dst = dst.subspan(wanted);
    first += static_cast<std::int64_t>(wanted);
  }
  if (dst.empty()) return;
  const std::span<const std::byte> from =
      kept.packed.subspan(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, first)));
  unpack_codes(layout, code_bits, from.first(static_cast<std::size_t>(packed_code_bytes(layout, code_bits, std::ssize(dst)))), dst);
}

void QuantizedTensor::copy_codes(std::int64_t first, std::span<std::int32_t> dst) const { copy(first, dst); }

void QuantizedTensor::copy_codes(std::int64_t first, std::span<std::uint8_t> dst) const {
  BITWRIGHT_ASSERT(fits_bytes(format_.code_layout(), format_.code_bits()));
  copy(first, dst);
}

std::vector<float> QuantizedTensor::dequantize() const {
  std::vector<float> values(static_cast<std::size_t>(shape_.element_count()));
  dequantize_into(values);
  return values;
}

void QuantizedTensor::dequantize_into(std::span<float> dst) const {
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(dst.size()) == shape_.element_count());
  visit_with_parameters(format_, parameters_, [&](const auto& chosen, const auto& own) {
    if (codes_->packed.empty() || has_buckets(format_)) {
      chosen.decode(own, codes(), dst);
      return;
    }
    for_each_block<std::int32_t>(format_.code_layout(), format_.code_bits(), codes_->packed, shape_.element_count(),
                   [&](std::int64_t first, std::span<const std::int32_t> block) {
                     chosen.decode(own, block, dst.subspan(static_cast<std::size_t>(first), block.size()));
                   });
  });
}

std::optional<std::int64_t> QuantizedTensor::first_not_finite() const {
  const auto finite = [](std::span<const float> values) {
    return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
  };
  const std::vector<float> levels = visit_with_parameters(format_, parameters_, [](const auto& chosen, const auto& own) {
    std::vector<float> values;
    if (has_buckets(chosen)) return values;
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
  if (!codes_->packed.empty()) return {codes_->packed.begin(), codes_->packed.end()};
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
                                        std::span<const std::byte> packed_parameters, const std::string& source,
                                        std::shared_ptr<const void> owner) {
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
  const auto check = [&]<typename Code>(std::int64_t first, std::span<const Code> block) {
    check_codes(ErrorCode::corrupt_file, source, format, parameters, block, first, kAdvice);
  };
  if (fits_bytes(layout, code_bits)) {
    for_each_block<std::uint8_t>(layout, code_bits, packed_codes, element_count, check);
  } else {
    for_each_block<std::int32_t>(layout, code_bits, packed_codes, element_count, check);
  }
  auto codes = std::make_shared<Codes>();
  if (owner == nullptr) {
    const auto copy = std::make_shared<const std::vector<std::byte>>(packed_codes.begin(), packed_codes.end());
    packed_codes = *copy;
    owner = copy;
  }
  codes->packed = packed_codes;
  codes->owner = std::move(owner);
  return {format, shape, std::move(parameters), std::move(codes)};
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
