// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/schedule.h"

#include "bitwright/train/state.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bitwright::test {
namespace {

TrainRecipe recipe_with(ScheduleKind kind) {
  TrainRecipe recipe;
  recipe.lr = 0.5;
  recipe.schedule = kind;
  recipe.gamma = 0.25;
  recipe.patience = 1;
  return recipe;
}

TEST(Schedule, Constant) {
  const Schedule schedule(recipe_with(ScheduleKind::constant), 100);
  EXPECT_EQ(schedule.rate(0), 0.5);
  EXPECT_EQ(schedule.rate(99), 0.5);
}

TEST(Schedule, StepFallsAtItsMilestones) {
  const Schedule schedule(recipe_with(ScheduleKind::step), 100);  // at 50 and 75
  EXPECT_EQ(schedule.rate(49), 0.5);
  EXPECT_EQ(schedule.rate(50), 0.125);
  EXPECT_EQ(schedule.rate(74), 0.125);
  EXPECT_EQ(schedule.rate(75), 0.03125);
}

TEST(Schedule, CosineFallsFromTheRateToZero) {
  const Schedule schedule(recipe_with(ScheduleKind::cosine), 100);
  EXPECT_EQ(schedule.rate(0), 0.5);
  // cos(pi / 2) is 6e-17 in double, so half the rate up to one rounding.
  EXPECT_NEAR(schedule.rate(50), 0.25, 1e-16);
  EXPECT_GT(schedule.rate(99), 0.0);
  EXPECT_LT(schedule.rate(99), schedule.rate(98));
}

TEST(Schedule, PlateauFallsAfterPatienceAndOneMoreEpoch) {
  Schedule schedule(recipe_with(ScheduleKind::plateau), 100);
  schedule.end_epoch(1.0);
  schedule.end_epoch(1.0);  // no lower: 1 of 2
  EXPECT_EQ(schedule.rate(10), 0.5);
  schedule.end_epoch(0.9);  // lower: counts anew
  schedule.end_epoch(0.9);
  EXPECT_EQ(schedule.rate(10), 0.5);
  schedule.end_epoch(0.95);
  EXPECT_EQ(schedule.rate(10), 0.125);
}

TEST(Schedule, ExponentialFallsAfterEveryEpochAndOnlyThen) {
  Schedule schedule(recipe_with(ScheduleKind::exponential), 100);
  EXPECT_EQ(schedule.rate(0), 0.5);
  EXPECT_EQ(schedule.rate(49), 0.5);
  schedule.end_epoch(1.0);
  EXPECT_EQ(schedule.rate(50), 0.125);
  schedule.end_epoch(0.5);
  EXPECT_EQ(schedule.rate(99), 0.03125);
}

TEST(Schedule, WarmUpIsALinearRamp) {
  TrainRecipe recipe = recipe_with(ScheduleKind::constant);
  recipe.warmup_steps = 4;
  const Schedule schedule(recipe, 100);
  EXPECT_EQ(schedule.rate(0), 0.5 * (1.0 / 5.0));
  EXPECT_EQ(schedule.rate(3), 0.5 * (4.0 / 5.0));
  EXPECT_EQ(schedule.rate(4), 0.5);
}

TEST(Schedule, GoesOnFromItsSavedState) {
  for (const ScheduleKind kind : {ScheduleKind::plateau, ScheduleKind::exponential}) {
    Schedule first(recipe_with(kind), 100);
    for (const double loss : {1.0, 1.0, 1.0, 1.0}) first.end_epoch(loss);
    StateWriter writer;
    first.save(writer);
    const std::vector<std::byte> bytes = std::move(writer).take();
    Schedule second(recipe_with(kind), 100);
    StateReader reader(bytes, "state");
    second.load(reader);
    for (const double loss : {1.0, 0.5, 0.5, 0.5, 0.5}) {
      EXPECT_EQ(second.rate(3), first.rate(3));
      first.end_epoch(loss);
      second.end_epoch(loss);
    }
    EXPECT_EQ(second.rate(3), first.rate(3));
    EXPECT_LT(first.rate(3), 0.125);
  }
}

}  // namespace
}  // namespace bitwright::test
