// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/huge_block.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace bitwright {
namespace {

constexpr std::size_t rounded_up(std::size_t bytes, std::size_t to) noexcept { return (bytes + to - 1) / to * to; }

}  // namespace

void* allocate_huge(std::size_t bytes, std::size_t alignment) {
  constexpr auto kPage = static_cast<std::size_t>(HugeBlock::kPageBytes);
  const bool is_huge = bytes >= kPage;
  const std::size_t unit = is_huge ? kPage : std::max(alignment, alignof(std::max_align_t));
  void* const memory = std::aligned_alloc(unit, rounded_up(std::max<std::size_t>(bytes, 1), unit));
  if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (is_huge) (void)madvise(memory, rounded_up(bytes, kPage), MADV_HUGEPAGE);  // a system without them gives small ones
#endif
  return memory;
}

HugeBlock::HugeBlock(std::int64_t bytes)
    : bytes_(static_cast<std::int64_t>(rounded_up(static_cast<std::size_t>(bytes), static_cast<std::size_t>(kPageBytes)))),
      memory_(allocate_huge(static_cast<std::size_t>(bytes_), alignof(std::max_align_t))) {}

}  // namespace bitwright
