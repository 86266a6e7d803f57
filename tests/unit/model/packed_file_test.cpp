// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/packed_file.h"

#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/zoo.h"
#include "tests/support/expect_error.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <stdexcept>

namespace bitwright {
namespace {

using test::error_of;
using test::expect_error;
using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeaderBytes = 132;
enum SectionIndex { kNames, kGraph, kMetadata, kWeights, kTensors };

Model tiny(const std::string& format) {
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    if (tiny.name == format) return test::tiny_model(tiny.weight);
  }
  throw std::logic_error("no such case");
}

/// A file taken apart after docs/file-format.md, to be damaged and put together again with right checksums.
struct Parts {
  std::uint16_t order_mark = 0xFEFF;
  std::uint16_t version = 1;
  std::uint16_t flags = 0;
  std::uint16_t count = 5;
  std::array<Bytes, 5> sections;

  explicit Parts(const Model& model) {
    const Bytes file = pack_model(model);
    ByteReader header(file, "parts");
    (void)header.bytes(24);
    std::size_t position = kHeaderBytes;
    for (Bytes& section : sections) {
      (void)header.u32();
      const auto length = static_cast<std::size_t>(header.u64());
      (void)header.u64();
      section.assign(file.begin() + static_cast<std::ptrdiff_t>(position), file.begin() + static_cast<std::ptrdiff_t>(position + length));
      position += length;
    }
  }

  [[nodiscard]] Bytes join() const {
    ByteWriter writer;
    for (const int byte : {0x89, 0x42, 0x57, 0x54, 0x0D, 0x0A, 0x1A, 0x0A}) writer.u8(static_cast<std::uint8_t>(byte));
    writer.u16(order_mark);
    writer.u16(version);
    writer.u16(flags);
    writer.u16(count);
    std::uint64_t total = kHeaderBytes;
    for (const Bytes& section : sections) total += section.size();
    writer.u64(total);
    for (std::uint32_t i = 0; i < 5; ++i) {
      writer.u32(i + 1);
      writer.u64(sections[i].size());
      writer.u64(xxh3_64(sections[i]));
    }
    writer.u64(xxh3_64(writer.view()));
    for (const Bytes& section : sections) writer.bytes(section);
    return std::move(writer).take();
  }
};

void replace(Bytes& section, std::initializer_list<int> from, std::initializer_list<int> to) {
  const auto as = [](std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
  };
  const Bytes old = as(from);
  const auto found = std::search(section.begin(), section.end(), old.begin(), old.end());
  ASSERT_NE(found, section.end());
  const Bytes fresh = as(to);
  const auto at = section.erase(found, found + static_cast<std::ptrdiff_t>(old.size()));
  section.insert(at, fresh.begin(), fresh.end());
}

TEST(PackedFile, RoundTripsEveryFormat) {
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    const Model model = test::tiny_model(tiny.weight);
    const Bytes file = pack_model(model);
    const Model read = unpack_model(file, "net.bw");
    EXPECT_EQ(read, model) << tiny.name;
    EXPECT_EQ(weight_values(read.weights.at("fc.weight")), tiny.values) << tiny.name;
    EXPECT_EQ(pack_model(read), file) << tiny.name;
  }
}

TEST(PackedFile, RoundTripsEveryOperatorAndAttribute) {
  for (const Model& model : {test::every_operator_model(), test::every_newer_operator_model()}) {
    EXPECT_EQ(unpack_model(pack_model(model), "net.bw"), model);
  }
}

TEST(PackedFile, RoundTripsTheZoo) {
  for (const ZooEntry& entry : zoo_registry()) {
    if (entry.parameter_count > 500'000) continue;
    const Model model = build_zoo_model(entry.name, 1);
    EXPECT_EQ(unpack_model(pack_model(model), "net.bw"), model) << entry.name;
  }
}

TEST(PackedFile, ManyCodesOutliveTheFile) {
  Model model = build_zoo_model("resnet18", 1);
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(NumberFormat::parse("pow2:3"), weight_shape(weight), weight_values(weight));
  }
  std::vector<std::byte> file = pack_model(model);
  ASSERT_GT(file.size(), std::size_t{4} << 20) << "more than one huge page of codes";
  const Model read = unpack_model(file, "resnet18.bw");
  std::ranges::fill(file, std::byte{0xFF});
  EXPECT_TRUE(read.weights == model.weights);
}

TEST(PackedFile, TheTestTakesFilesApartAsTheDocumentSays) {
  const Model model = tiny("pow2");
  EXPECT_EQ(Parts(model).join(), pack_model(model));
}

TEST(PackedFile, AnyFlippedBitIsDetected) {
  for (const std::string format : {"pow2", "codebook"}) {
    const Bytes file = pack_model(tiny(format));
    for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
      Bytes damaged = file;
      damaged[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
      const auto error = error_of([&] { (void)unpack_model(damaged, "net.bw"); });
      ASSERT_TRUE(error) << "bit " << bit;
      // Two bytes of version may well become a newer one; everything else is damage.
      const bool in_version = bit / 8 == 10 || bit / 8 == 11;
      const bool is_newer = in_version && error->code() == ErrorCode::unsupported;
      ASSERT_TRUE(is_newer || error->code() == ErrorCode::corrupt_file) << "bit " << bit << ": " << error->message();
      ASSERT_TRUE(error->message().starts_with("net.bw: ")) << error->message();
    }
  }
}

// The tensors are decoded while they are hashed: whatever the decoder says of damaged bytes, the message is the checksum's.
TEST(PackedFile, DamagedTensorsAreAMatterOfTheChecksum) {
  const Bytes file = pack_model(tiny("pow2"));
  Bytes damaged = file;
  damaged.back() ^= std::byte{0xFF};  // the padding bits, which the decoder refuses too
  expect_error(ErrorCode::corrupt_file, "net.bw: the checksum of the tensors section is wrong; the file is damaged, get it again.",
               [&] { (void)unpack_model(damaged, "net.bw"); });
}

TEST(PackedFile, AnyTruncationOrExtensionIsCorrupt) {
  const Bytes file = pack_model(tiny("ternary"));
  for (std::size_t length = 0; length < file.size(); ++length) {
    const auto error = error_of([&] { (void)unpack_model(std::span(file).first(length), "net.bw"); });
    ASSERT_TRUE(error) << length;
    ASSERT_EQ(error->code(), ErrorCode::corrupt_file) << length;
  }
  Bytes longer = file;
  longer.push_back(std::byte{0});
  expect_error(ErrorCode::corrupt_file,
               "net.bw: the file has the wrong length (found " + std::to_string(file.size() + 1) + " bytes, need " +
                   std::to_string(file.size()) + "); it is truncated or damaged, get it again.",
               [&] { (void)unpack_model(longer, "net.bw"); });
}

TEST(PackedFile, HeaderMessages) {
  const Model model = tiny("pow2");
  const auto refuses = [](ErrorCode code, const std::string& message, const Bytes& file) {
    expect_error(code, message, [&] { (void)unpack_model(file, "net.bw"); });
  };
  Parts newer(model);
  newer.version = 2;
  refuses(ErrorCode::unsupported, "net.bw: file version 2, this program reads up to 1; update bitwright.", newer.join());
  Parts zero(model);
  zero.version = 0;
  refuses(ErrorCode::corrupt_file, "net.bw: file version 0 does not exist (need 1); the file is damaged, get it again.", zero.join());
  Parts swapped(model);
  swapped.order_mark = 0xFFFE;
  refuses(ErrorCode::corrupt_file, "net.bw: the byte order mark is wrong (found 0xfffe, need 0xfeff); the file is damaged, get it again.",
          swapped.join());
  Parts flagged(model);
  flagged.flags = 1;
  refuses(ErrorCode::unsupported,
          "net.bw: the header is not one of version 1 (found flags 0x0001, 5 sections, need 0x0000, 5); update bitwright.", flagged.join());
}

TEST(PackedFile, MagicMessages) {
  const Bytes file = pack_model(tiny("pow2"));
  expect_error(ErrorCode::corrupt_file,
               "net.bw: the file ends too early (found 3 bytes, need at least 132); it is truncated, get it again.",
               [&] { (void)unpack_model(std::span(file).first(3), "net.bw"); });
  Bytes text_mode = file;
  text_mode.erase(text_mode.begin() + 4);  // CR LF became LF
  expect_error(ErrorCode::corrupt_file, "net.bw: a transfer in text mode changed the line ends; copy the file again in binary mode.",
               [&] { (void)unpack_model(text_mode, "net.bw"); });
  expect_error(ErrorCode::corrupt_file, "net.bw: not a packed bitwright file (its first 8 bytes are not the magic); give a .bw file.",
               [&] { (void)unpack_model(as_bytes("PK\x03\x04 a zip file, of course"), "net.bw"); });
}

TEST(PackedFile, UnknownOperatorAndFormatAreUnsupported) {
  Parts operators(tiny("pow2"));
  replace(operators.sections[kNames], {4, 'G', 'e', 'm', 'm'}, {4, 'G', 'e', 'n', 'm'});
  expect_error(
      ErrorCode::unsupported,
      "net.bw (graph section): operator \"Genm\" is not known (nearest: Gemm); known operators are Abs, Add, AveragePool, "
      "BatchNormalization, Clip, Concat, Conv, Div, Dropout, Elu, Erf, Exp, Flatten, Gather, Gelu, Gemm, GlobalAveragePool, "
      "GlobalMaxPool, HardSigmoid, HardSwish, LRN, LayerNormalization, LeakyRelu, MatMul, MaxPool, Mul, Neg, PRelu, Pad, Pow, ReduceMean, "
      "Relu, Reshape, Sigmoid, Slice, Softmax, Sqrt, Sub, Tanh, Transpose.",
      [&] { (void)unpack_model(operators.join(), "net.bw"); });
  Parts formats(tiny("pow2"));
  replace(formats.sections[kWeights], {2, 6, 'p', 'o', 'w', '2', ':', '3'}, {9, 6, 'p', 'o', 's', 'i', 't', '8'});
  expect_error(ErrorCode::unsupported,
               "net.bw (tensors section): weight \"fc.weight\" has a number format that is not known (found tag 9, spec \"posit8\"); "
               "update bitwright.",
               [&] { (void)unpack_model(formats.join(), "net.bw"); });
}

struct Damage {
  std::string what;
  std::string message;
  std::function<void(Parts&)> damage_it;
};

class DamagedBehindTheChecksum : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedBehindTheChecksum, IsCorrupt) {
  Parts parts(tiny("pow2"));
  GetParam().damage_it(parts);
  expect_error(ErrorCode::corrupt_file, GetParam().message, [&] { (void)unpack_model(parts.join(), "net.bw"); });
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedBehindTheChecksum,
    ::testing::Values(Damage{"LeftOverBytes",
                             "net.bw (metadata section): bytes are left over (found 1, need 0); the file is damaged, get it again.",
                             [](Parts& p) { p.sections[kMetadata].push_back(std::byte{0}); }},
                      Damage{"CountOverTheBytes",
                             "net.bw (names section): the file ends too early at byte 52 (found 0 more bytes, need 1); it is truncated or "
                             "damaged, get it again.",
                             [](Parts& p) { p.sections[kNames][0] = std::byte{100}; }},
                      Damage{"CountOverTheLimit",
                             "net.bw (weights section): weights at byte 0 is over the limit (found 2097151, need at most 65536); the file "
                             "is damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kWeights], {2}, {0xFF, 0xFF, 0x7F});
                             }},
                      Damage{"LongFormOfANumber",
                             "net.bw: the names section is not in the one form that version 1 allows; write the file again with bitwright.",
                             [](Parts& p) {
                               replace(p.sections[kNames], {8}, {0x88, 0x00});
                             }},
                      Damage{"UnsortedNames",
                             "net.bw: the names section is not in the one form that version 1 allows; write the file again with bitwright.",
                             [](Parts& p) {
                               // "fc" and "fc.bias" change places, and so do the references to them.
                               replace(p.sections[kNames], {2, 'f', 'c', 7, 'f', 'c', '.', 'b', 'i', 'a', 's'},
                                       {7, 'f', 'c', '.', 'b', 'i', 'a', 's', 2, 'f', 'c'});
                               replace(p.sections[kGraph], {1, 2, 1, 3, 5, 4, 3}, {1, 3, 1, 3, 5, 4, 2});
                               replace(p.sections[kWeights], {2, 3, 0}, {2, 2, 0});
                             }},
                      Damage{"UnusedName",
                             "net.bw: the names section is not in the one form that version 1 allows; write the file again with bitwright.",
                             [](Parts& p) {
                               replace(p.sections[kNames], {8}, {9});
                               for (const char c : std::string("\x02zz")) p.sections[kNames].push_back(static_cast<std::byte>(c));
                             }},
                      Damage{"CodeOutsideTheFormat",
                             "net.bw (tensors section), weight \"fc.weight\": a code lies outside pow2:3 (found 5 at index 4, need 0 to "
                             "4); the file is damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kTensors], {0x88, 0x46, 0x00}, {0x88, 0x56, 0x00});
                             }},
                      Damage{"PaddingBits",
                             "net.bw (tensors section), weight \"fc.weight\": code byte 2 is not one that a pow2:3 tensor [2, 3] can hold "
                             "(found 128, need zero padding and "
                             "valid digits); the file is damaged, get it again.",
                             [](Parts& p) { p.sections[kTensors].back() = std::byte{0x80}; }},
                      Damage{"FormatTextOutOfRange",
                             "net.bw (tensors section): weight \"fc.weight\" has a bad number format (found tag 2, spec \"pow2:9\"); the "
                             "file is damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kWeights], {'p', 'o', 'w', '2', ':', '3'}, {'p', 'o', 'w', '2', ':', '9'});
                             }},
                      Damage{"TagOfAnotherFormat",
                             "net.bw (tensors section): weight \"fc.weight\" has a bad number format (found tag 3, spec \"pow2:3\"); the "
                             "file is damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kWeights], {2, 6, 'p'}, {3, 6, 'p'});
                             }},
                      Damage{"FloatLength",
                             "net.bw (tensors section): weight \"fc.bias\" has a wrong length (found 0 + 7 bytes, need 0 + 8); the file is "
                             "damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kWeights], {0, 1, 2, 8}, {0, 1, 2, 7});
                             }},
                      Damage{"HugeTensor",
                             "net.bw (tensors section): weight \"fc.bias\" has a wrong length (found 0 + 8 bytes, need 0 + 8589934588); "
                             "the file is damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kWeights], {0, 1, 2, 8}, {0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 8});
                             }},
                      Damage{"AttributeType",
                             "net.bw (graph section): an attribute at byte 19 has an unknown type (found 5, need 0 to 4); the file is "
                             "damaged, get it again.",
                             [](Parts& p) {
                               replace(p.sections[kGraph], {8, 0, 2}, {8, 5, 2});
                             }},
                      Damage{"NotAValidModel",
                             "net.bw: tiny: weight \"fc.weight\" is not finite at index 0 (found nan, need a finite number); train again "
                             "or repair the file.",
                             [](Parts& p) {
                               p = Parts(tiny("float32"));
                               for (std::size_t i = 0; i < 4; ++i) p.sections[kTensors][8 + i] = i == 3 ? std::byte{0x7F} : std::byte{0xFF};
                             }}),
    [](const auto& instance) { return instance.param.what; });

TEST(PackedFile, RefusesToWriteAnInvalidModel) {
  Model model = tiny("float32");
  std::get<FloatTensor>(model.weights["fc.weight"]).values[2] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorCode::invalid_input,
               "tiny: weight \"fc.weight\" is not finite at index 2 (found nan, need a finite number); train again or repair the file.",
               [&] { (void)pack_model(model); });
}

TEST(PackedFile, RefusesToWriteWhatItWouldNotRead) {
  Model model = tiny("pow2");
  model.notes["long"] = std::string(limits::kMaxTextBytes, 'x');
  EXPECT_EQ(unpack_model(pack_model(model), "net.bw"), model);
  model.notes["long"] += 'x';
  expect_error(ErrorCode::invalid_input,
               "the packed file cannot hold this model: bytes of a note (found 65537, need at most 65536); make the model smaller.",
               [&] { (void)pack_model(model); });
}

TEST(PackedFile, SavesAndLoads) {
  const test::TempFolder folder;
  const Model model = tiny("uniform");
  save_packed(folder / "net.bw", model);
  EXPECT_EQ(load_packed(folder / "net.bw"), model);
  EXPECT_EQ(read_file(folder / "net.bw"), pack_model(model));
  const auto missing = error_of([&] { (void)load_packed(folder / "none.bw"); });
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->code(), ErrorCode::io);
}

TEST(PackedFile, SizesAddUpToTheFile) {
  for (const test::TinyCase& tiny : test::tiny_cases()) {
    const Model model = test::tiny_model(tiny.weight);
    const Parts parts(model);
    std::int64_t tensors = 0;
    std::int64_t directory = 1;  // the count
    for (const PackedWeightSize& size : packed_weight_sizes(model)) {
      tensors += size.code_bytes + size.parameter_bytes;
      directory += size.directory_bytes;
    }
    EXPECT_EQ(tensors, static_cast<std::int64_t>(parts.sections[kTensors].size())) << tiny.name;
    EXPECT_EQ(directory, static_cast<std::int64_t>(parts.sections[kWeights].size())) << tiny.name;
  }
}

Model lenet(int bits) {
  Model model = build_zoo_model("lenet5", 1);
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(PowerOfTwo{bits}, weight_shape(weight), weight_values(weight));
  }
  return model;
}

// INQ at b bits costs b bits a weight and two bytes a layer; biases stay float; everything else (graph, names, checksums) is below 700
// bytes.
TEST(PackedFile, LenetTakesItsBitsAndLittleElse) {
  constexpr std::int64_t kWeightCount = 430'500;
  constexpr std::int64_t kBiasBytes = 580 * 4;
  std::size_t before = pack_model(build_zoo_model("lenet5", 1)).size();
  for (int bits = 5; bits >= 2; --bits) {
    const Model model = lenet(bits);
    const std::size_t bytes = pack_model(model).size();
    EXPECT_LT(bytes, before);
    before = bytes;
    const std::int64_t code_bytes = kWeightCount * bits / 8 + 4;  // each of the four tensors is rounded up to whole bytes
    EXPECT_LE(static_cast<std::int64_t>(bytes), code_bytes + 4 * 2 + kBiasBytes + 700) << bits;
    std::int64_t parameters = 0;
    for (const PackedWeightSize& size : packed_weight_sizes(model)) parameters += size.parameter_bytes;
    EXPECT_EQ(parameters, 4 * 2);
    verify_grid(unpack_model(pack_model(model), "net.bw"));
  }
}

}  // namespace
}  // namespace bitwright
