// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace bitwright::limits {

// What a model may hold. The packed reader checks every count against these before it believes it; docs/file-format.md lists them.
inline constexpr std::uint64_t kMaxTensorRank = 8;
inline constexpr std::int64_t kMaxExtent = (std::int64_t{1} << 31) - 1;  ///< one axis; keeps shape arithmetic far inside int64
inline constexpr std::uint64_t kMaxNameBytes = 512;                      ///< name of a graph, node, value, weight, attribute or class
inline constexpr std::uint64_t kMaxTextBytes = 65536;                    ///< value of a note or of a text attribute
inline constexpr std::uint64_t kMaxStrings = 1 << 20;                    ///< entries of the packed file's string table
inline constexpr std::uint64_t kMaxGraphInputs = 64;
inline constexpr std::uint64_t kMaxGraphOutputs = 64;
inline constexpr std::uint64_t kMaxNodes = 65536;
inline constexpr std::uint64_t kMaxNodeInputs = 64;
inline constexpr std::uint64_t kMaxNodeOutputs = 64;
inline constexpr std::uint64_t kMaxNodeAttributes = 64;
inline constexpr std::uint64_t kMaxAttributeValues = 65536;  ///< numbers in one list attribute
inline constexpr std::uint64_t kMaxWeights = 65536;
inline constexpr std::uint64_t kMaxChannels = 65536;  ///< of the input transform
inline constexpr std::uint64_t kMaxClassNames = 65536;
inline constexpr std::uint64_t kMaxNotes = 4096;

}  // namespace bitwright::limits
