// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/argument_pool.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BITWRIGHT_REPLACE_NEW 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define BITWRIGHT_REPLACE_NEW 0
#endif
#endif
#ifndef BITWRIGHT_REPLACE_NEW
#define BITWRIGHT_REPLACE_NEW 1
#endif

namespace bitwright {
namespace {

// All pools lie in one static region (untouched pages cost nothing), so that `operator delete` tells their memory by one comparison.
constexpr int kSlots = 256;
constexpr int kNoSlot = -1;
[[maybe_unused]] alignas(64) std::array<std::array<std::byte, ArgumentPool::kBytes>, kSlots> g_region;

struct SlotState {
  std::atomic<bool> taken{false};
  std::atomic<std::int64_t> live{0};  // allocations not yet given back
  std::size_t used = 0;               // bytes; touched by the thread whose scope is open
};
std::array<SlotState, kSlots> g_slots;

thread_local int t_slot = kNoSlot;

#if BITWRIGHT_REPLACE_NEW
int slot_of(const void* pointer) noexcept {
  const auto distance = reinterpret_cast<std::uintptr_t>(pointer) - reinterpret_cast<std::uintptr_t>(g_region.data());
  return distance < sizeof(g_region) ? static_cast<int>(distance / ArgumentPool::kBytes) : kNoSlot;
}

void* take(std::size_t bytes) noexcept {
  SlotState& slot = g_slots[static_cast<std::size_t>(t_slot)];
  const std::size_t need = (bytes + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
  if (need < bytes || need > ArgumentPool::kBytes - slot.used) return nullptr;
  void* pointer = g_region[static_cast<std::size_t>(t_slot)].data() + slot.used;
  slot.used += need == 0 ? alignof(std::max_align_t) : need;
  slot.live.fetch_add(1, std::memory_order_relaxed);
  return pointer;
}
#endif

}  // namespace

ArgumentPool::ArgumentPool() noexcept : slot_(kNoSlot) {
#if BITWRIGHT_REPLACE_NEW
  for (int i = 0; i < kSlots && slot_ == kNoSlot; ++i) {
    SlotState& slot = g_slots[static_cast<std::size_t>(i)];
    if (slot.live.load() == 0 && !slot.taken.exchange(true)) slot_ = i;
  }
#endif
}

ArgumentPool::~ArgumentPool() {
  if (slot_ != kNoSlot) g_slots[static_cast<std::size_t>(slot_)].taken.store(false);
}

bool ArgumentPool::is_effective() const noexcept { return slot_ != kNoSlot; }

ArgumentPool::Scope::Scope(ArgumentPool& pool) noexcept : before_(t_slot) {
  t_slot = pool.slot_;
  if (t_slot == kNoSlot) return;
  SlotState& slot = g_slots[static_cast<std::size_t>(t_slot)];
  if (slot.live.load(std::memory_order_relaxed) == 0) slot.used = 0;
}

ArgumentPool::Scope::~Scope() { t_slot = before_; }

}  // namespace bitwright

#if BITWRIGHT_REPLACE_NEW
// The four other forms of the standard library forward to these.
[[gnu::weak]] void* operator new(std::size_t bytes) {
  if (bitwright::t_slot != bitwright::kNoSlot) {
    if (void* pointer = bitwright::take(bytes)) return pointer;
  }
  while (true) {
    if (void* pointer = std::malloc(bytes == 0 ? 1 : bytes)) return pointer;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

[[gnu::weak]] void operator delete(void* pointer) noexcept {
  const int slot = bitwright::slot_of(pointer);
  if (slot == bitwright::kNoSlot) {
    std::free(pointer);
  } else {
    bitwright::g_slots[static_cast<std::size_t>(slot)].live.fetch_sub(1, std::memory_order_relaxed);
  }
}

[[gnu::weak]] void operator delete(void* pointer, std::size_t) noexcept { ::operator delete(pointer); }
#endif
