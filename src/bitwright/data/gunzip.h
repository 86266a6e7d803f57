// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bitwright {

/// Decompresses one gzip member.
///
/// Throws: `Error(corrupt_file)` naming `source`, when the stream is damaged, truncated or does not give exactly `bytes` bytes (a small
/// file can't blow up: no more than `bytes` + 1 are ever held).
[[nodiscard]] std::vector<std::byte> gunzip(std::span<const std::byte> compressed, std::uint64_t bytes, std::string_view source);

}  // namespace bitwright
