// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/code_table.h"

#include "tests/unit/runtime/small_models.h"

namespace bitwright {
namespace {

TEST(CodeTable, LooksUpExactlyWhatDequantizeGives) {
  const std::vector<float> values = test::normals("code_table", 300);
  for (const char* format : {"pow2:2", "pow2:5", "ternary", "uniform:4", "codebook:17", "fixed<2,3>", "fixed<1,2>"}) {
    const QuantizedTensor tensor = quantize(NumberFormat::parse(format), Shape{20, 15}, values);
    const CodeTable table = code_table(tensor, 32);
    ASSERT_EQ(table.values.size(), static_cast<std::size_t>(table.levels)) << format;
    EXPECT_EQ(table.levels, tensor.format().code_count());
    EXPECT_EQ(table.buckets, 1);
    std::vector<float> looked_up;
    for (const std::int32_t code : table.codes) looked_up.push_back(table.values.at(static_cast<std::size_t>(code)));
    EXPECT_EQ(looked_up, tensor.dequantize()) << format;
  }
}

TEST(CodeTable, BucketsScaleTheLevelsToExactlyWhatDequantizeGives) {
  const std::vector<float> values = test::normals("code_table", 300);
  for (const char* format : {"uniform:4/100", "uniform:1/7", "uniform:8/64", "codebook:5/100", "codebook:17/299"}) {
    const QuantizedTensor tensor = quantize(NumberFormat::parse(format), Shape{20, 15}, values);
    const CodeTable table = code_table(tensor, 256);
    ASSERT_GT(table.buckets, 1) << format;
    ASSERT_EQ(table.scales.size(), static_cast<std::size_t>(table.buckets));
    std::vector<float> looked_up;
    for (std::size_t i = 0; i < table.codes.size(); ++i) {
      const std::size_t bucket = i / static_cast<std::size_t>(table.bucket_size);
      const float scaled = table.scales.at(bucket) * table.values.at(static_cast<std::size_t>(table.codes[i]));
      looked_up.push_back(table.mins.at(bucket) + scaled);
    }
    EXPECT_EQ(looked_up, tensor.dequantize()) << format;
  }
}

TEST(CodeTable, IsEmptyWhereThereAreTooManyLevels) {
  const std::vector<float> values = test::normals("code_table", 300);
  const CodeTable many = code_table(quantize(NumberFormat::parse("pow2:8"), Shape{300}, values), 32);
  EXPECT_EQ(many.levels, 129);
  EXPECT_TRUE(many.values.empty());
}

}  // namespace
}  // namespace bitwright
