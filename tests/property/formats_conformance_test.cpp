// SPDX-License-Identifier: Apache-2.0
// What every line of formats.inc must do, over the sample text forms that each format offers.
#include "bitwright/formats/quantized_tensor.h"
#include "bitwright/formats/size.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <ostream>
#include <set>

namespace bitwright {
namespace {

using ::testing::ElementsAreArray;

struct Sample {
  RegisteredFormat entry;
  std::string_view spec;
};

void PrintTo(const Sample& sample, std::ostream* stream) { *stream << sample.spec; }

std::vector<Sample> every_sample() {
  std::vector<Sample> samples;
  for (const RegisteredFormat& entry : registered_formats()) {
    for (const std::string_view spec : entry.samples) samples.push_back({entry, spec});
  }
  return samples;
}

std::string test_name(const ::testing::TestParamInfo<Sample>& parameter) {
  std::string name(parameter.param.spec);
  std::ranges::replace_if(
      name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

CodeRange range_of(const NumberFormat& format, const FormatParameters& parameters) {
  return std::visit(
      [&](const auto& chosen) {
        return chosen.code_range(std::get<typename std::remove_cvref_t<decltype(chosen)>::Parameters>(parameters));
      },
      format.variant());
}

/// Distinct values that visit the whole of [-0.5, 0.5) again and again in small steps (a golden-ratio walk over 2^16 places), so that every
/// bucket of 64 elements or more spans nearly all of it.
std::vector<float> scattered_values(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 40503 % 65536) / 65536.0F - 0.5F;
  return values;
}

Shape shape_of(std::size_t count) { return Shape({static_cast<std::int64_t>(count)}); }

/// Codes of the tensor's range that repeat in no simple pattern.
std::vector<std::int32_t> drawn_codes(const CodeRange& range, std::size_t count, std::uint64_t stream) {
  const Rng rng(stream, "codes");
  std::vector<std::int32_t> codes(count);
  for (std::size_t i = 0; i < count; ++i) {
    codes[i] = static_cast<std::int32_t>(range.first + static_cast<std::int64_t>(rng.below(i, range.last - range.first + 1)));
  }
  return codes;
}

class Conformance : public ::testing::TestWithParam<Sample> {
 protected:
  const NumberFormat format_ = NumberFormat::parse(GetParam().spec);
};

TEST_P(Conformance, TextFormRoundTrips) {
  EXPECT_EQ(format_.spec(), GetParam().spec);
  EXPECT_EQ(NumberFormat::parse(format_.spec()), format_);
  EXPECT_EQ(format_.name(), GetParam().entry.name);
  EXPECT_EQ(format_.tag(), GetParam().entry.tag);
}

TEST_P(Conformance, CodesFitTheirBits) {
  EXPECT_LE(format_.code_count(), std::int64_t{1} << format_.code_bits());
  const CodeRange range = range_of(format_, fit(format_, scattered_values(64)));
  EXPECT_EQ(range.last - range.first + 1, format_.code_count());
}

// Every code up to 16 bits, 65,536 drawn ones beyond. The parameters are fitted to as many scattered values as there are codes, so levels
// lie at least 2^-17 apart while decoding rounds by less than 2^-22: each code must come back.
TEST_P(Conformance, EncodingDecodedCodesGivesTheCodes) {
  const std::int64_t count = std::min<std::int64_t>(format_.code_count(), 65536);
  const std::vector<float> values = scattered_values(static_cast<std::size_t>(count));
  const FormatParameters parameters = fit(format_, values);
  const CodeRange range = range_of(format_, parameters);
  std::vector<std::int32_t> codes(static_cast<std::size_t>(count));
  if (format_.code_count() <= 65536) {
    std::iota(codes.begin(), codes.end(), static_cast<std::int32_t>(range.first));
  } else {
    codes = drawn_codes(range, codes.size(), 1);
  }
  const QuantizedTensor tensor(format_, shape_of(codes.size()), codes, parameters);
  const std::vector<float> decoded = tensor.dequantize();
  const Rng rng(1, "x");
  for (const Rounding mode : {Rounding::nearest_even, Rounding::nearest_down}) {
    EXPECT_EQ(encode(format_, parameters, decoded, {.mode = mode, .rng = &rng}), codes) << rounding_name(mode);
  }
}

// Values are multiples of 2^-6 in [-1, 1]. For up to 32 levels neighbors of one bucket lie at least 2^-17 of its range apart (quantile
// points of a range of m <= 128 steps: 1 / (128 * 31), spread over at most 31 points), decoding rounds by at most 2^-19 of it: the code
// must come back. More levels are covered by the test above.
TEST_P(Conformance, QuantizingIsIdempotent) {
  const bool has_real_levels = format_.get_if<Uniform>() != nullptr || format_.get_if<Codebook>() != nullptr;
  if (has_real_levels && format_.code_count() > 32) GTEST_SKIP() << "levels may lie closer than float32 can tell";
  EXPECT_TRUE(rc::check("encode(dequantize(quantize(v))) == codes", [&] {
    const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-64, 65));
    std::vector<float> values;
    for (const int step : steps) values.push_back(static_cast<float>(step) / 64.0F);
    if (values.size() > 200) values.resize(200);
    const QuantizedTensor tensor = quantize(format_, shape_of(values.size()), values);
    const std::vector<std::int32_t> again = encode(format_, tensor.parameters(), tensor.dequantize(), {});
    RC_ASSERT(std::ranges::equal(again, tensor.codes()));
  }));
}

// Brute force over all codes. Decoding rounds up to three float32 operations on numbers of at most 4, so a value's distance to a level is
// known to 3 * 4 * 2^-24 < 2^-20; beyond twice that no other level may be nearer.
TEST_P(Conformance, TakesTheNearestValue) {
  if (!GetParam().entry.rounds_to_nearest) GTEST_SKIP() << "has a rule of its own";
  if (format_.code_count() > 65536) GTEST_SKIP() << "too many codes to try each";
  constexpr std::size_t kChunk = 64;  // elements of one bucket in every sample
  const FormatParameters parameters = fit(format_, scattered_values(kChunk));
  const CodeRange range = range_of(format_, parameters);
  const auto decoded = [&](std::vector<std::int32_t> codes) {
    return QuantizedTensor(format_, {kChunk}, std::move(codes), parameters).dequantize();
  };
  std::vector<float> levels;
  for (std::int64_t first = range.first; first <= range.last; first += kChunk) {
    std::vector<std::int32_t> codes(kChunk);
    for (std::size_t i = 0; i < kChunk; ++i) codes[i] = static_cast<std::int32_t>(std::min<std::int64_t>(first + i, range.last));
    for (const float level : decoded(codes)) levels.push_back(level);
  }
  std::ranges::sort(levels);

  const Rng rng(5, "values");
  for (std::uint64_t chunk = 0; chunk < 200; ++chunk) {
    std::vector<float> values(kChunk);
    for (std::size_t i = 0; i < kChunk; ++i) values[i] = static_cast<float>(rng.uniform01(chunk * kChunk + i) * 3.0 - 1.5);
    const std::vector<float> found = decoded(encode(format_, parameters, values, {}));
    for (std::size_t i = 0; i < kChunk; ++i) {
      const double value = values[i];
      const auto above = std::ranges::lower_bound(levels, values[i]);
      double nearest = std::numeric_limits<double>::infinity();
      if (above != levels.end()) nearest = std::abs(*above - value);
      if (above != levels.begin()) nearest = std::min(nearest, std::abs(*std::prev(above) - value));
      ASSERT_LE(std::abs(found[i] - value), nearest + 0x1p-19) << value;
    }
  }
}

TEST_P(Conformance, PackingRoundTripsForEveryLength) {
  for (std::size_t count = 1; count <= 200; ++count) {
    const FormatParameters parameters = fit(format_, scattered_values(count));
    const QuantizedTensor tensor(format_, shape_of(count), drawn_codes(range_of(format_, parameters), count, count), parameters);
    const std::vector<std::byte> codes = tensor.packed_codes();
    const std::vector<std::byte> packed_parameters = tensor.packed_parameters();
    ASSERT_EQ(static_cast<std::int64_t>(codes.size()) * 8, tensor.code_size_bits());
    ASSERT_EQ(static_cast<std::int64_t>(packed_parameters.size()) * 8, tensor.parameter_size_bits());
    ASSERT_LE(tensor.code_size_bits(), static_cast<std::int64_t>(count) * format_.code_bits() + 7);
    ASSERT_EQ(QuantizedTensor::unpack(format_, tensor.shape(), codes, packed_parameters, "test"), tensor) << count;
  }
}

TEST_P(Conformance, WrongLengthsAreRefused) {
  const QuantizedTensor tensor = quantize(format_, {100}, scattered_values(100));
  const auto refused = [&](std::vector<std::byte> codes, std::vector<std::byte> parameters) {
    const auto error =
        test::error_of([&] { EXPECT_EQ(QuantizedTensor::unpack(format_, {100}, codes, parameters, "net.bw").codes().size(), 0U); });
    return error.has_value() && error->code() == ErrorCode::corrupt_file && error->message().starts_with("net.bw: ");
  };
  auto longer = tensor.packed_codes();
  longer.push_back(std::byte{0});
  EXPECT_TRUE(refused(longer, tensor.packed_parameters()));
  auto shorter = tensor.packed_codes();
  shorter.pop_back();
  EXPECT_TRUE(refused(shorter, tensor.packed_parameters()));
  auto parameters = tensor.packed_parameters();
  parameters.push_back(std::byte{0});
  EXPECT_TRUE(refused(tensor.packed_codes(), parameters));
}

// One tensor has one byte string: whatever bytes unpack accepts, packing gives back exactly those. So corrupt padding, codes outside the
// format and impossible base-3 digits are all refused, as each would pack differently.
TEST_P(Conformance, DamagedBytesAreRefusedOrPackAsTheyWere) {
  EXPECT_TRUE(rc::check("unpack refuses or repacks to the same bytes", [&] {
    const auto count = *rc::gen::inRange<std::size_t>(1, 40);
    const QuantizedTensor tensor = quantize(format_, shape_of(count), scattered_values(count));
    std::vector<std::byte> codes = tensor.packed_codes();
    std::vector<std::byte> parameters = tensor.packed_parameters();
    const auto bit = *rc::gen::inRange<std::size_t>(0, 8 * (codes.size() + parameters.size()));
    std::byte& byte = bit / 8 < codes.size() ? codes[bit / 8] : parameters[bit / 8 - codes.size()];
    byte ^= static_cast<std::byte>(1U << (bit % 8));
    std::optional<QuantizedTensor> read;
    const auto error = test::error_of([&] { read = QuantizedTensor::unpack(format_, tensor.shape(), codes, parameters, "net.bw"); });
    if (error) {
      RC_ASSERT(error->code() == ErrorCode::corrupt_file);
      return;
    }
    RC_ASSERT(read->packed_codes() == codes);
    RC_ASSERT(read->packed_parameters() == parameters);
  }));
}

TEST_P(Conformance, EveryPaddingBitIsChecked) {
  for (std::size_t count = 1; count <= 16; ++count) {
    const FormatParameters parameters = fit(format_, scattered_values(count));
    const CodeRange range = range_of(format_, parameters);
    const QuantizedTensor tensor(format_, shape_of(count), drawn_codes(range, count, count), parameters);
    if (format_.code_layout() == CodeLayout::base3) continue;  // no padding bits; layout_test.cpp tries its digits
    for (std::int64_t bit = static_cast<std::int64_t>(count) * format_.code_bits(); bit < tensor.code_size_bits(); ++bit) {
      std::vector<std::byte> codes = tensor.packed_codes();
      codes[static_cast<std::size_t>(bit / 8)] |= static_cast<std::byte>(1U << (bit % 8));
      const auto error = test::error_of(
          [&] { EXPECT_EQ(QuantizedTensor::unpack(format_, tensor.shape(), codes, tensor.packed_parameters(), "x").codes().size(), 0U); });
      ASSERT_TRUE(error.has_value()) << count << " codes, bit " << bit;
      EXPECT_EQ(error->code(), ErrorCode::corrupt_file);
    }
  }
}

TEST_P(Conformance, CodesOutsideTheFormatAreRefused) {
  const FormatParameters parameters = fit(format_, scattered_values(3));
  const CodeRange range = range_of(format_, parameters);
  for (const std::int64_t code : {range.first - 1, range.last + 1}) {
    const auto error = test::error_of([&] {
      const QuantizedTensor tensor(format_, {3}, {static_cast<std::int32_t>(range.first), static_cast<std::int32_t>(code), 0}, parameters);
    });
    ASSERT_TRUE(error.has_value()) << code;
    EXPECT_EQ(error->code(), ErrorCode::invalid_input);
  }
}

TEST_P(Conformance, NanIsRefusedWithItsIndex) {
  std::vector<float> values = scattered_values(10);
  const FormatParameters parameters = fit(format_, values);
  values[6] = std::numeric_limits<float>::quiet_NaN();
  const std::string message =
      format_.spec() + ": a value is not finite (found nan at index 6, need a finite number); look where the tensor was made.";
  test::expect_error(ErrorCode::numerical, message, [&] { static_cast<void>(fit(format_, values)); });
  test::expect_error(ErrorCode::numerical, message, [&] { static_cast<void>(encode(format_, parameters, values, {})); });
}

TEST_P(Conformance, StochasticCodesAreNeighborsOfTheNearest) {
  const std::vector<float> values = scattered_values(64);
  const FormatParameters parameters = fit(format_, values);
  const Rng rng(3, "x");
  const std::vector<std::int32_t> nearest = encode(format_, parameters, values, {});
  const std::vector<std::int32_t> drawn = encode(format_, parameters, values, {.mode = Rounding::stochastic, .rng = &rng});
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_LE(std::abs(nearest[i] - drawn[i]), 1) << i;
  EXPECT_EQ(drawn, encode(format_, parameters, values, {.mode = Rounding::stochastic, .rng = &rng}));
}

TEST_P(Conformance, HuffmanBeatsNeitherEntropyNorAddsABit) {
  const QuantizedTensor tensor = quantize(format_, {500}, scattered_values(500));
  const double entropy = 500.0 * entropy_bits_per_code(tensor.codes());
  const auto table = static_cast<double>(5 * format_.code_count());
  const auto huffman = static_cast<double>(huffman_size_bits(tensor.codes(), format_.code_count())) - table;
  EXPECT_GE(huffman, entropy - 1e-6);  // the sum of 500 logarithms rounds by far less
  EXPECT_LE(huffman, entropy + 500.0);
}

INSTANTIATE_TEST_SUITE_P(Formats, Conformance, ::testing::ValuesIn(every_sample()), test_name);

TEST(ConformanceSuite, CoversEveryLineOfTheRegistry) {
  std::set<std::string_view> names;
  for (const Sample& sample : every_sample()) names.insert(sample.entry.name);
  EXPECT_EQ(names.size(), registered_formats().size());
}

}  // namespace
}  // namespace bitwright
