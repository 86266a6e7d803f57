// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/quantized_tensor.h"

#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {
namespace {

using ::testing::ElementsAre;

const NumberFormat kPow2 = PowerOfTwo{.bits = 3};
const FormatParameters kPow2Parameters = PowerOfTwo::Parameters{.exp_max = 0, .exp_min = -1};

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

void expect_refused(std::string_view message, const NumberFormat& format, const Shape& shape, const std::vector<std::byte>& codes,
                    const std::vector<std::byte>& parameters) {
  test::expect_error(ErrorCode::corrupt_file, message, [&] {
    EXPECT_EQ(QuantizedTensor::unpack(format, shape, codes, parameters, "net.bw: conv1.weight").codes().size(), 0U);
  });
}

TEST(QuantizedTensor, KeepsWhatItIsMadeOf) {
  const QuantizedTensor tensor(kPow2, {2, 2}, {0, 1, 2, 4}, kPow2Parameters);
  EXPECT_EQ(tensor.format(), kPow2);
  EXPECT_EQ(tensor.shape(), Shape({2, 2}));
  EXPECT_EQ(tensor.parameters(), kPow2Parameters);
  EXPECT_THAT(tensor.dequantize(), ElementsAre(0.0F, 0.5F, -0.5F, -1.0F));
  EXPECT_EQ(tensor.code_size_bits(), 16);  // 12 bits of codes in two bytes
  EXPECT_EQ(tensor.parameter_size_bits(), 16);
}

TEST(QuantizedTensor, RefusesWhatDoesNotFit) {
  test::expect_error(ErrorCode::invalid_input, "pow2:3 tensor [2, 2]: wrong number of codes (found 1, need 4); encode the tensor anew.",
                     [] {
                       const QuantizedTensor tensor(kPow2, {2, 2}, {0}, kPow2Parameters);
                     });
  test::expect_error(ErrorCode::invalid_input,
                     "pow2:3 tensor [2]: a code lies outside pow2:3 (found 5 at index 1, need 0 to 4); encode the tensor anew.", [] {
                       const QuantizedTensor tensor(kPow2, {2}, {0, 5}, kPow2Parameters);
                     });
  test::expect_error(ErrorCode::invalid_input,
                     "pow2:3 tensor [1]: a code lies outside pow2:3 (found -1 at index 0, need 0 to 4); encode the tensor anew.",
                     [] { const QuantizedTensor tensor(kPow2, {1}, {-1}, kPow2Parameters); });
  test::expect_error(ErrorCode::invalid_input,
                     "pow2:3: the parameters belong to another format (found those of ternary, need those of pow2); fit them anew.",
                     [] { const QuantizedTensor tensor(kPow2, {1}, {0}, Ternary::Parameters{}); });
  test::expect_error(ErrorCode::invalid_input,
                     "ternary tensor [1]: a scale is wrong (found 0, need a finite number above 0); encode the tensor anew.", [] {
                       const QuantizedTensor tensor(Ternary{}, {1}, {0},
                                                    Ternary::Parameters{.positive_scale = 1.0F, .negative_scale = 0.0F, .threshold = 0.0F});
                     });
}

TEST(QuantizedTensor, UnpackRebuildsWhatWasPacked) {
  const std::vector<float> values = {0.9F, -0.7F, 0.3F, 0.1F, -0.05F, 0.02F, 0.004F};
  for (const char* spec : {"fixed<2,5>", "fixed<2,14>", "pow2:5", "ternary", "uniform:3/4", "uniform:16", "codebook:5/3"}) {
    const QuantizedTensor tensor = quantize(NumberFormat::parse(spec), {7}, values);
    const QuantizedTensor again =
        QuantizedTensor::unpack(tensor.format(), tensor.shape(), tensor.packed_codes(), tensor.packed_parameters(), "test");
    EXPECT_EQ(again, tensor) << spec;
    EXPECT_EQ(again.dequantize(), tensor.dequantize()) << spec;
  }
}

TEST(QuantizedTensor, DamageIsRefused) {
  const auto two = bytes_of({0, 0xFF});  // exponents 0 and -1
  expect_refused(
      "net.bw: conv1.weight: wrong number of code bytes for a pow2:3 tensor [2] (found 2, need 1); the file is damaged, get it again.",
      kPow2, {2}, bytes_of({0, 0}), two);
  expect_refused(
      "net.bw: conv1.weight: wrong number of parameter bytes for a pow2:3 tensor [2] (found 0, need 2); the file is damaged, get it again.",
      kPow2, {2}, bytes_of({0}), {});
  expect_refused(
      "net.bw: conv1.weight: code byte 0 is not one that a pow2:3 tensor [2] can hold (found 64, need zero padding and valid digits); "
      "the file is damaged, get it again.",
      kPow2, {2}, bytes_of({0x40}), two);
  expect_refused("net.bw: conv1.weight: a code lies outside pow2:3 (found 5 at index 1, need 0 to 4); the file is damaged, get it again.",
                 kPow2, {2}, bytes_of({5 << 3}), two);
  expect_refused(
      "net.bw: conv1.weight: the exponents do not belong to pow2:3 (found -2 to 0, need a difference of 1); the file is damaged, get it "
      "again.",
      kPow2, {2}, bytes_of({0}), bytes_of({0, 0xFE}));
  expect_refused(
      "net.bw: conv1.weight: code byte 0 is not one that a ternary tensor [5] can hold (found 243, need zero padding and valid digits); "
      "the file is damaged, get it again.",
      Ternary{}, {5}, bytes_of({243}), bytes_of({0, 0, 0x80, 0x3F, 0, 0, 0x80, 0x3F}));
  expect_refused("net.bw: conv1.weight: a scale is wrong (found nan, need a finite number above 0); the file is damaged, get it again.",
                 Ternary{}, {5}, bytes_of({0}), bytes_of({0, 0, 0x80, 0x3F, 0, 0, 0xC0, 0x7F}));
}

TEST(QuantizedTensor, HugeShapeAllocatesNothing) {
  expect_refused(
      "net.bw: conv1.weight: wrong number of code bytes for a pow2:3 tensor [4611686018427387904] (found 1, need fewer elements); the file "
      "is "
      "damaged, get it again.",
      kPow2, {std::int64_t{1} << 62}, bytes_of({0}), bytes_of({0, 0}));
  expect_refused(
      "net.bw: conv1.weight: wrong number of code bytes for a pow2:3 tensor [1099511627776] (found 1, need 412316860416); the file is "
      "damaged, get it again.",
      kPow2, {std::int64_t{1} << 40}, bytes_of({0}), bytes_of({0, 0}));
}

/// Codes that use the whole range of the format, in an order that does not repeat with the width of a byte.
std::vector<std::int32_t> mixed_codes(const NumberFormat& format, std::int64_t count) {
  const bool is_signed = format.get_if<FixedPoint>() != nullptr;
  const std::int64_t first = is_signed ? -format.code_count() / 2 : 0;
  std::vector<std::int32_t> codes;
  for (std::int64_t i = 0; i < count; ++i) codes.push_back(static_cast<std::int32_t>(first + (i * i + 7 * i) % format.code_count()));
  return codes;
}

FormatParameters parameters_for(const NumberFormat& format, std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i % 37) - 18.0F);
  return fit(format, values);
}

/// More than one block of codes, and a rest that fills no byte.
constexpr std::int64_t kSomeBlocks = 2 * 4000 + 13;

class FromFile : public testing::TestWithParam<const char*> {
 protected:
  const NumberFormat format_ = NumberFormat::parse(GetParam());
  const std::vector<std::int32_t> codes_ = mixed_codes(format_, kSomeBlocks);
  const QuantizedTensor made_{format_, {kSomeBlocks}, codes_, parameters_for(format_, kSomeBlocks)};
  const QuantizedTensor read_ = QuantizedTensor::unpack(format_, {kSomeBlocks}, made_.packed_codes(), made_.packed_parameters(), "test");
};

TEST_P(FromFile, IsTheTensorThatWasPacked) {
  EXPECT_EQ(read_.packed_codes(), made_.packed_codes());
  EXPECT_EQ(read_.dequantize(), made_.dequantize());  // block by block, before anyone asked for codes
  EXPECT_EQ(read_, made_);
  EXPECT_THAT(read_.codes(), testing::ElementsAreArray(codes_));
  EXPECT_EQ(read_, QuantizedTensor::unpack(format_, {kSomeBlocks}, made_.packed_codes(), made_.packed_parameters(), "test"));
  EXPECT_FALSE(read_.first_not_finite());
}

TEST_P(FromFile, AnyPartOfTheCodesCanBeCopied) {
  for (const std::int64_t first : {0, 1, 7, 8, 39, 40, 41, 3999, 4000, 8000, 8012, 8013}) {
    for (const std::int64_t count : {0, 1, 2, 8, 33, 80, 4001}) {
      if (first + count > kSomeBlocks) continue;
      std::vector<std::int32_t> part(static_cast<std::size_t>(count));
      read_.copy_codes(first, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), codes_.begin() + first)) << first << ", " << count;
      std::ranges::fill(part, -1);
      made_.copy_codes(first, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), codes_.begin() + first)) << first << ", " << count;
      if (!fits_bytes(read_.format().code_layout(), read_.format().code_bits())) continue;
      std::vector<std::uint8_t> bytes(part.size(), 99);
      read_.copy_codes(first, bytes);
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), codes_.begin() + first)) << first << ", " << count;
      std::ranges::fill(bytes, std::uint8_t{99});
      made_.copy_codes(first, bytes);
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), codes_.begin() + first)) << first << ", " << count;
    }
  }
}

TEST_P(FromFile, CopiesShareTheirCodes) {
  const QuantizedTensor copy = read_;
  EXPECT_EQ(copy.codes().data(), read_.codes().data());
  EXPECT_EQ(copy, read_);
}

INSTANTIATE_TEST_SUITE_P(Formats, FromFile,
                         testing::Values("fixed<2,3>", "fixed<2,14>", "pow2:2", "pow2:3", "pow2:5", "pow2:8", "ternary", "ternary:2bit",
                                         "uniform:1", "uniform:6", "uniform:7/256", "uniform:12", "codebook:16", "codebook:5/100"));

TEST(QuantizedTensor, BytesThatSomebodyKeepsAreNotCopied) {
  const QuantizedTensor made = quantize(NumberFormat::parse("pow2:5"), Shape{40}, std::vector<float>(40, 0.5F));
  auto kept = std::make_shared<const std::vector<std::byte>>(made.packed_codes());
  const std::weak_ptr<const std::vector<std::byte>> watch = kept;
  std::optional<QuantizedTensor> read =
      QuantizedTensor::unpack(made.format(), made.shape(), *kept, made.packed_parameters(), "test", kept);
  EXPECT_EQ(kept.use_count(), 2);
  kept.reset();
  EXPECT_FALSE(watch.expired()) << "the tensor keeps them";
  EXPECT_EQ(*read, made);
  read.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(QuantizedTensor, TheFirstWrongCodeIsFoundInAnyBlock) {
  for (const std::int64_t wrong : {std::int64_t{0}, std::int64_t{3999}, std::int64_t{4000}, kSomeBlocks - 1}) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(kSomeBlocks));
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(kSomeBlocks));
    std::vector<std::int32_t> codes = zeros;
    codes[static_cast<std::size_t>(wrong)] = 7;  // pow2:3 has five codes
    bytes.resize(static_cast<std::size_t>(packed_code_bytes(CodeLayout::unsigned_bits, 3, kSomeBlocks)));
    pack_codes(CodeLayout::unsigned_bits, 3, codes, bytes);
    test::expect_error(
        ErrorCode::corrupt_file,
        fmt::format("net.bw: a code lies outside pow2:3 (found 7 at index {}, need 0 to 4); the file is damaged, get it again.", wrong),
        [&] {
          (void)QuantizedTensor::unpack(kPow2, {kSomeBlocks}, bytes, bytes_of({0, -1}), "net.bw");
        });
  }
}

TEST(QuantizedTensor, ValuesThatOverflowAreFound) {
  // 3e38 + 3e38 * 1: the level is finite, scale and minimum are, their sum is not.
  const auto tensor = [](std::optional<std::int64_t> bucket_size, std::vector<Bucket> buckets) {
    return QuantizedTensor(Uniform{.bits = 1, .bucket_size = bucket_size}, {4}, {0, 0, 1, 0},
                           Uniform::Parameters{.buckets = std::move(buckets)});
  };
  const Bucket huge{.scale = 3e38F, .min = 3e38F};
  const Bucket small{.scale = 1.0F, .min = 0.0F};
  EXPECT_EQ(tensor(std::nullopt, {huge}).first_not_finite(), 2);
  EXPECT_EQ(tensor(2, {huge, small}).first_not_finite(), std::nullopt);  // the first bucket has no 1
  EXPECT_EQ(tensor(2, {small, huge}).first_not_finite(), 2);
}

TEST(QuantizedTensor, EmptyTensorsWork) {
  for (const char* spec : {"fixed<2,14>", "pow2:5", "ternary", "uniform:4/256", "codebook:4"}) {
    const QuantizedTensor tensor = quantize(NumberFormat::parse(spec), {0}, {});
    EXPECT_EQ(tensor.code_size_bits(), 0) << spec;
    EXPECT_EQ(QuantizedTensor::unpack(tensor.format(), {0}, tensor.packed_codes(), tensor.packed_parameters(), "test"), tensor) << spec;
  }
}

TEST(QuantizedTensor, ValuesMustFillTheShape) {
  test::expect_error(ErrorCode::invalid_input, "pow2:3 tensor [3]: wrong number of values (found 2, need 3); give one value per element.",
                     [] {
                       EXPECT_EQ(quantize(kPow2, {3}, std::vector{1.0F, 2.0F}).codes().size(), 0U);
                     });
}

TEST(QuantizedTensor, EncodingUnderParametersOfAnotherSizeIsRefused) {
  const FormatParameters parameters = fit(Uniform{.bits = 4, .bucket_size = 2}, std::vector{1.0F, 2.0F});
  test::expect_error(ErrorCode::invalid_input, "uniform:4/2: wrong number of buckets (found 1, need 2); fit them anew.", [&] {
    EXPECT_TRUE(encode(Uniform{.bits = 4, .bucket_size = 2}, parameters, std::vector{1.0F, 2.0F, 3.0F}, {}).empty());
  });
}

}  // namespace
}  // namespace bitwright
