// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace bitwright {

/// XXH3-64 of the bytes (seed 0). Detects damage, not malice.
[[nodiscard]] std::uint64_t xxh3_64(std::span<const std::byte> content) noexcept;

/// SHA-256 as 64 lower-case hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> content);

}  // namespace bitwright
