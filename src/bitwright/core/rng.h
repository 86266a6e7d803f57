// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bitwright {

/// Philox4x32-10: four 32-bit words that depend on `counter` and `key` only.
///
/// Exactness: bit for bit the generator of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (known-answer vectors in
/// the tests).
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept;

/// A stream of random numbers addressed by (seed, purpose, step, index).
///
/// There is no state to advance: the draw for an index is the same whatever was drawn before, on any thread, in any order.
class Rng {
 public:
  Rng(std::uint64_t seed, std::string_view purpose, std::uint64_t step = 0) noexcept;

  /// An independent stream under the same seed, e.g. one per tensor: `rng.split("conv1.weight")`.
  [[nodiscard]] Rng split(std::string_view purpose) const noexcept;
  /// The same stream at another step.
  [[nodiscard]] Rng at_step(std::uint64_t step) const noexcept;

  [[nodiscard]] std::uint32_t bits32(std::uint64_t index) const noexcept;
  [[nodiscard]] std::uint64_t bits64(std::uint64_t index) const noexcept;
  /// Four words at once, for loops that need more than one draw per element.
  [[nodiscard]] std::array<std::uint32_t, 4> block(std::uint64_t index) const noexcept;

  /// The draws of a block one by one, for loops over many elements: word `index % 4` of block `index / 4`. Four elements share a block,
  /// which is what makes a vectorized generator four times as fast; draws of one stream are either words, word pairs or blocks, never
  /// mixed.
  [[nodiscard]] std::uint32_t word(std::uint64_t index) const noexcept;
  /// Words 2 * index (low half) and 2 * index + 1 (high half): 64 bits for one element. Requires: index < 2^63.
  [[nodiscard]] std::uint64_t word_pair(std::uint64_t index) const noexcept;

  /// Uniform in [0, 1), a multiple of 2^-32; exactly representable in double.
  [[nodiscard]] double uniform01(std::uint64_t index) const noexcept;
  /// Uniform integer in [0, bound). Unbiased to 2^-64 (128-bit multiply-shift). Requires: bound >= 1.
  [[nodiscard]] std::uint64_t below(std::uint64_t index, std::uint64_t bound) const noexcept;
  /// Standard normal (Box-Muller in double from this index's block).
  [[nodiscard]] double normal(std::uint64_t index) const noexcept;

  /// Key and step as Philox gets them, for vectorized generators: block(i) = philox4x32({lo(i), hi(i), lo(step), hi(step)}, {lo(key),
  /// hi(key)}).
  [[nodiscard]] std::uint64_t key() const noexcept { return key_; }
  [[nodiscard]] std::uint64_t step() const noexcept { return step_; }

 private:
  Rng(std::uint64_t key, std::uint64_t step) noexcept : key_(key), step_(step) {}
  std::uint64_t key_;
  std::uint64_t step_;
};

}  // namespace bitwright
