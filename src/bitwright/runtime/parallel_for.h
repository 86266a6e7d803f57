// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace bitwright {

/// Calls body(i) for every i in [0, count), shared among `threads` OpenMP threads. One thread opens no region: OpenMP would take memory for
/// a team of one.
template <typename Body>
void parallel_for(int threads, std::int64_t count, Body body) noexcept {
  if (threads == 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace bitwright
