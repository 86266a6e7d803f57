// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/distill/distill.h"

#include "bitwright/model/zoo.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace bitwright::distill {
namespace {

using test::error_of;
using test::expect_error;

// Paper page section 4.1, the example of (D12) and (D13).
const std::vector<double> kTeacher = {2.0, 1.0, 0.1};
const std::vector<double> kStudent = {1.5, 1.2, 0.3};

at::Tensor row(const std::vector<double>& values) { return at::tensor(at::ArrayRef<double>(values)).view({1, -1}); }

at::Tensor whole_loss(const at::Tensor& student, const DistillOptions& options) {
  const at::Tensor task = at::cross_entropy_loss(student, at::zeros({student.size(0)}, at::kLong));
  return task * (1.0 - options.weight) + divergence(row(kTeacher).expand_as(student), student, options) * options.weight;
}

TEST(DistillLoss, WorkedExample) {
  const at::Tensor student = row(kStudent).set_requires_grad(true);
  DistillOptions options;
  EXPECT_NEAR(divergence(row(kTeacher), student, options).item<double>(), 4.0 * 0.01524076, 4.0 * 5e-9);
  const at::Tensor loss = whole_loss(student, options);
  EXPECT_NEAR(loss.item<double>(), 0.25685487, 5e-9);
  const at::Tensor gradient = torch::autograd::grad({loss}, {student}).at(0);
  const std::vector<double> need = {-0.27442028, 0.18292790, 0.09149238};
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_NEAR(gradient[0][i].item<double>(), need[static_cast<std::size_t>(i)], 5e-9);
  options.reduction = KlReduction::all_mean;
  EXPECT_NEAR(whole_loss(student, options).item<double>(), 0.22840545, 5e-9);
}

TEST(DistillLoss, BatchMeanIsTheMeanOfItsImages) {
  DistillOptions options;
  const at::Tensor other = row({-1.0, 0.5, 2.0});
  const double first = divergence(row(kTeacher), row(kStudent), options).item<double>();
  const double second = divergence(row(kTeacher), other, options).item<double>();
  const at::Tensor both = divergence(row(kTeacher).expand({2, 3}), at::cat({row(kStudent), other}), options);
  EXPECT_NEAR(both.item<double>(), 0.5 * (first + second), 1e-14);
  options.reduction = KlReduction::all_mean;
  EXPECT_NEAR(divergence(row(kTeacher).expand({2, 3}), at::cat({row(kStudent), other}), options).item<double>(), (first + second) / 6.0,
              1e-14);
}

// (D13) against central differences: step 1e-5 leaves out third derivatives, 1e-10 of terms below 10, and rounding, 1e-16 / 1e-5.
TEST(DistillLoss, GradientIsTheDifferenceQuotient) {
  for (const double temperature : {0.5, 1.0, 2.0, 5.0}) {
    for (const KlReduction reduction : {KlReduction::batch_mean, KlReduction::all_mean}) {
      DistillOptions options;
      options.temperature = temperature;
      options.reduction = reduction;
      const FloatTensor drawn = test::random_weight("logits", Shape{4, 3}, 2.0);
      at::Tensor logits = to_tensor(drawn.shape, drawn.values).to(at::kDouble).set_requires_grad(true);
      const at::Tensor gradient = torch::autograd::grad({whole_loss(logits, options)}, {logits}).at(0);
      at::Tensor moved = logits.detach().clone();
      for (std::int64_t i = 0; i < moved.numel(); ++i) {
        double& coordinate = moved.data_ptr<double>()[i];
        const double before = coordinate;
        coordinate = before + 1e-5;
        const double up = whole_loss(moved, options).item<double>();
        coordinate = before - 1e-5;
        const double down = whole_loss(moved, options).item<double>();
        coordinate = before;
        EXPECT_NEAR(gradient.flatten()[i].item<double>(), (up - down) / 2e-5, 1e-8) << "T " << temperature << " at " << i;
      }
    }
  }
}

Model with_transform(Model model, InputTransform transform) {
  model.input_transform = std::move(transform);
  return model;
}

/// A network whose logits are its bias, whatever the image.
Model constant_network(const std::vector<float>& logits) {
  Model model;
  model.graph.name = "constant";
  model.graph.inputs = {{"input", Shape{Shape::kDynamic, 1, 1, 1}}};
  model.graph.nodes = {{"flatten", Op::Flatten, {"input"}, {"flatten"}, {}},
                       {"fc", Op::Gemm, {"flatten", "fc.weight", "fc.bias"}, {"fc"}, {{"transB", std::int64_t{1}}}}};
  model.graph.outputs = {"fc"};
  const auto classes = static_cast<std::int64_t>(logits.size());
  model.weights.emplace("fc.weight", test::constant_weight(Shape{classes, 1}, 0.0F));
  model.weights.emplace("fc.bias", FloatTensor{Shape{classes}, logits});
  return model;
}

TEST(Distill, TheHookGivesTheExamplesLossAndGradient) {
  const test::TempFolder folder;
  save_packed(folder / "teacher.bw", constant_network({2.0F, 1.0F, 0.1F}));
  Network student(constant_network({1.5F, 1.2F, 0.3F}));
  DistillOptions options;
  options.teacher = (folder / "teacher.bw").string();
  Distill method(options);
  method.attach(student, method.default_plan(student));
  Optimizer optimizer(student, {});
  const at::Tensor images = at::zeros({1, 1, 1, 1});
  const at::Tensor labels = at::zeros({1}, at::kLong);
  const at::Tensor logits = student.forward(images, Mode::train);
  StepContext context{.network = student, .optimizer = optimizer, .images = &images, .labels = &labels, .logits = &logits};
  const at::Tensor loss = method.loss(context, at::cross_entropy_loss(logits, labels));
  EXPECT_NEAR(loss.item<double>(), 0.25685487, 3e-7);  // float32 roundings of terms below 2
  const at::Tensor gradient = torch::autograd::grad({loss}, {student.parameter("fc.bias")}).at(0);
  EXPECT_NEAR(gradient[0].item<double>(), -0.27442028, 3e-7);
  Metrics metrics;
  method.end_epoch(context, metrics);
  EXPECT_NEAR(std::get<double>(metrics.at("distill.task_loss")), 0.71393581, 3e-7);
  EXPECT_NEAR(std::get<double>(metrics.at("distill.divergence")), 4.0 * 0.01524076, 3e-7);
  EXPECT_EQ(std::get<double>(metrics.at("distill.agreement")), 100.0);
}

TEST(Distill, RefusesATeacherOfOtherImagesOrClasses) {
  const test::TempFolder folder;
  save_packed(folder / "teacher.bw", constant_network({2.0F, 1.0F}));
  const std::string path = (folder / "teacher.bw").string();
  Network student(test::tiny_model());
  DistillOptions options;
  options.teacher = path;
  Distill method(options);
  expect_error(ErrorCode::usage,
               "recipe: method distill: teacher " + path +
                   " does not fit student tiny (found images [1, 1, 1] and 2 classes, need [1, 28, 28] and 4); choose another teacher.",
               [&] { method.attach(student, {}); });
}

// Paper page section 7, negative test 5.
TEST(Distill, RefusesATeacherInTrainingMode) {
  const Model student = test::tiny_model();
  Model norms_only = student;  // without Dropout two answers are equal in training mode too, but the statistics move
  norms_only.graph.nodes[5].attributes["ratio"] = 0.0F;
  const at::Tensor images = at::rand({4, 1, 28, 28});
  for (const Model& model : {student, norms_only}) {
    EXPECT_NO_THROW(Teacher(model, "t.bw", student, at::kCPU).verify(images));
    const auto error = error_of([&] { Teacher(model, "t.bw", student, at::kCPU, Precision::float32, Mode::train).verify(images); });
    ASSERT_TRUE(error.has_value());
    EXPECT_THAT(error->message(), testing::StartsWith("method distill: teacher t.bw is not in evaluation mode (found "));
  }
}

TEST(Distill, ATeachersAnswerLeavesNoGradientAndNoTrace) {
  const Model model = test::tiny_model();
  Teacher teacher(model, "t.bw", model, at::kCPU);
  const at::Tensor images = at::rand({4, 1, 28, 28});
  EXPECT_FALSE(teacher.logits(images).requires_grad());
  EXPECT_TRUE(at::equal(teacher.logits(images), Network(model).forward(images, Mode::eval)));
}

TEST(Distill, TheTeacherComputesInTheStudentsTrainingPrecision) {
  const Model model = test::tiny_model();
  const test::TempFolder folder;
  save_packed(folder / "teacher.bw", model);
  const at::Tensor images = at::rand({4, 1, 28, 28});
  const at::Tensor labels = at::zeros({4}, at::kLong);
  const at::Tensor logits = at::rand({4, 4});  // the same for both, so that only the teacher can tell them apart
  const auto loss_in = [&](Precision precision) {
    Network student(model, {.precision = precision});
    DistillOptions options;
    options.teacher = (folder / "teacher.bw").string();
    Distill method(options);
    method.attach(student, method.default_plan(student));
    Optimizer optimizer(student, {});
    StepContext context{.network = student, .optimizer = optimizer, .images = &images, .labels = &labels, .logits = &logits};
    return method.loss(context, at::cross_entropy_loss(logits, labels)).item<double>();
  };
  const double whole = loss_in(Precision::float32);
  const double half = loss_in(Precision::bfloat16);
  EXPECT_NE(half, whole);
  // bfloat16 keeps 8 bits; three layers of products move a logit by some 2^-8 of its size each.
  EXPECT_NEAR(half, whole, 0.05 * whole);
}

/// Images of every pixel value in every channel as the loader makes them for a network.
at::Tensor every_pixel(const InputTransform& transform, std::int64_t channels) {
  at::Tensor images = at::empty({2, channels, 16, 8});
  float* value = images.data_ptr<float>();
  for (std::int64_t image = 0; image < 2; ++image) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const double mean = transform.mean.empty() ? 0.0 : transform.mean[static_cast<std::size_t>(c)];
      const double std = transform.std.empty() ? 1.0 : transform.std[static_cast<std::size_t>(c)];
      for (std::int64_t i = 0; i < 128; ++i) {
        *value++ = static_cast<float>((static_cast<double>(128 * image + i) / 255.0 - mean) / std);
      }
    }
  }
  return images;
}

TEST(DistillInput, BecomesTheTeachersBitForBit) {
  const InputTransform imagenet = build_zoo_model("resnet56", 1).input_transform;
  const InputTransform cifar = build_zoo_model("polino-s2", 1).input_transform;
  const InputTransform transforms[] = {imagenet, cifar, {}, {{0.5F, 0.25F, 0.0F}, {}}, {{}, {0.01F, 1.0F, 30.0F}}};
  for (const InputTransform& from : transforms) {
    for (const InputTransform& to : transforms) {
      const InputConversion convert(from, to, 3, at::kCPU);
      EXPECT_TRUE(at::equal(convert(every_pixel(from, 3)), every_pixel(to, 3)));
      const at::Tensor strided = every_pixel(from, 3).contiguous(at::MemoryFormat::ChannelsLast);
      EXPECT_TRUE(at::equal(convert(strided), every_pixel(to, 3)));
    }
  }
}

TEST(DistillInput, ATeacherWithAnotherTransformAnswersAsOnItsOwnImages) {
  const Model student = test::tiny_model();
  const InputTransform own{{0.1307F}, {0.3081F}};
  Teacher teacher(with_transform(student, own), "t.bw", student, at::kCPU);
  const at::Tensor pixels = at::randint(0, 256, {3, 1, 28, 28}).to(at::kDouble) / 255.0;
  const at::Tensor theirs =
      ((pixels - static_cast<double>(own.mean[0])) / at::full({}, static_cast<double>(own.std[0]), at::kDouble)).to(at::kFloat);
  EXPECT_TRUE(at::equal(teacher.logits(pixels.to(at::kFloat)), Network(student).forward(theirs, Mode::eval)));
}

class DistillRun : public ::testing::Test {
 protected:
  DistillRun() {
    Model teacher = test::tiny_model();
    for (const char* name : {"conv.weight", "fc.weight"}) {
      for (float& value : std::get<FloatTensor>(teacher.weights.at(name)).values) value = 0.03F - 1.5F * value;
    }
    save_packed(folder_ / "teacher.bw", teacher);
    recipe_ = test::tiny_recipe(folder_.path());
  }
  [[nodiscard]] MethodRecipe distill() const { return {"distill", {{"teacher", (folder_ / "teacher.bw").string()}}}; }

  test::TempFolder folder_;
  Recipe recipe_;
};

TEST_F(DistillRun, AloneTrainsAFloatStudentThatComesNearerToItsTeacher) {
  recipe_.train.epochs = 8;
  recipe_.methods = {distill()};
  recipe_.methods[0].options["distill_weight"] = 1.0;
  const TrainResult result = test::train_in(folder_ / "run", recipe_);
  for (const auto& [name, weight] : result.model.weights) EXPECT_TRUE(std::holds_alternative<FloatTensor>(weight)) << name;
  const std::string text = read_text_file(folder_ / "run/metrics.jsonl");
  const auto divergence_in = [&text](std::size_t at) {
    const std::string key = "\"distill.divergence\":";
    return std::stod(text.substr(text.find(key, at) + key.size()));
  };
  EXPECT_LT(divergence_in(text.rfind('\n', text.size() - 2)), 0.5 * divergence_in(0));
}

TEST_F(DistillRun, AnotherTeacherOnResumeIsRefused) {
  recipe_.methods = {distill()};
  std::atomic<bool> stop = false;
  TrainEvents events;
  events.stop_requested = &stop;
  events.on_step = [&](std::int64_t step, double) { stop = step == 3; };
  EXPECT_FALSE(test::train_in(folder_ / "run", recipe_, StartPolicy::fresh, events).completed);
  save_packed(folder_ / "teacher.bw", test::tiny_model());
  const auto error = error_of([&] { test::train_in(folder_ / "run", recipe_, StartPolicy::resume); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::usage);
  EXPECT_THAT(error->message(), testing::HasSubstr("teacher.bw is not the one the run began with (found checksum "));
}

// Distillation only speaks through the loss, so it goes with every other method, before or behind it.
TEST_F(DistillRun, ComposesWithEveryMethodInAnyOrder) {
  recipe_.train.epochs = 4;
  for (const MethodEntry& entry : method_registry()) {
    const std::string name(entry.name);
    if (name == "distill" || name == "fixed") continue;  // fixed point has a loss of its own and refuses another (fixed_method_test)
    Recipe front = recipe_;
    front.methods = {distill(), test::tiny_method(name)};
    Recipe behind = recipe_;
    behind.methods = {test::tiny_method(name), distill()};
    EXPECT_EQ(test::trace_of(folder_ / (name + "-a"), front), test::trace_of(folder_ / (name + "-b"), behind)) << name;
    const Model a = load_packed(folder_ / (name + "-a/model.bw"));
    EXPECT_EQ(a.weights, load_packed(folder_ / (name + "-b/model.bw")).weights) << name;
    for (const std::string& weight : quantizable_weights(a.graph)) {
      EXPECT_TRUE(std::holds_alternative<QuantizedTensor>(a.weights.at(weight))) << name << ": " << weight;
    }
    // It is not without effect either, where there is a step to have one in.
    Recipe without = recipe_;
    without.methods = {test::tiny_method(name)};
    const std::vector<double> plain = test::trace_of(folder_ / (name + "-c"), without);
    if (!plain.empty()) {
      EXPECT_NE(plain, test::trace_of(folder_ / (name + "-d"), front)) << name;
    }
  }
}

TEST(DistillOptionsTest, AreReadAndChecked) {
  const DistillOptions options = parse_distill_options({"distill",
                                                        {{"teacher", std::string("t.bw")},
                                                         {"temperature", std::int64_t{5}},
                                                         {"distill_weight", 0.5},
                                                         {"kl_reduction", std::string("all_mean")}}});
  EXPECT_EQ(options.teacher, "t.bw");
  EXPECT_EQ(options.temperature, 5.0);
  EXPECT_EQ(options.weight, 0.5);
  EXPECT_EQ(options.reduction, KlReduction::all_mean);
  EXPECT_EQ(parse_distill_options({"distill", {}}).weight, 0.7);
  expect_error(ErrorCode::usage, "recipe: method distill: distill_weight is out of range (found 1.5, need 0 to 1); change it.", [] {
    (void)parse_distill_options({"distill", {{"distill_weight", 1.5}}});
  });
}

}  // namespace
}  // namespace bitwright::distill
