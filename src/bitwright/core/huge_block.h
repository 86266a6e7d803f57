// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace bitwright {

/// Memory for `bytes` bytes, to be freed with std::free: whole huge pages from one of them on, else aligned as asked. Requires: a power of two.
/// Throws: std::bad_alloc.
[[nodiscard]] void* allocate_huge(std::size_t bytes, std::size_t alignment);

/// Memory that is asked for in pages of 2 MB, where the system has them: reading weights once an image then needs a five-hundredth of the
/// address translations, and filling it a five-hundredth of the page faults. What is never touched takes no memory.
class HugeBlock {
 public:
  static constexpr std::int64_t kPageBytes = std::int64_t{2} << 20;

  /// Units: bytes, rounded up to whole pages. Requires: at least 1. Ensures: aligned to a page; contents unspecified. Throws: std::bad_alloc.
  explicit HugeBlock(std::int64_t bytes);

  [[nodiscard]] std::byte* begin() const noexcept { return static_cast<std::byte*>(memory_.get()); }
  [[nodiscard]] std::int64_t bytes() const noexcept { return bytes_; }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  std::int64_t bytes_;
  std::unique_ptr<void, Free> memory_;
};

/// Storage of a std::vector whose elements are read in long runs: huge pages from one page on, the heap below.
template <typename T>
struct HugeAllocator {
  using value_type = T;
  HugeAllocator() = default;
  template <typename U>
  explicit(false) HugeAllocator(const HugeAllocator<U>&) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) { return static_cast<T*>(allocate_huge(count * sizeof(T), alignof(T))); }
  void deallocate(T* memory, std::size_t) noexcept { std::free(memory); }
  friend bool operator==(const HugeAllocator&, const HugeAllocator&) noexcept { return true; }
};

}  // namespace bitwright
