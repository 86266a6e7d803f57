// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"

#include <cstdint>
#include <memory>
#include <string_view>

namespace bitwright {

/// A made-up data set, as `synthetic:CLASSES:TRAIN:TEST:SEED` states it.
struct SyntheticSpec {
  int classes = 0;
  std::int64_t train = 0;
  std::int64_t test = 0;
  std::uint64_t seed = 0;
};

[[nodiscard]] bool is_synthetic_name(std::string_view name) noexcept;

/// Throws: `Error(usage)` when the text is not of that form or a number is out of range (classes 2 to 256, images at most 1,000,000).
[[nodiscard]] SyntheticSpec parse_synthetic_name(std::string_view name);

/// Makes the images of a split: each class has a prototype of smooth blobs; an image is its class's prototype, shifted by up to two
/// pixels, dimmed and with noise. Image i has class i mod CLASSES.
///
/// Exactness: the same bytes everywhere; only +, -, *, / and floor on doubles.
/// Throws: `Error(invalid_input)` when the split has no images.
[[nodiscard]] std::unique_ptr<Dataset> make_synthetic(std::string_view name, Split split);

}  // namespace bitwright
