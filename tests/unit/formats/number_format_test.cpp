// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/number_format.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <map>

namespace bitwright {
namespace {

TEST(NumberFormat, ParsesTheTextFormsOfTheDesign) {
  EXPECT_EQ(NumberFormat::parse("fixed<2,14>"), NumberFormat(FixedPoint{.int_bits = 2, .frac_bits = 14}));
  EXPECT_EQ(NumberFormat::parse("pow2:5"), NumberFormat(PowerOfTwo{.bits = 5}));
  EXPECT_EQ(NumberFormat::parse("ternary"), NumberFormat(Ternary{}));
  EXPECT_EQ(NumberFormat::parse("ternary:2bit"), NumberFormat(Ternary{.layout = TernaryLayout::two_bits}));
  EXPECT_EQ(NumberFormat::parse("uniform:4/256"), NumberFormat(Uniform{.bits = 4, .bucket_size = 256}));
  EXPECT_EQ(NumberFormat::parse("uniform:4"), NumberFormat(Uniform{.bits = 4, .bucket_size = std::nullopt}));
  EXPECT_EQ(NumberFormat::parse("codebook:16/256"), NumberFormat(Codebook{.levels = 16, .bucket_size = 256}));
}

TEST(NumberFormat, TagsNeverChange) {
  std::map<std::string, int> tags;
  for (const RegisteredFormat& entry : registered_formats()) tags.emplace(entry.name, entry.tag);
  // Released tags: a new format adds a line here, no line ever changes.
  const std::map<std::string, int> released = {{"fixed", 1}, {"pow2", 2}, {"ternary", 3}, {"uniform", 4}, {"codebook", 5}};
  EXPECT_EQ(tags, released);
}

TEST(NumberFormat, EveryRegisteredExampleParsesToItsOwnLine) {
  for (const RegisteredFormat& entry : registered_formats()) {
    const NumberFormat format = NumberFormat::parse(entry.example);
    EXPECT_EQ(format.spec(), entry.example);
    EXPECT_EQ(format.name(), entry.name);
    EXPECT_EQ(format.tag(), entry.tag);
  }
}

TEST(NumberFormat, AnswersForItsFormat) {
  const NumberFormat format = Codebook{.levels = 5, .bucket_size = 100};
  EXPECT_EQ(format.code_bits(), 3);
  EXPECT_EQ(format.code_count(), 5);
  EXPECT_EQ(format.code_layout(), CodeLayout::unsigned_bits);
  EXPECT_EQ(format.parameter_bytes(150), 5 * 4 + 2 * 8);
  ASSERT_NE(format.get_if<Codebook>(), nullptr);
  EXPECT_EQ(format.get_if<Codebook>()->levels, 5);
  EXPECT_EQ(format.get_if<Ternary>(), nullptr);
}

TEST(NumberFormat, AFieldOutOfRangeNeverBecomesAFormat) {
  test::expect_error(ErrorCode::usage, "format pow2:99: BITS out of range (found 99, need 2 to 8); choose a value in that range.",
                     [] { EXPECT_EQ(NumberFormat(PowerOfTwo{.bits = 99}).code_bits(), 0); });
}

struct BadText {
  const char* text;
  const char* message;
};

class NumberFormatBadText : public ::testing::TestWithParam<BadText> {};

TEST_P(NumberFormatBadText, IsRefusedWithTheWholeMessage) {
  test::expect_error(ErrorCode::usage, GetParam().message, [] { EXPECT_EQ(NumberFormat::parse(GetParam().text).spec(), ""); });
}

INSTANTIATE_TEST_SUITE_P(
    Table, NumberFormatBadText,
    ::testing::Values(
        BadText{
            "pow3:5",
            "format pow3:5: unknown number format (found pow3, need one of fixed, pow2, ternary, uniform, codebook); did you mean pow2?"},
        BadText{"", "format : unknown number format (found , need one of fixed, pow2, ternary, uniform, codebook); did you mean pow2?"},
        BadText{"Ternary",
                "format Ternary: unknown number format (found , need one of fixed, pow2, ternary, uniform, codebook); did you mean pow2?"},
        BadText{"pow2:0", "format pow2:0: BITS out of range (found 0, need 2 to 8); choose a value in that range."},
        BadText{"pow2:1", "format pow2:1: BITS out of range (found 1, need 2 to 8); choose a value in that range."},
        BadText{"pow2:99", "format pow2:99: BITS out of range (found 99, need 2 to 8); choose a value in that range."},
        BadText{"pow2", "format pow2: does not follow the syntax (found pow2, need pow2:BITS); write for example pow2:5."},
        BadText{"pow2:-3", "format pow2:-3: does not follow the syntax (found pow2:-3, need pow2:BITS); write for example pow2:5."},
        BadText{"pow2:5x", "format pow2:5x: does not follow the syntax (found pow2:5x, need pow2:BITS); write for example pow2:5."},
        BadText{"ternary:2", "format ternary:2: does not follow the syntax (found ternary:2, need ternary or ternary:2bit); write for example ternary."},
        BadText{"fixed<2>",
                "format fixed<2>: does not follow the syntax (found fixed<2>, need fixed<IL,FL>); write for example fixed<2,14>."},
        BadText{"fixed<2,14",
                "format fixed<2,14: does not follow the syntax (found fixed<2,14, need fixed<IL,FL>); write for example fixed<2,14>."},
        BadText{"fixed<0,8>", "format fixed<0,8>: IL out of range (found 0, need 1 to 32); choose a value in that range."},
        BadText{"fixed<1,0>", "format fixed<1,0>: IL + FL out of range (found 1, need 2 to 32); choose a value in that range."},
        BadText{"fixed<20,20>", "format fixed<20,20>: IL + FL out of range (found 40, need 2 to 32); choose a value in that range."},
        BadText{"uniform:17", "format uniform:17: BITS out of range (found 17, need 1 to 16); choose a value in that range."},
        BadText{"uniform:4/0", "format uniform:4/0: BUCKET out of range (found 0, need 1 to 2147483648); choose a value in that range."},
        BadText{"uniform:4/",
                "format uniform:4/: does not follow the syntax (found uniform:4/, need uniform:BITS or uniform:BITS/BUCKET); write "
                "for example uniform:4/256."},
        BadText{"codebook:1", "format codebook:1: LEVELS out of range (found 1, need 2 to 65536); choose a value in that range."},
        BadText{"codebook:99999999999999999999",
                "format codebook:2147483647: LEVELS out of range (found 2147483647, need 2 to 65536); choose a value in that range."}));

}  // namespace
}  // namespace bitwright
