// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/safetensors.h"

#include "bitwright/core/bytes.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/model/model_source.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/safetensors_bytes.h"
#include "bitwright/model/zoo.h"
#include "tests/support/expect_error.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace bitwright {
namespace {

using test::error_of;
using test::expect_error;

std::vector<std::byte> file_of(const std::string& header, std::vector<std::uint8_t> content) {
  ByteWriter writer;
  writer.u64(header.size());
  writer.bytes(as_bytes(header));
  for (const std::uint8_t byte : content) writer.u8(byte);
  return std::move(writer).take();
}

std::map<std::string, FloatTensor, std::less<>> parse(const std::string& header, std::vector<std::uint8_t> content) {
  return parse_safetensors(file_of(header, std::move(content)), "w.safetensors");
}

TEST(Safetensors, ReadsF32F16AndBf16) {
  const auto tensors = parse(
      R"({"__metadata__":{"a":"b"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},"f":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("h":{"dtype":"F16","shape":[4],"data_offsets":[8,16]},"n.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[20,28]}}  )",
      {0,    0,    0x80, 0x3F, 0,    0,    0x20, 0xC0,                // 1, -2.5
       0x00, 0x3C, 0xFF, 0x7B, 0x01, 0x00, 0x00, 0x80,                // 1, 65504, 2^-24, -0
       0x80, 0x3F, 0x49, 0xC0, 7,    0,    0,    0,    0, 0, 0, 0});  // 1, -3.140625
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors.at("f"), (FloatTensor{Shape{1, 2}, {1.0F, -2.5F}}));
  EXPECT_EQ(tensors.at("h"), (FloatTensor{Shape{4}, {1.0F, 65504.0F, 0x1p-24F, -0.0F}}));
  EXPECT_TRUE(std::signbit(tensors.at("h").values[3]));
  EXPECT_EQ(tensors.at("b"), (FloatTensor{Shape{2}, {1.0F, -3.140625F}}));
}

TEST(Safetensors, EveryHalfIsWidenedExactly) {
  // The other way round: every finite half from its fields, in double.
  std::vector<std::uint8_t> content;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    content.push_back(static_cast<std::uint8_t>(bits));
    content.push_back(static_cast<std::uint8_t>(bits >> 8));
  }
  const auto tensors = parse(R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}})", content);
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = tensors.at("h").values[bits];
    const std::uint32_t exponent = bits >> 10 & 31;
    const double fraction = (bits & 1023) / 1024.0;
    if (exponent == 31) {
      ASSERT_TRUE(fraction == 0 ? std::isinf(value) : std::isnan(value)) << bits;
      continue;
    }
    const double magnitude = exponent == 0 ? fraction * 0x1p-14 : (1 + fraction) * std::pow(2.0, static_cast<int>(exponent) - 15);
    ASSERT_EQ(static_cast<double>(value), bits >> 15 != 0 ? -magnitude : magnitude) << bits;
  }
}

struct BadFile {
  std::string what;
  ErrorCode code;
  std::string message;
  std::string header;
  std::size_t content_bytes;
};

class BadSafetensors : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadSafetensors, IsRefusedWithItsMessage) {
  expect_error(GetParam().code, "w.safetensors: " + GetParam().message,
               [] { (void)parse(GetParam().header, std::vector<std::uint8_t>(GetParam().content_bytes)); });
}

constexpr auto kCorrupt = ErrorCode::corrupt_file;
INSTANTIATE_TEST_SUITE_P(
    All, BadSafetensors,
    ::testing::Values(
        BadFile{"NotJson", kCorrupt, "the header is not JSON; the file is damaged, get it again.", "{\"a\":", 0},
        BadFile{"NotAnObject", kCorrupt, "the header is not a JSON object; the file is damaged, get it again.", "[1]", 0},
        BadFile{"BadUtf8", kCorrupt, "the header is not JSON; the file is damaged, get it again.", "{\"\xff\":1}", 0},
        BadFile{"NestedDeeply", kCorrupt, "the header is nested too deeply; the file is damaged, get it again.",
                std::string(1000, '[') + std::string(1000, ']'), 0},
        BadFile{"NameTwice", kCorrupt, "the header names \"a\" twice; the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8},
        BadFile{"KeyTwice", kCorrupt, "the header names \"shape\" twice; the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,4]}})", 4},
        BadFile{"NoDtype", kCorrupt, "tensor \"a\" has no dtype; the file is damaged, get it again.",
                R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4},
        BadFile{"UnknownDtype", ErrorCode::unsupported,
                "tensor \"a\" has a dtype that is not known (found F4, need F32, F16 or BF16); convert it.",
                R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})", 4},
        BadFile{"OtherDtype", ErrorCode::unsupported,
                "tensor \"a\" has a dtype that is not supported (found I32, need F32, F16 or BF16); convert it.",
                R"({"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", 4},
        BadFile{"NoShape", kCorrupt, "tensor \"a\" has no list \"shape\"; the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4},
        BadFile{"NegativeExtent", kCorrupt, "tensor \"a\": \"shape\" is not a list of counts; the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4},
        BadFile{"HugeExtent", kCorrupt,
                "tensor \"a\" has an extent out of range (found 18446744073709551615); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4},
        BadFile{"HugeProduct", kCorrupt,
                "tensor \"a\" has too many elements (found [2147483647, 2147483647, 2147483647]); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,4]}})", 4},
        BadFile{"LengthAndShapeDisagree", kCorrupt,
                "tensor \"a\" has a wrong length (found 8 bytes, need [3] of F32); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8},
        BadFile{"LeavesTheFile", kCorrupt,
                "tensor \"a\" does not lie within the file (found [0, 8], need two offsets up to 4); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4},
        BadFile{"OffsetsBackwards", kCorrupt,
                "tensor \"a\" does not lie within the file (found [4, 0], need two offsets up to 4); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4},
        BadFile{"Overlap", kCorrupt, "tensor \"b\" overlaps another (found offset 4, need 8); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12},
        BadFile{"Gap", kCorrupt, "tensor \"a\" leaves a gap before it (found offset 4, need 0); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8},
        BadFile{"BytesBehind", kCorrupt, "bytes behind the last tensor (found 8, need 4); the file is damaged, get it again.",
                R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8}),
    [](const auto& instance) { return instance.param.what; });

TEST(Safetensors, HeaderLengthIsCheckedBeforeItIsUsed) {
  for (const std::uint64_t length : {std::uint64_t{5}, std::uint64_t{100'000'001}, ~std::uint64_t{0}}) {
    ByteWriter writer;
    writer.u64(length);
    writer.bytes(as_bytes("{}  "));
    expect_error(ErrorCode::corrupt_file,
                 "w.safetensors: the header is longer than allowed (found " + std::to_string(length) +
                     " bytes, need at most 4); the file is damaged, get it again.",
                 [&] { (void)parse_safetensors(writer.view(), "w.safetensors"); });
  }
}

TEST(Safetensors, EveryTruncationIsCorrupt) {
  const std::vector<std::byte> file = format_safetensors(test::every_operator_model());
  for (std::size_t length = 0; length < file.size(); ++length) {
    const auto error = error_of([&] { (void)parse_safetensors(std::span(file).first(length), "w"); });
    ASSERT_TRUE(error) << length;
    ASSERT_EQ(error->code(), ErrorCode::corrupt_file) << length << error->message();
  }
}

TEST(Safetensors, WritesSortedPaddedAndReadableBack) {
  const test::TempFolder folder;
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    const Model model = test::tiny_model(tiny.weight);
    write_safetensors(folder / "w.safetensors", model);
    const auto tensors = read_safetensors(folder / "w.safetensors");
    ASSERT_EQ(tensors.size(), 2U);
    EXPECT_EQ(tensors.at("fc.weight"), (FloatTensor{Shape{2, 3}, tiny.values})) << tiny.name;
    EXPECT_EQ(read_file(folder / "w.safetensors"), format_safetensors(model));
  }
}

TEST(Safetensors, KnownBytes) {
  const Model model = test::tiny_model(FloatTensor{Shape{2, 3}, {1.0F, 0, 0, 0, 0, 0}});
  const std::vector<std::byte> file = format_safetensors(model);
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"fc.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}})";
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  ASSERT_EQ(file.size(), 8 + padded + 32);
  ByteReader reader(file, "x");
  EXPECT_EQ(reader.u64(), padded);
  const auto text = reader.bytes(padded);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(text.data()), padded), header + std::string(padded - header.size(), ' '));
  EXPECT_EQ(reader.f32(), 0.5F);
  EXPECT_EQ(reader.f32(), -1.0F);
  EXPECT_EQ(reader.f32(), 1.0F);
}

Model tiny() { return test::tiny_model(FloatTensor{Shape{2, 3}, std::vector<float>(6, 0.5F)}); }

std::map<std::string, FloatTensor, std::less<>> tiny_tensors() {
  return {{"fc.weight", FloatTensor{Shape{2, 3}, {1, 2, 3, 4, 5, 6}}}, {"fc.bias", FloatTensor{Shape{2}, {7, 8}}}};
}

TEST(LoadWeights, ReplacesAllWeights) {
  Model model = test::tiny_model(test::tiny_cases().back().weight);  // codes give way to floats
  load_weights(model, tiny_tensors(), "w");
  EXPECT_EQ(weight_values(model.weights.at("fc.weight")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(weight_values(model.weights.at("fc.bias")), (std::vector<float>{7, 8}));
}

TEST(LoadWeights, RefusesAndLeavesTheModelAsItWas) {
  const auto refuses = [](const std::string& message, std::map<std::string, FloatTensor, std::less<>> tensors) {
    Model model = tiny();
    expect_error(ErrorCode::invalid_input, message, [&] { load_weights(model, tensors, "w.safetensors"); });
    EXPECT_EQ(model, tiny());
  };
  auto tensors = tiny_tensors();
  tensors.erase("fc.weight");
  refuses("w.safetensors: weight \"fc.weight\" of tiny is missing (need [2, 3]); give weights trained for this network.", tensors);
  tensors = tiny_tensors();
  tensors["fc.scale"] = FloatTensor{Shape{1}, {1}};
  refuses("w.safetensors: tensor \"fc.scale\" is not a weight of tiny (it has \"fc.bias\", ...); give weights trained for this network.",
          tensors);
  tensors = tiny_tensors();
  tensors["fc.weight"].shape = Shape{3, 2};
  refuses("w.safetensors: tensor \"fc.weight\" does not fit tiny (found [3, 2], need [2, 3]); give weights trained for this network.",
          tensors);
  tensors = tiny_tensors();
  tensors["fc.weight"].values[5] = std::numeric_limits<float>::quiet_NaN();
  refuses("w.safetensors: tensor \"fc.weight\" is not finite at index 5 (found nan, need a finite number); train again or repair the file.",
          tensors);
}

TEST(OpenModel, ReadsTheThreeForms) {
  const test::TempFolder folder;
  EXPECT_EQ(open_model("zoo:gupta-mnist-cnn"), build_zoo_model("gupta-mnist-cnn", 1));
  EXPECT_EQ(open_model("zoo:gupta-mnist-cnn", 9), build_zoo_model("gupta-mnist-cnn", 9));
  const Model other = build_zoo_model("gupta-mnist-cnn", 5);
  write_safetensors(folder / "w.safetensors", other);
  EXPECT_EQ(open_model("zoo:gupta-mnist-cnn@" + (folder / "w.safetensors").string()), other);
  save_packed(folder / "net.bw", other);
  EXPECT_EQ(open_model((folder / "net.bw").string()), other);
}

TEST(OpenModel, TakesWhatARegisteredReaderReads) {
  register_model_reader(".test-model", [](const std::filesystem::path& path) {
    Model model = build_zoo_model("gupta-mnist-cnn", 1);
    model.notes["path"] = path.string();
    return model;
  });
  EXPECT_EQ(open_model("a/net.test-model").notes.at("path"), "a/net.test-model");
  const auto unknown = error_of([] { (void)open_model("net.pt"); });
  ASSERT_TRUE(unknown);
  EXPECT_EQ(
      unknown->message(),
      "model \"net.pt\" is not something to open (need FILE.bw, FILE.test-model, zoo:NAME or zoo:NAME@FILE.safetensors); correct it.");
  register_model_reader(".test-model", nullptr);
}

TEST(OpenModel, RefusesOtherText) {
  for (const std::string text : {"resnet20", "net.onnx", "", "zoo"}) {
    expect_error(ErrorCode::usage,
                 "model \"" + text + "\" is not something to open (need FILE.bw, zoo:NAME or zoo:NAME@FILE.safetensors); correct it.",
                 [&] { (void)open_model(text); });
  }
  expect_error(ErrorCode::usage, "model \"zoo:lenet5@\" names no file after the @; write zoo:NAME@weights.safetensors.",
               [] { (void)open_model("zoo:lenet5@"); });
  const auto unknown = error_of([] { (void)open_model("zoo:lenet6@w.safetensors"); });
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->code(), ErrorCode::usage);
}

TEST(OpenModel, AShapeMismatchNamesTensorAndBothShapes) {
  const test::TempFolder folder;
  Model other = build_zoo_model("gupta-mnist-cnn", 1);
  auto& conv = std::get<FloatTensor>(other.weights.at("conv1.weight"));
  conv = FloatTensor{Shape{8, 1, 3, 3}, std::vector<float>(72)};
  std::get<std::vector<std::int64_t>>(other.graph.nodes[0].attributes.at("kernel_shape")) = {3, 3};
  std::get<std::vector<std::int64_t>>(other.graph.nodes[0].attributes.at("pads")) = {0, 0, 0, 0};
  other.graph.inputs[0].shape = Shape{Shape::kDynamic, 1, 26, 26};
  const std::string path = (folder / "w.safetensors").string();
  write_safetensors(path, other);
  expect_error(ErrorCode::invalid_input,
               path +
                   ": tensor \"conv1.weight\" does not fit gupta-mnist-cnn (found [8, 1, 3, 3], need [8, 1, 5, 5]); give weights trained "
                   "for this network.",
               [&] { (void)open_model("zoo:gupta-mnist-cnn@" + path); });
}

/// Folder with the published weights, when there is one.
std::filesystem::path weights_folder() {
  const char* set = std::getenv("BITWRIGHT_DATA");
  for (const std::filesystem::path& root :
       {std::filesystem::path(set != nullptr ? set : ""), std::filesystem::path(BITWRIGHT_SOURCE_DIR) / "../shared/data"}) {
    if (!root.empty() && std::filesystem::exists(root / "weights")) return root / "weights";
  }
  return {};
}

TEST(PublishedWeights, LoadIntoTheResnetsExactly) {
  const std::filesystem::path folder = weights_folder();
  if (folder.empty()) GTEST_SKIP() << "no folder of published weights";
  for (const std::string name : {"resnet20", "resnet32", "resnet44", "resnet56"}) {
    const std::filesystem::path path = folder / (name + ".safetensors");
    const Model model = open_model("zoo:" + name + "@" + path.string());
    validate(model);
    for (const auto& [tensor_name, tensor] : read_safetensors(path))
      EXPECT_EQ(std::get<FloatTensor>(model.weights.at(tensor_name)), tensor);
    EXPECT_EQ(unpack_model(pack_model(model), "net.bw"), model);
  }
}

}  // namespace
}  // namespace bitwright
