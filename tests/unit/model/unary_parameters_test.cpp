// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/unary_parameters.h"

#include "bitwright/core/error.h"
#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <limits>

namespace bitwright {
namespace {

UnaryParameters of(Op op, std::map<std::string, Attribute> attributes = {}) {
  return unary_parameters({.name = "n", .op = op, .inputs = {"x"}, .outputs = {"y"}, .attributes = std::move(attributes)});
}

TEST(UnaryParameters, DefaultsAreOnnxs) {
  EXPECT_EQ(of(Op::HardSigmoid), (UnaryParameters{.alpha = 0.2F, .beta = 0.5F}));
  EXPECT_EQ(of(Op::LeakyRelu), (UnaryParameters{.alpha = 0.01F}));
  EXPECT_EQ(of(Op::Elu), (UnaryParameters{.alpha = 1.0F}));
  EXPECT_EQ(of(Op::Clip), (UnaryParameters{.alpha = std::numeric_limits<float>::lowest(), .beta = std::numeric_limits<float>::max()}));
  EXPECT_EQ(of(Op::Gelu), UnaryParameters{});
  EXPECT_EQ(of(Op::Tanh), UnaryParameters{});
}

TEST(UnaryParameters, ReadsWhatIsStated) {
  EXPECT_EQ(of(Op::HardSigmoid, {{"alpha", 0.5F}, {"beta", 0.25F}}), (UnaryParameters{.alpha = 0.5F, .beta = 0.25F}));
  EXPECT_EQ(of(Op::Clip, {{"min", 0.0F}, {"max", 6.0F}}), (UnaryParameters{.alpha = 0.0F, .beta = 6.0F}));
  EXPECT_EQ(of(Op::Gelu, {{"approximate", std::string("tanh")}}).approximation, UnaryParameters::Approximation::tanh);
}

TEST(UnaryParameters, RefusesWhatMakesNoSense) {
  test::expect_error(ErrorCode::invalid_input, "node \"n\": attribute \"min\" is above \"max\" (found 2, need at most 1); check the graph.",
                     [] {
                       (void)of(Op::Clip, {{"min", 2.0F}, {"max", 1.0F}});
                     });
  test::expect_error(ErrorCode::unsupported,
                     "node \"n\": this approximation of Gelu is not supported (found fast, need none or tanh); rewrite the node.", [] {
                       (void)of(Op::Gelu, {{"approximate", std::string("fast")}});
                     });
}

}  // namespace
}  // namespace bitwright
