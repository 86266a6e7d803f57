// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/session.h"

#include "bitwright/kernels/isa.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/runtime/small_models.h"

#include <gmock/gmock.h>

#include <stdlib.h>

#include <algorithm>
#include <limits>

namespace bitwright {
namespace {

using test::expect_error;
using test::expect_pieces_within_bound;
using test::expect_within_bound;
using test::GraphMaker;
using test::quantized;
using test::random_input;
using test::run_session;
using test::Sharpness;

class ZooWithinBound : public ::testing::TestWithParam<std::pair<const char*, std::int64_t>> {};

TEST_P(ZooWithinBound, WholeAndPieceByPiece) {
  const auto& [name, batch] = GetParam();
  const Model model = build_zoo_model(name, 3);
  expect_within_bound(model, {.threads = 1, .batch = batch}, Sharpness::any);
  EXPECT_GE(expect_pieces_within_bound(model, {.threads = 1, .batch = batch}), 3);
}

INSTANTIATE_TEST_SUITE_P(Zoo, ZooWithinBound,
                         ::testing::Values(std::pair{"lenet5", 1}, std::pair{"lenet5", 3}, std::pair{"lenet5", 17},
                                           std::pair{"mlp-1000", 1}, std::pair{"mlp-1000", 3}, std::pair{"gupta-mnist-cnn", 1},
                                           std::pair{"gupta-mnist-cnn", 9}, std::pair{"gupta-cifar-cnn", 2}, std::pair{"resnet20", 1},
                                           std::pair{"resnet20", 2}),
                         [](const auto& param_info) {
                           std::string name = param_info.param.first;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name + "_batch" + std::to_string(param_info.param.second);
                         });

class LenetInFormat : public ::testing::TestWithParam<const char*> {};

TEST_P(LenetInFormat, WithinBoundForEveryKindOfBatch) {
  const Model model = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse(GetParam()));
  for (const std::int64_t batch : {1, 3, 9}) EXPECT_EQ(expect_pieces_within_bound(model, {.threads = 1, .batch = batch}), 7);
}

INSTANTIATE_TEST_SUITE_P(Formats, LenetInFormat,
                         ::testing::Values("pow2:2", "pow2:3", "pow2:4", "pow2:5", "pow2:8", "ternary", "ternary:2bit", "uniform:4",
                                           "uniform:5", "uniform:4/256", "codebook:32", "codebook:16/256", "fixed<2,3>", "fixed<2,14>"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
                           return name;
                         });

TEST(Session, QuantizedResnetKeepsCodesUnderBatchNormalization) {
  const Model model = quantized(build_zoo_model("resnet20", 3), NumberFormat::parse("pow2:5"));
  EXPECT_EQ(expect_pieces_within_bound(model, {.threads = 1, .batch = 2}), 13);
}

TEST(Session, TwoThreadsGiveTheSameClassesWithinTheSameBound) {
  const Model model = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse("pow2:4"));
  for (const std::int64_t batch : {1, 16}) {
    (void)expect_pieces_within_bound(model, {.threads = 2, .batch = batch});
    Session one(model, {.threads = 1, .batch = batch});
    Session two(model, {.threads = 2, .batch = batch});
    const std::vector<float> input = random_input(one);
    const std::vector<float> a = run_session(one, input);
    const std::vector<float> b = run_session(two, input);
    for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n) {
      const auto best = [n](const std::vector<float>& y) { return std::max_element(&y[10 * n], &y[10 * n] + 10) - &y[10 * n]; };
      EXPECT_EQ(best(a), best(b)) << "image " << n;
    }
  }
}

TEST(Session, PackedKernelRunsFullyConnectedLayersOfSmallBatches) {
  const Model model = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse("pow2:5"));
  Session session(model);
  EXPECT_THAT(test::report_of(session, "fc1").kernel, ::testing::StartsWith("gemv_packed:"));
  EXPECT_THAT(test::report_of(session, "fc1").kernel, ::testing::EndsWith(":5bit"));
  EXPECT_THAT(test::report_of(session, "conv1").kernel, ::testing::StartsWith(isa_available(Isa::sse4) ? "conv_shifted:" : "onednn:conv:"));
  EXPECT_EQ(test::report_of(session, "relu1").kernel, "fused into fc1");
  session.prepare(8);
  EXPECT_THAT(test::report_of(session, "fc2").kernel, ::testing::StartsWith("gemv_packed:"));
}

TEST(Session, PackedKernelTakesBucketsJointCodesAndLargeTables) {
  struct Case {
    const char* format;
    const char* ending;
  };
  for (const auto& [format, ending] : {Case{.format = "ternary", .ending = ":5bit/3"},
                                       {.format = "ternary:2bit", .ending = ":5bit/3"},
                                       {.format = "uniform:2", .ending = ":4bit/2"},
                                       {.format = "uniform:4/256", .ending = ":4bit"},
                                       {.format = "codebook:16/256", .ending = ":4bit"},
                                       {.format = "codebook:5/160", .ending = ":3bit"},
                                       {.format = "uniform:8/800", .ending = ":8bit"},
                                       {.format = "pow2:8", .ending = ":8bit"}}) {
    const Model model = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse(format));
    (void)expect_pieces_within_bound(model, {.threads = 1, .batch = 1});
    (void)expect_pieces_within_bound(model, {.threads = 2, .batch = 5});
    const Session session(model, {.threads = 1, .batch = 1});
    EXPECT_THAT(test::report_of(session, "fc1").kernel, ::testing::StartsWith("gemv_packed:")) << format;
    EXPECT_THAT(test::report_of(session, "fc1").kernel, ::testing::EndsWith(ending)) << format;
  }
}

TEST(Session, RefusalsSayTheValues) {
  const Model lenet = build_zoo_model("lenet5", 3);
  const auto refusals_of = [&](const char* format, std::int64_t batch) {
    const Model model = format == nullptr ? lenet : quantized(lenet, NumberFormat::parse(format));
    const Session session(model, {.threads = 1, .batch = batch});
    EXPECT_THAT(test::report_of(session, "fc1").kernel, ::testing::StartsWith("onednn:inner_product:"));
    return test::report_of(session, "fc1").refusals;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(refusals_of("pow2:5", 9), ElementsAre("gemv_packed: batch is 9, this kernel needs <= 8"));
  EXPECT_THAT(refusals_of("uniform:16", 1), ElementsAre("gemv_packed: the format has 65536 levels, this kernel needs <= 256"));
  EXPECT_THAT(refusals_of("uniform:4/100", 9), ElementsAre("gemv_packed: batch is 9, this kernel needs <= 8"));
  EXPECT_THAT(refusals_of("uniform:4/24", 1),
              ElementsAre("gemv_packed: buckets begin every 8 inputs of a row of 800, this kernel needs >= 32"));
  EXPECT_THAT(refusals_of(nullptr, 1), ElementsAre("gemv_packed: the weight is float32, this kernel needs codes"));
}

TEST(Session, ConvolutionsSayWhyTheyRunOnOneDnn) {
  const Model lenet = build_zoo_model("lenet5", 3);
  const auto refusals_of = [](const Model& model, SessionOptions options, const char* node) {
    const Session session(model, options);
    EXPECT_THAT(test::report_of(session, node).kernel, ::testing::StartsWith("onednn:conv:"));
    return test::report_of(session, node).refusals;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(refusals_of(lenet, {.threads = 1, .batch = 9}, "conv2"), ElementsAre("conv_shifted: batch is 9, this kernel needs <= 8"));
  EXPECT_THAT(refusals_of(lenet, {.threads = 2, .batch = 1}, "conv2"),
              ElementsAre("conv_shifted: the session has 2 threads, this kernel needs 1"));
  EXPECT_THAT(refusals_of(build_zoo_model("resnet20", 3), {}, "layer2.0.conv1"),
              ElementsAre("conv_shifted: stride is 2 x 2, this kernel needs 1 x 1",
                          "conv_shifted: 32 output channels fill the vectors of other kernels, this one is for those that do not"));
}

// A forced instruction set changes which of our kernels run; with powers of two their products are exact, so a fully connected layer gives
// the same bits on all of them, and a whole network stays within its bound.
TEST(Session, EveryInstructionSetGivesTheSameAnswers) {
  test::GraphMaker maker(Shape{300});
  const Model layer = quantized(std::move(maker).finish(maker.gemm("input", 300, 70)), NumberFormat::parse("pow2:5"));
  const Model lenet = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse("pow2:4"));
  const char* before = ::getenv("BITWRIGHT_ISA");
  const std::string saved = before == nullptr ? "" : before;
  std::vector<float> first;
  for (const Isa isa : available_isas()) {
    SCOPED_TRACE(isa_name(isa));
    ::setenv("BITWRIGHT_ISA", std::string(isa_name(isa)).c_str(), 1);
    Session session(layer, {.threads = 1, .batch = 3});
    EXPECT_EQ(test::report_of(session, "Gemm0").kernel, "gemv_packed:" + std::string(isa_name(std::min(isa, Isa::avx512))) + ":5bit");
    const std::vector<float> output = run_session(session, random_input(session));
    if (first.empty()) first = output;
    EXPECT_EQ(output, first);
    EXPECT_EQ(expect_pieces_within_bound(lenet, {.threads = 1, .batch = 1}), 7);
  }
  if (saved.empty()) {
    ::unsetenv("BITWRIGHT_ISA");
  } else {
    ::setenv("BITWRIGHT_ISA", saved.c_str(), 1);
  }
}

TEST(Session, ResnetFusesNormalizationReluAndResidual) {
  const Session session(build_zoo_model("resnet20", 3));
  int fused_additions = 0;
  for (const NodeReport& report : session.describe()) {
    if (report.op == "Add") fused_additions += static_cast<int>(report.kernel.starts_with("fused into "));
    EXPECT_NE(report.op, "BatchNormalization") << report.node;
  }
  EXPECT_EQ(fused_additions, 9);
}

TEST(Session, PlansAreKeptAndGoingBackGivesTheSameBits) {
  Session session(build_zoo_model("lenet5", 3));
  const std::vector<float> input = random_input(session);
  const std::vector<float> before = run_session(session, input);
  session.prepare(5);
  EXPECT_EQ(session.batch(), 5);
  (void)run_session(session, random_input(session));
  session.prepare(1);
  EXPECT_EQ(run_session(session, input), before);
}

TEST(Session, AnImageDoesNotDependOnWhatRanBefore) {
  Session session(quantized(build_zoo_model("resnet20", 3), NumberFormat::parse("ternary")));
  const std::vector<float> input = random_input(session);
  const std::vector<float> before = run_session(session, input);
  (void)run_session(session, test::normals("other", static_cast<std::int64_t>(input.size()), 0.0, 1e6));
  EXPECT_EQ(run_session(session, input), before);
}

// Images are read where the caller holds them: anywhere in memory, and they stay as they are.
TEST(Session, ReadsTheCallersImagesWhereverTheyLie) {
  GraphMaker relu_first(Shape{4, 8, 8});
  const std::string a = relu_first.node(Op::Relu, {"input"});
  const std::string b = relu_first.node(Op::Add, {relu_first.conv(a, Shape{4, 4, 1, 1}), "input"});
  GraphMaker only_shape(Shape{4, 8, 8});
  GraphMaker shape_first(Shape{4, 8, 8});
  const std::string c = shape_first.node(Op::Flatten, {"input"});
  const std::vector<Model> models = {std::move(relu_first).finish(b), std::move(only_shape).finish(only_shape.node(Op::Flatten, {"input"})),
                                     std::move(shape_first).finish(shape_first.node(Op::Relu, {c})), build_zoo_model("lenet5", 3)};
  for (const Model& model : models) {
    for (const Activations activations : {Activations::float32, Activations::bfloat16}) {
      Session session(model, {.threads = 1, .batch = 2, .activations = activations});
      const std::vector<float> images = random_input(session);
      std::vector<float> expected(static_cast<std::size_t>(2 * session.output_shape().element_count()));
      session.run(images, expected);
      const std::vector<float> before = images;
      for (const std::size_t shift : {0, 1, 3}) {
        // Nothing is read before or behind: there lies NaN, which would show in any sum.
        std::vector<float> moved(images.size() + 16, std::numeric_limits<float>::quiet_NaN());
        std::copy(images.begin(), images.end(), moved.begin() + static_cast<std::ptrdiff_t>(shift));
        std::vector<float> found(expected.size());
        session.run(std::span<const float>(moved).subspan(shift, images.size()), found);
        EXPECT_EQ(found, expected) << model.graph.name << ", moved by " << shift;
        EXPECT_TRUE(std::equal(images.begin(), images.end(), moved.begin() + static_cast<std::ptrdiff_t>(shift)));
        // The result may go where the images were.
        if (found.size() <= images.size()) {
          session.run(std::span<const float>(moved).subspan(shift, images.size()), std::span<float>(moved).subspan(shift, found.size()));
          EXPECT_TRUE(std::equal(expected.begin(), expected.end(), moved.begin() + static_cast<std::ptrdiff_t>(shift)));
        }
      }
      EXPECT_EQ(images, before);
    }
  }
}

TEST(Session, OpensAPackedFile) {
  const test::TempFolder folder;
  const Model model = quantized(build_zoo_model("lenet5", 3), NumberFormat::parse("pow2:5"));
  save_packed(folder / "net.bw", model);
  Session from_file = Session::open(folder / "net.bw");
  Session from_memory(model);
  EXPECT_EQ(from_file.model(), model);
  EXPECT_EQ(from_file.input_shape(), (Shape{1, 28, 28}));
  EXPECT_EQ(from_file.output_shape(), (Shape{10}));
  const std::vector<float> input = random_input(from_memory);
  EXPECT_EQ(run_session(from_file, input), run_session(from_memory, input));
}

TEST(Session, ArenaIsSmallerThanAllIntermediateValuesTogether) {
  const Session session(build_zoo_model("resnet20", 3));
  // 19 convolutions: 7 of 16x32x32, 6 of 32x16x16, 6 of 64x8x8 outputs; lifetimes must let most of them share memory.
  const std::int64_t all = 4 * (7 * 16 * 32 * 32 + 6 * 32 * 16 * 16 + 6 * 64 * 8 * 8);
  EXPECT_LT(session.arena_bytes(), all / 2);
  EXPECT_GE(session.arena_bytes(), 4 * 2 * 16 * 32 * 32);  // a residual and a result are alive together
}

TEST(Session, SizesMustFit) {
  Session session(build_zoo_model("lenet5", 3), {.threads = 1, .batch = 2});
  std::vector<float> input(2 * 784);
  std::vector<float> output(20);
  expect_error(ErrorCode::invalid_input,
               "lenet5: the input has the wrong number of values (found 784, need 1568 = batch 2 x [1, 28, 28]); pass a whole batch.",
               [&] { session.run(std::span(input).first(784), output); });
  expect_error(ErrorCode::invalid_input,
               "lenet5: the output has the wrong number of values (found 10, need 20 = batch 2 x [10]); pass a whole batch.",
               [&] { session.run(input, std::span(output).first(10)); });
}

TEST(Session, OptionsMustMakeSense) {
  const Model model = build_zoo_model("lenet5", 3);
  expect_error(ErrorCode::usage, "lenet5: a session needs at least one thread (found 0, need 1 or more); correct the options.",
               [&] { Session(model, {.threads = 0, .batch = 1}); });
  expect_error(ErrorCode::usage, "lenet5: the batch is too small (found 0, need 1 or more); correct the options.",
               [&] { Session(model, {.threads = 1, .batch = 0}); });
}

TEST(Session, RefusesWhatItCannotExecute) {
  {
    test::GraphMaker maker(Shape{4});
    const std::string sum = maker.node(Op::Add, {"input", maker.node(Op::Relu, {"input"})});
    Model model = std::move(maker).finish(sum);
    model.graph.outputs.push_back("Relu0.out");
    expect_error(ErrorCode::unsupported, "small: a session needs one input and one output (found 1 and 2, need 1 and 1); split the graph.",
                 [&] { Session{model}; });
  }
  {
    test::GraphMaker maker(Shape{2, 3});
    const std::string flat = maker.node(Op::Flatten, {"input"}, {{"axis", std::int64_t{2}}});
    expect_error(
        ErrorCode::unsupported,
        "small: the first extent of output \"Flatten0.out\" is not the batch (found [4, 3] for 2 images, need 2 first); rewrite the graph.",
        [&] { Session{std::move(maker).finish(flat)}; });
  }
  {
    test::GraphMaker maker(Shape{2});
    maker.node(Op::Relu, {maker.weight("c", Shape{2})});  // nobody reads it, but it is there
    expect_error(ErrorCode::unsupported,
                 "small: node \"Relu0\": Relu of a constant is not supported (found weight \"c0\" as input 0); compute it beforehand.",
                 [&] { Session{std::move(maker).finish(maker.node(Op::Relu, {"input"}))}; });
  }
}

TEST(TransformImage, ScalesAndNormalizesPerChannel) {
  const InputTransform transform{.mean = {0.5F, 0.25F}, .std = {0.5F, 2.0F}};
  const std::vector<std::uint8_t> pixels = {0, 255, 51, 255};
  std::vector<float> values(4);
  transform_image(transform, pixels, Shape{2, 1, 2}, values);
  EXPECT_EQ(values, (std::vector<float>{-1.0F, 1.0F, (51.0F / 255.0F - 0.25F) / 2.0F, 0.375F}));
  transform_image({}, pixels, Shape{2, 1, 2}, values);
  EXPECT_EQ(values, (std::vector<float>{0.0F, 1.0F, 51.0F / 255.0F, 1.0F}));
}

TEST(TransformImage, SizesMustFit) {
  std::vector<float> values(4);
  expect_error(ErrorCode::invalid_input,
               "image: sizes do not fit (found 3 pixels and 4 values, need 4 of each for [1, 2, 2]); pass one CHW image.", [&] {
                 transform_image({}, std::vector<std::uint8_t>(3), Shape{1, 2, 2}, values);
               });
  expect_error(ErrorCode::invalid_input, "image: its channels do not fit the input transform (found 1, need 3); convert the image.", [&] {
    transform_image({.mean = {0, 0, 0}, .std = {}}, std::vector<std::uint8_t>(4), Shape{1, 2, 2}, values);
  });
}

}  // namespace
}  // namespace bitwright
