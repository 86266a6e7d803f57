// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/optimizer.h"

#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"
#include "tests/unit/train/tiny_problem.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace bitwright::test {
namespace {

/// Sets every gradient to `value`.
void set_gradients(const Network& network, float value) {
  for (const Parameter& parameter : network.parameters()) parameter.tensor.mutable_grad() = at::full_like(parameter.tensor, value).detach();
}

float first_of(const Network& network, const char* name) { return tensor_values(network.parameter(name))[0]; }

TEST(Optimizer, SgdFollowsItsEquationWithDecayPerGroup) {
  // Values with few bits: every product and sum below is exact, so the expected results are too.
  TrainRecipe recipe;
  recipe.lr = 0.5;
  recipe.momentum = 0.5;
  recipe.weight_decay = 0.25;
  recipe.bias_weight_decay = 0.0;
  Model model = tiny_model();
  model.weights.insert_or_assign("fc.weight", constant_weight(Shape{4, 64}, 2.0F));
  model.weights.insert_or_assign("fc.bias", constant_weight(Shape{4}, 2.0F));
  Network network(model);
  Optimizer optimizer(network, recipe);
  EXPECT_TRUE(optimizer.state_tensors("fc.weight").empty());
  set_gradients(network, 1.0F);
  optimizer.step();  // weight: g = 1 + 0.25 * 2 = 1.5, v = 1.5, w = 2 - 0.75; bias: g = v = 1, b = 2 - 0.5
  EXPECT_EQ(first_of(network, "fc.weight"), 1.25F);
  EXPECT_EQ(first_of(network, "fc.bias"), 1.5F);
  optimizer.step();  // weight: g = 1 + 0.3125, v = 0.75 + 1.3125 = 2.0625, w = 1.25 - 1.03125; bias: v = 1.5, b = 0.75
  EXPECT_EQ(first_of(network, "fc.weight"), 0.21875F);
  EXPECT_EQ(first_of(network, "fc.bias"), 0.75F);
  ASSERT_EQ(optimizer.state_tensors("fc.weight").size(), 1U);
  EXPECT_EQ(tensor_values(optimizer.state_tensors("fc.weight")[0])[0], 2.0625F);
  optimizer.set_learning_rate(0.25);
  optimizer.step();  // bias: v = 0.75 + 1 = 1.75, b = 0.75 - 0.4375
  EXPECT_EQ(first_of(network, "fc.bias"), 0.3125F);
}

TEST(Optimizer, NesterovLooksAhead) {
  TrainRecipe recipe;
  recipe.lr = 0.5;
  recipe.momentum = 0.5;
  recipe.nesterov = true;
  Network network(tiny_model());
  Optimizer optimizer(network, recipe);
  set_gradients(network, 1.0F);
  optimizer.step();  // v = 1, b = 0 - 0.5 (1 + 0.5)
  EXPECT_EQ(first_of(network, "fc.bias"), -0.75F);
  optimizer.step();  // v = 1.5, b = -0.75 - 0.5 (1 + 0.75)
  EXPECT_EQ(first_of(network, "fc.bias"), -1.625F);
}

class OptimizerState : public ::testing::TestWithParam<OptimizerKind> {};

TEST_P(OptimizerState, GoesOnBitForBitAfterLoading) {
  TrainRecipe recipe;
  recipe.lr = 0.01;
  recipe.optimizer = GetParam();
  recipe.weight_decay = 0.1;
  Network first(tiny_model());
  Optimizer optimizer(first, recipe);
  for (int step = 0; step < 3; ++step) {
    set_gradients(first, 0.1F * static_cast<float>(step + 1));
    optimizer.step();
  }
  StateWriter writer;
  first.save(writer);
  optimizer.save(writer);
  const std::vector<std::byte> bytes = std::move(writer).take();

  Network second(tiny_model());
  Optimizer loaded(second, recipe);
  StateReader reader(bytes, "state");
  second.load(reader);
  loaded.load(reader);
  reader.finish();
  EXPECT_EQ(loaded.state_tensors("fc.weight").size(), GetParam() == OptimizerKind::sgd ? 1U : 2U);
  for (int step = 0; step < 3; ++step) {
    set_gradients(first, -0.3F);
    set_gradients(second, -0.3F);
    optimizer.step();
    loaded.step();
  }
  for (const Parameter& parameter : first.parameters()) {
    EXPECT_EQ(tensor_values(parameter.tensor), tensor_values(second.parameter(parameter.name))) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, OptimizerState, ::testing::Values(OptimizerKind::sgd, OptimizerKind::adam));

TEST(Optimizer, LoadingTheBeginningForgetsState) {
  TrainRecipe recipe;
  Network network(tiny_model());
  Optimizer fresh(network, recipe);
  StateWriter writer;
  fresh.save(writer);
  const std::vector<std::byte> bytes = std::move(writer).take();
  set_gradients(network, 1.0F);
  fresh.step();
  EXPECT_FALSE(fresh.state_tensors("fc.weight").empty());
  StateReader reader(bytes, "state");
  fresh.load(reader);
  EXPECT_TRUE(fresh.state_tensors("fc.weight").empty());
}

}  // namespace
}  // namespace bitwright::test
