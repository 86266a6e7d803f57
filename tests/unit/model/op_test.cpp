// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/op.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(OpRegistry, EveryNameParsesToItsEnumeratorAndEntry) {
  ASSERT_EQ(op_registry().size(), 13U);
  for (const OpEntry& entry : op_registry()) {
    EXPECT_EQ(parse_op(entry.name), entry.op) << entry.name;
    EXPECT_EQ(op_entry(entry.op).name, entry.name);
    EXPECT_LE(1, entry.min_inputs) << entry.name;
    EXPECT_LE(entry.min_inputs, entry.max_inputs) << entry.name;
  }
}

TEST(OpRegistry, OnlyConvAndGemmMultiplyByWeights) {
  for (const OpEntry& entry : op_registry()) EXPECT_EQ(entry.has_weight, entry.op == Op::Conv || entry.op == Op::Gemm) << entry.name;
}

TEST(OpRegistry, UnknownNameSuggestsTheNearest) {
  test::expect_error(
      ErrorCode::unsupported,
      "operator \"Convv\" is not known (nearest: Conv); known operators are Add, AveragePool, BatchNormalization, Conv, Dropout, "
      "Flatten, Gemm, GlobalAveragePool, MaxPool, Pad, Relu, Slice, Softmax.",
      [] { (void)parse_op("Convv"); });
}

}  // namespace
}  // namespace bitwright
