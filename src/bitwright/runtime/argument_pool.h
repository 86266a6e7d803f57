// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace bitwright {

/// Memory, reserved before the first run, from which `operator new` is served while a `Scope` lives on the calling thread.
///
/// oneDNN's execute call builds a map of its arguments on the heap, three to eight nodes each time, and offers no other door. To run
/// without the heap all the same, this library replaces the global `operator new` and `operator delete` (weakly: a program's own
/// replacement wins, and then these nodes come from it). Outside a scope they do what the standard ones do.
/// docs/adr/0006-allocation-free-execution.md weighs the alternatives. Under a sanitizer nothing is replaced.
class ArgumentPool {
 public:
  static constexpr std::size_t kBytes = 8192;

  /// Takes one of a fixed number of slots; when all are taken, scopes of this pool have no effect and `operator new` uses the heap.
  ArgumentPool() noexcept;
  ~ArgumentPool();
  ArgumentPool(const ArgumentPool&) = delete;
  ArgumentPool& operator=(const ArgumentPool&) = delete;

  /// Whether allocations within a scope are served from this pool.
  [[nodiscard]] bool is_effective() const noexcept;

  /// Directs this thread's `operator new` to the pool. Memory taken is reused once all of it was given back; what outlives a scope stays
  /// good.
  class Scope {
   public:
    explicit Scope(ArgumentPool& pool) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    int before_;
  };

 private:
  int slot_;
};

}  // namespace bitwright
