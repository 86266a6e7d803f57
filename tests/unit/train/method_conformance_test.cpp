// SPDX-License-Identifier: Apache-2.0
// What every line of methods.inc promises. A new method is tested here without a change to this file; where its defaults do not fit a
// problem of two layers and a few steps it gets a row in `tiny_method`.
#include "bitwright/train/method.h"

#include "bitwright/core/nearest_name.h"
#include "bitwright/data/dataset.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/runtime/session.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/train/tiny_problem.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace bitwright::test {
namespace {

class MethodConformance : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

  [[nodiscard]] Recipe recipe() const {
    Recipe recipe = tiny_recipe_for(GetParam(), folder());
    recipe.train.epochs = 4;
    recipe.methods = {tiny_method(GetParam())};
    return recipe;
  }

  /// Five an epoch; a method may ask for phases of its own, also for none.
  [[nodiscard]] std::int64_t steps() const {
    const std::vector<Phase> phases = make_method(tiny_method(GetParam()))->phases(recipe().train.epochs);
    std::int64_t epochs = phases.empty() ? recipe().train.epochs : 0;
    for (const Phase& phase : phases) epochs += phase.epochs;
    return 5 * epochs;
  }

 private:
  TempFolder folder_;
};

TEST_P(MethodConformance, SameSeedSameTrace) {
  const std::vector<double> first = trace_of(folder() / "a", recipe());
  EXPECT_EQ(first, trace_of(folder() / "b", recipe()));
  EXPECT_EQ(std::ssize(first), steps());
}

TEST_P(MethodConformance, StoppedAndResumedEqualsUninterrupted) {
  train_in(folder() / "whole", recipe());
  for (const std::int64_t stop_step : {3, 10, 17}) {
    if (stop_step >= steps()) continue;
    std::atomic<bool> stop = false;
    TrainEvents events;
    events.stop_requested = &stop;
    events.on_step = [&](std::int64_t step, double) { stop = step == stop_step; };
    const auto run = folder() / std::to_string(stop_step);
    EXPECT_FALSE(train_in(run, recipe(), StartPolicy::fresh, events).completed);
    EXPECT_TRUE(train_in(run, recipe(), StartPolicy::resume).completed);
    EXPECT_EQ(read_file(run / "model.bw"), read_file(folder() / "whole/model.bw"));
    EXPECT_EQ(read_text_file(run / "metrics.jsonl"), read_text_file(folder() / "whole/metrics.jsonl"));
  }
}

TEST_P(MethodConformance, EveryWeightEndsOnItsGridInAFormatOfThePlan) {
  const TrainResult result = train_in(folder() / "run", recipe());
  verify_grid(result.model);
  const auto method = make_method(tiny_method(GetParam()));
  const BitPlan plan = method->default_plan(Network(tiny_model_for(GetParam())));
  for (const std::string& name : quantizable_weights(result.model.graph)) {
    const auto* codes = std::get_if<QuantizedTensor>(&result.model.weights.at(name));
    if (plan.rules().empty()) {
      EXPECT_EQ(codes, nullptr) << name << " has codes, but the method gives no formats";
      continue;
    }
    ASSERT_NE(codes, nullptr) << name << " stayed float";
    std::vector<std::int32_t> levels(codes->codes().begin(), codes->codes().end());
    std::ranges::sort(levels);
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    EXPECT_LE(static_cast<std::int64_t>(levels.size()), codes->format().code_count()) << name;
  }
  EXPECT_EQ(result.model.notes.at("method"), GetParam());
}

TEST_P(MethodConformance, TheRuntimeGivesTrainingsAccuracyFromTheFile) {
  const TrainResult result = train_in(folder() / "run", recipe());
  Session session = Session::open(folder() / "run/model.bw");
  const auto images = open_dataset(recipe().data.name, Split::test);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images->image_shape().element_count()));
  std::vector<float> input(pixels.size());
  std::vector<float> logits(static_cast<std::size_t>(session.output_shape().element_count()));
  std::int64_t correct = 0;
  for (std::int64_t i = 0; i < images->size(); ++i) {
    const int label = images->read(i, pixels);
    transform_image(session.model().input_transform, pixels, images->image_shape(), input);
    session.run(input, logits);
    correct += std::ranges::max_element(logits) - logits.begin() == label ? 1 : 0;
  }
  EXPECT_EQ(correct, result.correct);
  EXPECT_EQ(images->size(), result.images);
}

TEST_P(MethodConformance, RefusesAnUnknownOption) {
  const MethodRecipe wrong{GetParam(), {{"no_such_option", true}}};
  const auto error = error_of([&wrong] { (void)make_method(wrong); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::usage);
  EXPECT_TRUE(error->message().starts_with("recipe: method " + GetParam() + ": unknown key \"no_such_option\" (nearest: "));
}

/// Checks one coordinate's gradient against the central difference of <g, surrogate>.
///
/// With A the sum of |g_i ds_i/dx| over the elements i that depend on the coordinate x, and n their number:
///  - the gradient may be summed in float32, in any order, from terms of up to 16 roundings each: (n + 16) 2^-24 A;
///  - the difference quotient leaves out h^2 / 6 times third derivatives, taken to be at most 6 times the first: h^2 A = 2^-24 A;
///  - the surrogate is float64, a few roundings of values up to `largest`: 16 * 2^-53 * largest * sum |g_i| / h.
void expect_derivative(double gradient, const at::Tensor& g, const at::Tensor& up, const at::Tensor& down, double step, double largest,
                       const std::string& where) {
  const at::Tensor terms = g * (up - down) / (2.0 * step);
  const double size = terms.abs().sum().item<double>();
  const auto count = static_cast<double>(terms.count_nonzero().item<std::int64_t>());
  const double bound = (count + 17.0) * 0x1p-24 * size + 16.0 * 0x1p-53 * largest * g.abs().sum().item<double>() / step;
  EXPECT_NEAR(gradient, terms.sum().item<double>(), bound) << where;
}

// What `Method::surrogate` says is what autograd does: for the latent weights and for every parameter of the method's own, coordinate by
// coordinate, with a functional <g, transformed weight> of drawn g.
TEST_P(MethodConformance, TheGradientIsTheDerivativeOfTheSurrogate) {
  constexpr double kStep = 0x1p-12;
  at::set_num_threads(1);
  Network network(tiny_model_for(GetParam()));
  std::vector<std::unique_ptr<Method>> methods;
  methods.push_back(make_method(tiny_method(GetParam())));
  Method& method = *methods.front();
  method.attach(network, method.default_plan(network));
  Optimizer optimizer(network, recipe().train, methods);
  StepContext context{.network = network, .optimizer = optimizer, .seed = 1};
  method.begin_phase(context);
  const std::vector<MethodParameter> parameters = method.parameters();
  for (const std::string& name : network.weight_names()) {
    const at::Tensor& latent = network.parameter(name);
    std::vector<at::Tensor> leaves = {latent};
    std::vector<at::Tensor> own;
    for (const MethodParameter& parameter : parameters) {
      leaves.push_back(parameter.tensor);
      own.push_back(parameter.tensor.detach().to(at::kDouble).contiguous().clone());
    }
    const at::Tensor weights = network.transformed_weight(name, {Mode::train, 0});
    const FloatTensor drawn = random_weight("g of " + name, tensor_shape(weights), 1.0);
    const at::Tensor g = to_tensor(drawn.shape, drawn.values);
    const std::vector<at::Tensor> gradients = torch::autograd::grad({(g * weights).sum()}, leaves, {}, c10::nullopt, false, true);
    // A weight that the optimizer leaves alone need not have one: what it has then is zero.
    ASSERT_TRUE(gradients[0].defined() || method.owns_update(name)) << name << " gets no gradient";

    const at::Tensor g64 = g.to(at::kDouble);
    const at::Tensor latent64 = latent.detach().to(at::kDouble).clone();
    const double largest = method.surrogate(name, latent64, own).abs().max().item<double>() + 1.0;
    for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
      const at::Tensor& moved = leaf == 0 ? latent64 : own[leaf - 1];
      const at::Tensor found = gradients[leaf].defined() ? gradients[leaf].to(at::kDouble).contiguous() : at::zeros_like(moved);
      const std::string what = name + " by " + (leaf == 0 ? "itself" : parameters[leaf - 1].name);
      for (std::int64_t i = 0; i < moved.numel(); ++i) {
        double& coordinate = moved.data_ptr<double>()[i];
        const double before = coordinate;
        coordinate = before + kStep;
        const at::Tensor up = method.surrogate(name, latent64, own).clone();
        coordinate = before - kStep;
        const at::Tensor down = method.surrogate(name, latent64, own).clone();
        coordinate = before;
        expect_derivative(found.data_ptr<double>()[i], g64, up, down, kStep, largest, what + " at " + std::to_string(i));
      }
    }
  }
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const MethodEntry& entry : method_registry()) names.emplace_back(entry.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, MethodConformance, ::testing::ValuesIn(names()), [](const auto& param) { return param.param; });

TEST(MethodRegistry, KnowsItsNamesAndRefusesOthers) {
  for (const std::string& name : names()) EXPECT_EQ(make_method({name, {}})->name(), name);
  expect_error(ErrorCode::usage, "recipe: method \"ink\" is not known (nearest: inq); known methods are " + join_names(names()) + ".", [] {
    (void)make_method({"ink", {}});
  });
}

}  // namespace
}  // namespace bitwright::test
