// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"

#include <cstdint>
#include <filesystem>
#include <vector>

namespace bitwright {

struct Image {
  Shape shape;  ///< CHW, C is 1 or 3
  std::vector<std::uint8_t> pixels;
};

/// Decodes a PNG, JPEG or PGM/PPM (binary) file. Throws: `Error(io)`, `Error(corrupt_file)`, `Error(unsupported)`.
[[nodiscard]] Image read_image(const std::filesystem::path& path);

/// Resizes (bilinear, half-pixel centers) and converts between 1 and 3 channels (luma .299 .587 .114; or replicate) to fit a network's
/// input.
[[nodiscard]] Image fit_image(const Image& image, const Shape& shape);

}  // namespace bitwright
