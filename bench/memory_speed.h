// SPDX-License-Identifier: Apache-2.0
// What this machine gives one thread, measured in the process that times the kernels, so that both see the same neighbours.
#pragma once

#include "bitwright/core/huge_block.h"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace bitwright::bench {

/// Time that this thread has computed: what runs beside it on the same core does not count.
inline double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Cycles a second: a chain of additions, one a cycle, the fastest of many short tries.
inline double clock_hz() {
  static const double hz = [] {
    constexpr std::int64_t kSteps = 200000;
    double best = 1e9;
    for (int attempt = 0; attempt < 200; ++attempt) {
      const double begin = seconds_now();
      std::uint64_t sum = 0;
      std::uint64_t step = 1;
      asm volatile("" : "+r"(step));  // a constant step would be added while renaming, several a cycle
#pragma GCC unroll 20
      for (std::int64_t i = 0; i < kSteps; ++i) {
#if defined(__x86_64__)
        asm volatile("add %1, %0" : "+r"(sum) : "r"(step));
#else
        asm volatile("add %0, %0, %1" : "+r"(sum) : "r"(step));
#endif
      }
      best = std::min(best, seconds_now() - begin);
    }
    return kSteps / best;
  }();
  return hz;
}

/// Bytes a second that one thread reads from `size` bytes, in four streams, in huge pages and with prefetching, as
/// the kernels read their weights: the fastest of several passes. Each call measures anew.
inline double read_bytes_per_second(std::int64_t size) {
  const std::size_t words = static_cast<std::size_t>(size) / 8 / 32 * 32;
  std::vector<std::uint64_t, HugeAllocator<std::uint64_t>> memory(words, 1);
  const std::size_t quarter = words / 4;
  double best = 1e9;
  for (int pass = 0; pass < (size < 100000000 ? 20 : 4); ++pass) {
    const double begin = seconds_now();
    std::uint64_t sums[4][8] = {};  // vectors, once the compiler has seen them
    for (std::size_t i = 0; i < quarter; i += 8) {
      for (std::size_t stream = 0; stream < 4; ++stream) {
        __builtin_prefetch(memory.data() + stream * quarter + i + 128);
        for (std::size_t k = 0; k < 8; ++k) sums[stream][k] |= memory[stream * quarter + i + k];
      }
    }
    for (auto& sum : sums) asm volatile("" : : "r"(sum) : "memory");
    best = std::min(best, seconds_now() - begin);
  }
  return static_cast<double>(words * 8) / best;
}

/// Bytes a second (counted once) that memcpy copies.
inline double copy_bytes_per_second(std::int64_t size) {
  std::vector<char> from(static_cast<std::size_t>(size), 1);
  std::vector<char> to(static_cast<std::size_t>(size), 2);
  double best = 1e9;
  for (int pass = 0; pass < 5; ++pass) {
    const double begin = seconds_now();
    std::memcpy(to.data(), from.data(), from.size());
    asm volatile("" : : "r"(to.data()) : "memory");
    best = std::min(best, seconds_now() - begin);
  }
  return static_cast<double>(size) / best;
}

}  // namespace bitwright::bench
