// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/dq/point_pool.h"

#include "bitwright/core/rng.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/formats/codebook.h"
#include "bitwright/train/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace bitwright::dq {
namespace {

using ::testing::ElementsAre;

at::Tensor vector_of(const std::vector<float>& values) { return to_tensor(Shape{static_cast<std::int64_t>(values.size())}, values); }

/// Paper page, section 3: scaled values of two buckets, alpha 2 and 0.5, beta 0.
FrozenWeights example() {
  return {.shape = {7},
          .scaled = {0.1, 0.125, 0.3, 0.375, 0.74, 0.75, 0.9},
          .buckets = {{.scale = 2.0F, .min = 0.0F}, {.scale = 0.5F, .min = 0.0F}},
          .bucket_size = 4};
}

const std::vector<float> kExamplePoints = {0.0F, 0.25F, 0.5F, 1.0F};

TEST(PointPool, WorkedExampleOfCodesAndGradient) {
  PointPool pool(std::vector{example()}, 4, at::kCPU);
  pool.set_points(std::vector<std::vector<float>>{kExamplePoints});
  EXPECT_THAT(pool.codes(0), ElementsAre(0, 1, 1, 2, 2, 3, 3)) << "on a midpoint the larger point";
  pool.assign_by_tensor_operations();
  EXPECT_THAT(pool.codes(0), ElementsAre(0, 1, 1, 2, 2, 3, 3)) << "on a midpoint the larger point";
  EXPECT_THAT(tensor_values(pool.values(0)), ElementsAre(0.0F, 0.5F, 0.5F, 1.0F, 0.25F, 0.5F, 0.5F));
  const at::Tensor g = vector_of({0.5F, -0.25F, 1.0F, 0.125F, -0.5F, 0.25F, 0.75F});
  (pool.differentiable_values()[0] * g).sum().backward();
  EXPECT_THAT(tensor_values(pool.parameter().grad()), ElementsAre(1.0F, 1.5F, 0.0F, 0.5F));
}

/// Drawn weights of one tensor, with what `Codebook` makes of them.
struct Drawn {
  Codebook format;
  std::vector<float> values;
  Codebook::Parameters parameters;
  FrozenWeights frozen;
};

Drawn draw(const std::string& stream, std::vector<std::int64_t> shape, const Codebook& format) {
  Drawn drawn{.format = format, .values = {}, .parameters = {}, .frozen = {}};
  const Rng rng = Rng(11, "pool").split(stream);
  const std::int64_t count = Shape(shape).element_count();
  for (std::int64_t i = 0; i < count; ++i) drawn.values.push_back(static_cast<float>(0.3 * rng.normal(static_cast<std::uint64_t>(i))));
  drawn.parameters = format.fit(drawn.values);
  drawn.frozen = {.shape = std::move(shape), .scaled = {}, .buckets = drawn.parameters.buckets, .bucket_size = format.bucket_size};
  for_each_bucket(drawn.parameters.buckets, drawn.values.size(), format.bucket_size,
                  [&](const Bucket& bucket, std::size_t first, std::size_t number) {
                    for (std::size_t i = first; i < first + number; ++i) {
                      drawn.frozen.scaled.push_back(scaled_value(drawn.values[i], bucket));
                    }
                  });
  return drawn;
}

/// Three tensors of different shapes, buckets and numbers of points.
class ThreeTensors : public ::testing::Test {
 protected:
  ThreeTensors() : pool_(frozen(), 3 + 16 + 70 + 5, at::kCPU) { set_points(); }

  void set_points() {
    std::vector<std::vector<float>> points;
    for (const Drawn& tensor : tensors_) points.push_back(tensor.parameters.points);
    pool_.set_points(points);
  }
  /// Adds noise to every point and sorts.
  void disturb(double size) {
    const Rng rng(2, "noise");
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      std::vector<float>& points = tensors_[t].parameters.points;
      for (std::size_t j = 0; j < points.size(); ++j) points[j] += static_cast<float>(size * rng.normal(100 * t + j));
      std::ranges::sort(points);
    }
    set_points();
  }
  void expect_as_codebook() {
    expect_codes_and_values("loops");
    // What it finds must not be what the loops left.
    for (std::size_t t = 0; t < tensors_.size(); ++t) pool_.values(t).detach().zero_();
    pool_.assign_by_tensor_operations();
    expect_codes_and_values("tensor operations");
  }
  void expect_codes_and_values(const std::string& by) const {
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      const Drawn& tensor = tensors_[t];
      std::vector<std::int32_t> codes(tensor.values.size());
      std::vector<float> values(tensor.values.size());
      tensor.format.encode(tensor.parameters, tensor.values, {}, codes);
      tensor.format.decode(tensor.parameters, codes, values);
      EXPECT_EQ(pool_.codes(t), codes) << t << " by " << by;
      EXPECT_EQ(tensor_values(pool_.values(t)), values) << t << " by " << by;
      EXPECT_EQ(pool_.points(t), tensor.parameters.points) << t;
    }
  }

  std::vector<Drawn> tensors_ = {draw("a", {8, 3, 3, 3}, {.levels = 3, .bucket_size = 50}),
                                 draw("b", {10, 301}, {.levels = 16, .bucket_size = 256}),
                                 draw("c", {2, 5}, {.levels = 70, .bucket_size = std::nullopt})};
  PointPool pool_;

 private:
  [[nodiscard]] std::vector<FrozenWeights> frozen() const {
    std::vector<FrozenWeights> all;
    for (const Drawn& tensor : tensors_) all.push_back(tensor.frozen);
    return all;
  }
};

TEST_F(ThreeTensors, CodesAndValuesAreTheFormatsBitForBit) {
  expect_as_codebook();
  disturb(0.1);
  expect_as_codebook();
  disturb(5.0);
  expect_as_codebook();
}

// (D14) at a held assignment is linear in the points: the central difference of float64 values is exact up to its rounding.
TEST_F(ThreeTensors, GradientIsTheFiniteDifferenceAtFrozenCodes) {
  disturb(0.05);
  constexpr double kStep = 0x1p-10;
  const std::vector<at::Tensor> outputs = pool_.differentiable_values();
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const Rng rng = Rng(4, "g").split(std::to_string(t));
    std::vector<float> drawn(tensors_[t].values.size());
    for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] = static_cast<float>(rng.normal(i));
    at::Tensor g = to_tensor(Shape(tensors_[t].frozen.shape), drawn);
    // Convolutions hand back channels-last gradients.
    if (t == 0) g = g.contiguous(at::MemoryFormat::ChannelsLast);
    const std::vector<at::Tensor> gradients = torch::autograd::grad({outputs[t]}, {pool_.parameter()}, {g});
    const at::Tensor points = pool_.parameter().detach().to(at::kDouble);
    for (std::int64_t j = 0; j < points.numel(); ++j) {
      const at::Tensor up = points.clone();
      const at::Tensor down = points.clone();
      up[j] += kStep;
      down[j] -= kStep;
      const at::Tensor terms = (pool_.values_from(t, up) - pool_.values_from(t, down)) * g.to(at::kDouble) / (2 * kStep);
      // One rounding to float32, and float64's: values below 4, a few roundings each, over 2 kStep.
      const double size = terms.abs().sum().item<double>();
      const double bound = 0x1p-24 * size + 16 * 0x1p-53 * 4.0 * g.abs().sum().item<double>() / kStep;
      EXPECT_NEAR(gradients[0][j].item<double>(), terms.sum().item<double>(), bound) << t << " " << j;
    }
  }
}

TEST_F(ThreeTensors, ValuesThatFeedTheGraphAreThoseOfTheCodes) {
  const std::vector<at::Tensor> outputs = pool_.differentiable_values();
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    EXPECT_TRUE(outputs[t].requires_grad());
    EXPECT_FALSE(pool_.values(t).requires_grad());
    EXPECT_TRUE(at::equal(outputs[t], pool_.values(t)));
    EXPECT_EQ(outputs[t].sizes(), at::IntArrayRef(tensors_[t].frozen.shape));
  }
}

TEST_F(ThreeTensors, TensorsWithoutAGradientAndUnusedPointsGetZero) {
  const std::vector<at::Tensor> outputs = pool_.differentiable_values();
  outputs[1].sum().backward();
  const std::vector<float> gradient = tensor_values(pool_.parameter().grad());
  for (std::size_t j = 0; j < gradient.size(); ++j) {
    const bool second = j >= 3 && j < 19;
    EXPECT_EQ(gradient[j] != 0.0F, second) << j;
  }
}

TEST(PointPool, SortingCarriesTheOptimizersStateAlong) {
  const FrozenWeights three{.shape = {3}, .scaled = {0.0, 0.5, 1.0}, .buckets = {{1.0F, 0.0F}}, .bucket_size = std::nullopt};
  PointPool pool(std::vector{three, three}, 7, at::kCPU);
  pool.set_points(std::vector<std::vector<float>>{{0.0F, 0.5F, 1.0F}, {0.0F, 1.0F}});
  pool.parameter().detach().copy_(vector_of({0.9F, 0.9F, 0.1F, 5.0F, -3.0F, 0.0F, 0.0F}));
  const at::Tensor momentum = vector_of({1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F});
  const at::Tensor squares = vector_of({10.0F, 20.0F, 30.0F, 40.0F, 50.0F, 60.0F, 70.0F});
  pool.sort(std::vector{momentum, squares});
  EXPECT_THAT(tensor_values(pool.parameter().detach()), ElementsAre(0.1F, 0.9F, 0.9F, -3.0F, 5.0F, 0.0F, 0.0F));
  EXPECT_THAT(tensor_values(momentum), ElementsAre(3.0F, 1.0F, 2.0F, 5.0F, 4.0F, 6.0F, 7.0F)) << "equal points keep their order";
  EXPECT_THAT(tensor_values(squares), ElementsAre(30.0F, 10.0F, 20.0F, 50.0F, 40.0F, 60.0F, 70.0F));
  EXPECT_THAT(pool.points(1), ElementsAre(-3.0F, 5.0F));
  EXPECT_THAT(tensor_values(pool.values(0)), ElementsAre(0.1F, 0.9F, 0.9F)) << "assigned anew, (0.1 + 0.9) / 2 to the larger";
}

TEST_F(ThreeTensors, OtherNumbersOfPointsFindTheirPlaces) {
  const std::vector<int> levels = {30, 2, 62};
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    tensors_[t].format.levels = levels[t];
    tensors_[t].parameters = tensors_[t].format.fit(tensors_[t].values);
  }
  const at::Tensor before = pool_.parameter();
  set_points();
  expect_as_codebook();
  EXPECT_EQ(pool_.parameter().data_ptr<float>(), before.data_ptr<float>()) << "the optimizer holds this memory";
  EXPECT_EQ(pool_.levels(2), 62);
}

}  // namespace
}  // namespace bitwright::dq
