// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/huge_block.h"
#include "bitwright/kernels/fixed_point/fixed_point.h"
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// Weights in the layouts that kernels want, shared by the plans of one session.
class ConstantCache {
 public:
  /// The memory kept under `key` with this layout; made by `make` when there is none.
  template <typename Make>
  [[nodiscard]] dnnl::memory memory(const std::string& key, const dnnl::memory::desc& desc, Make make) {
    for (const dnnl::memory& kept : memories_[key]) {
      if (kept.get_desc() == desc) return kept;
    }
    return memories_[key].emplace_back(make());
  }

  /// Memory for a constant of this layout, which lives as long as the cache. A small network's constants come from the heap, what is beyond
  /// lies side by side in huge pages.
  [[nodiscard]] dnnl::memory allocate(const dnnl::memory::desc& desc, const dnnl::engine& engine) {
    constexpr std::int64_t kOnHeap = std::int64_t{1} << 20;
    constexpr std::int64_t kLine = 64;
    const std::int64_t bytes = (static_cast<std::int64_t>(desc.get_size()) + kLine - 1) / kLine * kLine;
    if (heap_bytes_ + bytes <= kOnHeap) {
      heap_bytes_ += bytes;
      return {desc, engine};
    }
    if (blocks_.empty() || block_used_ + bytes > blocks_.back().bytes()) {
      constexpr std::int64_t kLeastBlock = 16 * HugeBlock::kPageBytes;
      blocks_.emplace_back(std::max(bytes, kLeastBlock));
      block_used_ = 0;
    }
    std::byte* const begin = blocks_.back().begin() + block_used_;
    block_used_ += bytes;
    return {desc, engine, begin};
  }

  template <typename Make>
  [[nodiscard]] std::shared_ptr<const GemvPackedWeights> packed(const std::string& key, Make make) {
    std::shared_ptr<const GemvPackedWeights>& kept = packed_[key];
    if (!kept) kept = std::make_shared<const GemvPackedWeights>(make());
    return kept;
  }

  template <typename Make>
  [[nodiscard]] std::shared_ptr<const FixedPacked> fixed(const std::string& key, Make make) {
    std::shared_ptr<const FixedPacked>& kept = fixed_[key];
    if (!kept) kept = std::make_shared<const FixedPacked>(make());
    return kept;
  }

 private:
  std::int64_t heap_bytes_ = 0;
  std::vector<HugeBlock> blocks_;
  std::int64_t block_used_ = 0;  // of the last block
  std::map<std::string, std::vector<dnnl::memory>> memories_;
  std::map<std::string, std::shared_ptr<const GemvPackedWeights>> packed_;
  std::map<std::string, std::shared_ptr<const FixedPacked>> fixed_;
};

}  // namespace bitwright
