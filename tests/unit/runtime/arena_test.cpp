// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/arena.h"

#include "bitwright/core/rng.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bitwright {
namespace {

TEST(ArenaLayout, BuffersAliveTogetherNeverOverlapAndTheSizeIsBetweenItsLimits) {
  const Rng rng(3, "arena");
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    std::vector<BufferLifetime> buffers;
    const std::uint64_t count = 1 + rng.below(trial, 30);
    std::int64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const Rng one = rng.at_step(trial * 100 + i + 1);
      const auto first = static_cast<std::int64_t>(one.below(0, 20));
      buffers.push_back({.bytes = static_cast<std::int64_t>(one.below(1, 1000)),
                         .first_step = first,
                         .last_step = first + static_cast<std::int64_t>(one.below(2, 6))});
      sum += (buffers.back().bytes + 63) / 64 * 64;
    }
    const ArenaLayout layout = lay_out_arena(buffers);
    std::int64_t most_alive = 0;
    for (std::int64_t step = 0; step < 30; ++step) {
      std::int64_t alive = 0;
      for (const BufferLifetime& buffer : buffers) {
        if (buffer.first_step <= step && step <= buffer.last_step) alive += (buffer.bytes + 63) / 64 * 64;
      }
      most_alive = std::max(most_alive, alive);
    }
    EXPECT_GE(layout.bytes, most_alive);
    EXPECT_LE(layout.bytes, sum);
    for (std::size_t a = 0; a < buffers.size(); ++a) {
      EXPECT_EQ(layout.offsets[a] % kArenaAlignment, 0);
      EXPECT_LE(layout.offsets[a] + buffers[a].bytes, layout.bytes);
      for (std::size_t b = 0; b < a; ++b) {
        const bool together = buffers[a].first_step <= buffers[b].last_step && buffers[b].first_step <= buffers[a].last_step;
        const bool overlap =
            layout.offsets[a] < layout.offsets[b] + buffers[b].bytes && layout.offsets[b] < layout.offsets[a] + buffers[a].bytes;
        EXPECT_FALSE(together && overlap && buffers[a].bytes > 0 && buffers[b].bytes > 0) << "trial " << trial;
      }
    }
  }
}

TEST(ArenaLayout, AChainNeedsTwoBuffersOnly) {
  std::vector<BufferLifetime> chain;
  for (std::int64_t i = 0; i < 10; ++i) chain.push_back({.bytes = 640, .first_step = i, .last_step = i + 1});
  EXPECT_EQ(lay_out_arena(chain).bytes, 2 * 640);
}

TEST(Arena, IsAlignedAndZero) {
  const Arena arena(100);
  EXPECT_EQ(arena.bytes(), 128);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.at(0)) % kArenaAlignment, 0U);
  EXPECT_EQ(arena.at(64) - arena.at(0), 16);
  EXPECT_TRUE(std::all_of(arena.at(0), arena.at(0) + 32, [](float value) { return value == 0.0F; }));
}

}  // namespace
}  // namespace bitwright
