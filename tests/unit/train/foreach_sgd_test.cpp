// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/foreach_sgd.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <tuple>

namespace bitwright::test {
namespace {

using torch::optim::SGD;
using torch::optim::SGDOptions;

/// Momentum, Nesterov, weight decay.
class ForeachSgd : public ::testing::TestWithParam<std::tuple<double, bool, double>> {
 protected:
  [[nodiscard]] static std::vector<at::Tensor> leaves() {
    std::vector<at::Tensor> leaves;
    for (const std::int64_t size : {3, 64, 1000}) {
      const at::Tensor values = at::sin(at::arange(size, at::kFloat) * 1.37);
      leaves.push_back(values.detach().set_requires_grad(true));
    }
    return leaves;
  }

  [[nodiscard]] static SGD optimizer_of(const std::vector<at::Tensor>& leaves) {
    const auto [momentum, nesterov, decay] = GetParam();
    return SGD(leaves, SGDOptions(0.1).momentum(momentum).nesterov(nesterov).weight_decay(decay));
  }
};

TEST_P(ForeachSgd, GivesTheOptimizersOwnBits) {
  const std::vector<at::Tensor> own = leaves();
  const std::vector<at::Tensor> torchs = leaves();
  SGD ours = optimizer_of(own);
  SGD reference = optimizer_of(torchs);
  for (int step = 0; step < 4; ++step) {
    for (std::size_t i = 0; i < own.size(); ++i) {
      // The second leaf gets its first gradient, and so its state, a step later than the others.
      if (step == 0 && i == 1) continue;
      const at::Tensor gradient = at::cos(at::arange(own[i].numel(), at::kFloat) * (0.3 + step));
      own[i].mutable_grad() = gradient.clone();
      torchs[i].mutable_grad() = gradient.clone();
    }
    foreach_sgd_step(ours);
    reference.step();
    for (std::size_t i = 0; i < own.size(); ++i)
      EXPECT_TRUE(at::equal(own[i].detach(), torchs[i].detach())) << "step " << step << ", leaf " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Options, ForeachSgd,
                         ::testing::Values(std::tuple{0.0, false, 0.0}, std::tuple{0.9, false, 0.0}, std::tuple{0.9, false, 0.01},
                                           std::tuple{0.9, true, 0.01}));

}  // namespace
}  // namespace bitwright::test
