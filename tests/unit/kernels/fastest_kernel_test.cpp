// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/fastest_kernel.h"

#include <gmock/gmock.h>

#include <array>
#include <string_view>

namespace bitwright {
namespace {

struct Kernel {
  Isa isa;
  std::string_view name;
};

TEST(FastestKernel, IsTheLastThatIsAllowed) {
  const Isa best = available_isas().back();
  const std::array<Kernel, 2> kernels = {{{Isa::scalar, "plain"}, {best, "fast"}}};
  std::vector<std::string> refusals;
  EXPECT_EQ(fastest_kernel(std::span<const Kernel>(kernels), best, refusals), &kernels[1]);
  EXPECT_TRUE(refusals.empty());
  if (best == Isa::scalar) GTEST_SKIP() << "this processor has nothing better than scalar";
  EXPECT_EQ(fastest_kernel(std::span<const Kernel>(kernels), Isa::scalar, refusals), &kernels[0]);
  EXPECT_THAT(refusals, ::testing::ElementsAre("fast: the instruction set is scalar, this kernel needs " + std::string(isa_name(best))));
}

TEST(FastestKernel, IsNoneWhenAllRefuse) {
  const Isa best = available_isas().back();
  if (best == Isa::scalar) GTEST_SKIP() << "this processor has nothing better than scalar";
  const std::array<Kernel, 1> kernels = {{{best, "fast"}}};
  std::vector<std::string> refusals;
  EXPECT_EQ(fastest_kernel(std::span<const Kernel>(kernels), Isa::scalar, refusals), nullptr);
  EXPECT_EQ(refusals.size(), 1U);
}

}  // namespace
}  // namespace bitwright
