// SPDX-License-Identifier: Apache-2.0
// Fixed-point models in integers: Session equals the reference to the bit, for any threads, batch and instruction set.
#include "bitwright/core/error.h"
#include "bitwright/kernels/isa.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "tests/support/expect_error.h"
#include "tests/support/fixed_models.h"
#include "tests/unit/runtime/small_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace bitwright {
namespace {

constexpr FixedPoint kWeights{.int_bits = 2, .frac_bits = 14};
constexpr FixedPoint kBias{.int_bits = 6, .frac_bits = 10};
constexpr FixedPoint kOutputs{.int_bits = 6, .frac_bits = 10};

class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa) {
    if (const char* before = std::getenv("BITWRIGHT_ISA")) before_ = before;
    ::setenv("BITWRIGHT_ISA", std::string(isa_name(isa)).c_str(), 1);
  }
  ~ForcedIsa() {
    if (before_.empty()) {
      ::unsetenv("BITWRIGHT_ISA");
    } else {
      ::setenv("BITWRIGHT_ISA", before_.c_str(), 1);
    }
  }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  std::string before_;
};

void expect_equal(const Model& model, SessionOptions options) {
  Session session(model, options);
  std::vector<float> input = test::random_input(session);
  input[0] = std::numeric_limits<float>::infinity();  // saturates
  input[1] = -1e30F;
  const std::vector<float> output = test::run_session(session, input);
  std::vector<double> bound;
  const std::vector<double> reference = run_reference(model, input, options.batch, &bound);
  ASSERT_EQ(output.size(), reference.size());
  for (std::size_t i = 0; i < output.size(); ++i) {
    // Zero but behind a Softmax.
    ASSERT_LE(std::abs(static_cast<double>(output[i]) - reference[i]), bound[i]) << "at " << i;
  }
}

TEST(FixedSession, EqualsTheReferenceOnRandomModels) {
  int with_softmax = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Model model = test::random_fixed_model(seed);
    ASSERT_TRUE(is_fixed_point(model.graph));
    with_softmax += model.graph.nodes.back().op == Op::Softmax ? 1 : 0;
    for (const int threads : {1, 2}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", threads " + std::to_string(threads));
      expect_equal(model, {.threads = threads, .batch = 1 + static_cast<std::int64_t>(seed % 4)});
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  EXPECT_GT(with_softmax, 5);
}

TEST(FixedSession, EqualsTheReferenceOnEveryInstructionSet) {
  for (const Isa isa : available_isas()) {
    const ForcedIsa forced(isa);
    for (std::uint64_t seed = 100; seed < 110; ++seed) {
      SCOPED_TRACE(std::string(isa_name(isa)) + ", seed " + std::to_string(seed));
      const Model model = test::random_fixed_model(seed);
      expect_equal(model, {.threads = 2, .batch = 3});
      if (::testing::Test::HasFatalFailure()) return;
    }
    const Model lenet = test::fixed_point(build_zoo_model("lenet5", 1), kWeights, kBias, kOutputs);
    const Session session(lenet);
    EXPECT_EQ(test::report_of(session, lenet.graph.nodes.front().name).kernel,
              "fixed_point:" + std::string(isa_name(std::min(isa, Isa::avx512_vnni))) + ":conv");
  }
}

TEST(FixedSession, RoundsTheDotProductOfThePage) {
  const FixedPoint fixed412{.int_bits = 4, .frac_bits = 12};
  Model model;
  model.graph.name = "page";
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, 4}}};
  model.graph.nodes = {
      {.name = "fc",
       .op = Op::Gemm,
       .inputs = {"input", "weight"},
       .outputs = {"out"},
       .attributes = {
           {"transB", std::int64_t{1}}, {"input_format", std::string("fixed<4,12>")}, {"output_format", std::string("fixed<6,10>")}}}};
  model.graph.outputs = {"out"};
  model.weights.emplace("weight", QuantizedTensor(fixed412, Shape{1, 4}, {6144, 8191, -512, -4097}, FixedPoint::Parameters{}));
  Session session(model);
  std::vector<float> input;
  for (const int code : {2048, -1024, 7169, 12698}) input.push_back(static_cast<float>(code) / 4096.0F);
  EXPECT_THAT(test::run_session(session, input), ::testing::ElementsAre(-3143.0F / 1024.0F));
  EXPECT_THAT(run_reference(model, input, 1), ::testing::ElementsAre(-3143.0 / 1024.0));
}

TEST(FixedSession, InputsAreRoundedToNearestWithTiesDown) {  // (G4), (G8)
  const std::vector<float> input = {0.5F,         -0.5F,  1.5F,    -1.5F,    2.5F,      -2.5F,    0.49999997F, 0.50000006F, -0.50000006F,
                                    -0.49999997F, 1e-30F, -1e-30F, 40000.0F, -40000.0F, 32767.0F, 32767.5F,    -32768.5F,   -0.0F};
  const std::vector<float> codes = {0, -1, 1, -2, 2, -3, 0, 1, -1, 0, 0, 0, 32767, -32768, 32767, 32767, -32768, 0};
  const auto count = static_cast<std::int64_t>(input.size());
  const FixedPoint whole{.int_bits = 16, .frac_bits = 0};
  Model model;
  model.graph.name = "identity";
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, 1, 1, count}}};
  model.graph.nodes = {{.name = "conv",
                        .op = Op::Conv,
                        .inputs = {"input", "weight"},
                        .outputs = {"out"},
                        .attributes = {{"input_format", whole.spec()}, {"output_format", whole.spec()}}}};
  model.graph.outputs = {"out"};
  model.weights.emplace("weight",
                        QuantizedTensor(FixedPoint{.int_bits = 2, .frac_bits = 0}, Shape{1, 1, 1, 1}, {1}, FixedPoint::Parameters{}));
  Session session(model);
  EXPECT_EQ(test::run_session(session, input), codes);
  EXPECT_THAT(run_reference(model, input, 1), ::testing::ElementsAreArray(codes));
}

TEST(FixedSession, LeNetKeepsItsAnswersThroughTheFileAndAnyBatch) {
  const Model model = test::fixed_point(build_zoo_model("lenet5", 5), kWeights, kBias, kOutputs);
  const std::vector<std::byte> file = pack_model(model);
  const Model read = unpack_model(file, "lenet5.bw");
  EXPECT_EQ(read, model);
  Session four(read, {.threads = 2, .batch = 4});
  const std::vector<float> input = test::random_input(four);
  const std::vector<float> together = test::run_session(four, input);
  Session one(model);
  const std::size_t pixels = input.size() / 4;
  std::vector<float> alone;
  for (std::size_t n = 0; n < 4; ++n) {
    const std::vector<float> image(input.begin() + static_cast<std::ptrdiff_t>(n * pixels),
                                   input.begin() + static_cast<std::ptrdiff_t>((n + 1) * pixels));
    for (const float value : test::run_session(one, image)) alone.push_back(value);
  }
  EXPECT_EQ(together, alone);
  EXPECT_NE(together.front(), 0.0F);
}

TEST(FixedSession, RefusesNaN) {
  Session session(test::fixed_point(build_zoo_model("lenet5", 5), kWeights, kBias, kOutputs));
  std::vector<float> input = test::random_input(session);
  input[9] = std::nanf("");
  test::expect_error(ErrorCode::numerical, "lenet5: the input holds NaN (found it, need numbers); look where the image was made.",
                     [&] { (void)test::run_session(session, input); });
}

}  // namespace
}  // namespace bitwright
