// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/op.h"

#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <set>

namespace bitwright {
namespace {

TEST(OpRegistry, EveryNameParsesToItsEnumeratorAndEntry) {
  ASSERT_EQ(op_registry().size(), 40U);
  for (const OpEntry& entry : op_registry()) {
    EXPECT_EQ(parse_op(entry.name), entry.op) << entry.name;
    EXPECT_EQ(op_entry(entry.op).name, entry.name);
    EXPECT_LE(1, entry.min_inputs) << entry.name;
    EXPECT_LE(entry.min_inputs, entry.max_inputs) << entry.name;
  }
}

TEST(OpRegistry, SaysWhichInputsAreStored) {
  const auto names_with = [](Stored stored) {
    std::set<std::string_view> names;
    for (const OpEntry& entry : op_registry()) {
      if (entry.stored == stored) names.insert(entry.name);
    }
    return names;
  };
  EXPECT_EQ(names_with(Stored::weight), (std::set<std::string_view>{"Conv", "Gemm"}));
  EXPECT_EQ(names_with(Stored::optional_weight), std::set<std::string_view>{"MatMul"});
  EXPECT_EQ(names_with(Stored::parameters), (std::set<std::string_view>{"BatchNormalization", "LayerNormalization", "PRelu"}));
  EXPECT_EQ(names_with(Stored::any), (std::set<std::string_view>{"Add", "Div", "Mul", "Pow", "Sub"}));
}

TEST(OpRegistry, UnknownNameSuggestsTheNearest) {
  test::expect_error(
      ErrorCode::unsupported,
      "operator \"Convv\" is not known (nearest: Conv); known operators are Abs, Add, AveragePool, BatchNormalization, Clip, Concat, Conv, "
      "Div, Dropout, Elu, Erf, Exp, Flatten, Gather, Gelu, Gemm, GlobalAveragePool, GlobalMaxPool, HardSigmoid, HardSwish, LRN, "
      "LayerNormalization, LeakyRelu, MatMul, MaxPool, Mul, Neg, PRelu, Pad, Pow, ReduceMean, Relu, Reshape, Sigmoid, Slice, Softmax, "
      "Sqrt, Sub, Tanh, Transpose.",
      [] { (void)parse_op("Convv"); });
}

}  // namespace
}  // namespace bitwright
