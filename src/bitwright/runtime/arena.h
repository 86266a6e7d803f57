// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/huge_block.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace bitwright {

/// A buffer that must exist from one step of a plan to another, both included.
struct BufferLifetime {
  std::int64_t bytes = 0;
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
};

/// Where each buffer lies in one arena.
struct ArenaLayout {
  std::vector<std::int64_t> offsets;
  std::int64_t bytes = 0;
};

inline constexpr std::int64_t kArenaAlignment = 64;

/// Gives every buffer an offset so that buffers alive at the same step do not overlap.
///
/// Largest first, each at the lowest offset that is free over its whole life. Ensures: offsets are multiples of kArenaAlignment; `bytes` is
/// at least the largest sum of buffers alive together and at most the sum of all. Cost: O(n^2 log n).
[[nodiscard]] ArenaLayout lay_out_arena(std::span<const BufferLifetime> buffers);

/// One aligned block of memory, zeroed.
class Arena {
 public:
  explicit Arena(std::int64_t bytes);
  [[nodiscard]] float* at(std::int64_t offset) const noexcept;
  [[nodiscard]] std::int64_t bytes() const noexcept { return bytes_; }

 private:
  struct alignas(kArenaAlignment) Line {
    std::byte bytes[kArenaAlignment];
  };
  std::unique_ptr<Line[]> lines_;   // a small arena
  std::optional<HugeBlock> block_;  // a large one
  std::int64_t bytes_;
};

}  // namespace bitwright
