// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <set>

namespace bitwright {
namespace {

TEST(Cpu, HasAName) { EXPECT_FALSE(cpu_name().empty()); }

TEST(Cpu, FeaturesAreDistinctAndTrue) {
  const std::vector<std::string> features = cpu_features();
  EXPECT_EQ(std::set<std::string>(features.begin(), features.end()).size(), features.size());
#if defined(__x86_64__)
  // The compiler's own CPUID probe is an independent witness.
  const auto has = [&](const char* name) { return std::ranges::find(features, name) != features.end(); };
  EXPECT_EQ(has("avx2"), __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(has("fma"), __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(has("avx512f"), __builtin_cpu_supports("avx512f") != 0);
#endif
}

TEST(Cpu, CountFollowsTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(cpu_count(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(cpu_count(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
}  // namespace bitwright
