// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace bitwright {

/// Scale and offset of one bucket: value = min + scale * level. Eight bytes in the file. Source: (D1).
struct Bucket {
  float scale = 1.0F;  ///< alpha
  float min = 0.0F;    ///< beta
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

/// Codes that mean something, both ends included.
struct CodeRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  friend bool operator==(const CodeRange&, const CodeRange&) = default;
};

}  // namespace bitwright
