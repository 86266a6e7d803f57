// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runs/json.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>

namespace bitwright {
namespace {

using test::expect_error;

TEST(JsonLineTest, KeysAreSortedAndTextEscaped) {
  EXPECT_EQ(to_json_line({{"b", std::string("x\"\\\n\t\x01\xc3\xa9")}, {"a", std::int64_t{-7}}, {"c \"d\"", 0.1}}),
            "{\"a\": -7, \"b\": \"x\\\"\\\\\\n\\t\\u0001\xc3\xa9\", \"c \\\"d\\\"\": 0.1}");
  EXPECT_EQ(to_json_line({}), "{}");
  EXPECT_EQ(to_json_line({{"a", std::string("\xff")}}), "{\"a\": \"\xef\xbf\xbd\"}") << "not UTF-8";
}

TEST(JsonLineTest, DoublesAreTheShortestTextThatReadsBackEqual) {
  const std::vector<std::pair<double, std::string>> cases{
      {0.0, "0.0"},    {-0.0, "-0.0"},  {1.0, "1.0"},     {0.1, "0.1"},       {1.0 / 3.0, "0.3333333333333333"},
      {1e21, "1e+21"}, {1e-7, "1e-07"}, {99.12, "99.12"}, {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(to_json_value(value), text);
}

TEST(JsonLineTest, EveryFiniteDoubleReadsBackBitForBit) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const Metrics back = parse_json_line(to_json_line({{"x", value}}), "line");
    ASSERT_TRUE(std::holds_alternative<double>(back.at("x"))) << value;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(std::get<double>(back.at("x"))), std::bit_cast<std::uint64_t>(value)) << value;
  }
}

TEST(JsonLineTest, IntegersKeepTheirKindAndAllTheirBits) {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    const Metrics back = parse_json_line(to_json_line({{"x", value}}), "line");
    EXPECT_EQ(back.at("x"), MetricValue(value));
  }
}

TEST(JsonLineTest, WhatJsonHasNotBecomesText) {
  EXPECT_EQ(to_json_line({{"a", std::numeric_limits<double>::quiet_NaN()},
                          {"b", std::numeric_limits<double>::infinity()},
                          {"c", -std::numeric_limits<double>::infinity()}}),
            R"({"a": "nan", "b": "inf", "c": "-inf"})");
}

TEST(JsonLineTest, RefusesWhatIsNoFlatObject) {
  const auto parsing = [](std::string_view line) { return [line] { static_cast<void>(parse_json_line(line, "m line 3")); }; };
  for (const char* const line : {"", "{", "{\"a\": 1} x", "{\"a\": NaN}", "{'a': 1}"}) {
    expect_error(ErrorCode::corrupt_file, "m line 3: this is no JSON; delete the file or the line.", parsing(line));
  }
  expect_error(ErrorCode::corrupt_file, "m line 3: this is no JSON object (found array); delete the file or the line.", parsing("[1]"));
  expect_error(ErrorCode::corrupt_file, "m line 3: `a` has a value of the wrong kind (found null, need a number or a text); correct it.",
               parsing(R"({"a": null})"));
  expect_error(ErrorCode::corrupt_file, "m line 3: `a` has a value of the wrong kind (found boolean, need a number or a text); correct it.",
               parsing(R"({"a": true})"));
  expect_error(ErrorCode::corrupt_file, "m line 3: `a` has a value of the wrong kind (found object, need a number or a text); correct it.",
               parsing(R"({"a": {}})"));
  expect_error(ErrorCode::corrupt_file,
               "m line 3: `a` has a value of the wrong kind (found a number that is too big, need a number or a text); correct it.",
               parsing(R"({"a": 9223372036854775808})"));
}

}  // namespace
}  // namespace bitwright
