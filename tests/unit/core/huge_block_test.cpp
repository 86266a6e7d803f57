// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/huge_block.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace bitwright {
namespace {

TEST(HugeBlock, IsWholeAlignedPages) {
  for (const std::int64_t asked : {std::int64_t{1}, HugeBlock::kPageBytes, HugeBlock::kPageBytes + 1}) {
    const HugeBlock block(asked);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.begin()) % static_cast<std::uintptr_t>(HugeBlock::kPageBytes), 0U);
    EXPECT_EQ(block.bytes() % HugeBlock::kPageBytes, 0);
    EXPECT_GE(block.bytes(), asked);
    EXPECT_LT(block.bytes(), asked + HugeBlock::kPageBytes);
    std::memset(block.begin(), 0x5A, static_cast<std::size_t>(block.bytes()));
  }
}

TEST(HugeAllocator, ServesVectorsOfAnySizeAndAlignment) {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{1} << 16}) {
    std::vector<Line, HugeAllocator<Line>> lines(count);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(lines.data()) % 64, 0U);
    if (count * sizeof(Line) >= static_cast<std::size_t>(HugeBlock::kPageBytes)) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(lines.data()) % static_cast<std::uintptr_t>(HugeBlock::kPageBytes), 0U);
    }
    const std::vector<Line, HugeAllocator<Line>> copy = lines;
    EXPECT_EQ(copy.size(), count);
  }
}

TEST(HugeBlock, KeepsItsMemoryWhenItMoves) {
  HugeBlock block(1);
  std::byte* const begin = block.begin();
  *begin = std::byte{7};
  const HugeBlock moved = std::move(block);
  EXPECT_EQ(moved.begin(), begin);
  EXPECT_EQ(*moved.begin(), std::byte{7});
}

}  // namespace
}  // namespace bitwright
