// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/arena.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace bitwright {
namespace {

std::int64_t aligned(std::int64_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

bool alive_together(const BufferLifetime& a, const BufferLifetime& b) { return a.first_step <= b.last_step && b.first_step <= a.last_step; }

struct Interval {
  std::int64_t begin;
  std::int64_t end;
};

}  // namespace

ArenaLayout lay_out_arena(std::span<const BufferLifetime> buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return buffers[a].bytes > buffers[b].bytes; });

  ArenaLayout layout{.offsets = std::vector<std::int64_t>(buffers.size()), .bytes = 0};
  std::vector<std::size_t> placed;
  for (const std::size_t buffer : order) {
    std::vector<Interval> taken;
    for (const std::size_t other : placed) {
      if (!alive_together(buffers[buffer], buffers[other])) continue;
      taken.push_back({.begin = layout.offsets[other], .end = layout.offsets[other] + aligned(buffers[other].bytes)});
    }
    std::sort(taken.begin(), taken.end(), [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    const std::int64_t need = aligned(buffers[buffer].bytes);
    std::int64_t offset = 0;
    for (const Interval& interval : taken) {
      if (offset + need <= interval.begin) break;
      offset = std::max(offset, interval.end);
    }
    layout.offsets[buffer] = offset;
    layout.bytes = std::max(layout.bytes, offset + need);
    placed.push_back(buffer);
  }
  return layout;
}

Arena::Arena(std::int64_t bytes) : bytes_(aligned(bytes)) {
  if (bytes_ < HugeBlock::kPageBytes) {
    lines_ = std::make_unique<Line[]>(static_cast<std::size_t>(bytes_ / kArenaAlignment));
  } else {
    block_.emplace(bytes_);
    std::memset(block_->begin(), 0, static_cast<std::size_t>(bytes_));
  }
}

float* Arena::at(std::int64_t offset) const noexcept {
  std::byte* const begin = block_ ? block_->begin() : reinterpret_cast<std::byte*>(lines_.get());
  return reinterpret_cast<float*>(begin + offset);
}

}  // namespace bitwright
