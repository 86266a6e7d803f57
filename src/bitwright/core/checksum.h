// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace bitwright {

/// XXH3-64 of the bytes (seed 0). Detects damage, not malice.
[[nodiscard]] std::uint64_t xxh3_64(std::span<const std::byte> content) noexcept;

/// XXH3-64 of bytes that come part by part: what `xxh3_64` gives for the parts in a row.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;

  void update(std::span<const std::byte> part) noexcept;
  /// Of all parts so far.
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 as 64 lower-case hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> content);

}  // namespace bitwright
