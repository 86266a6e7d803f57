// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/core/shape.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace bitwright {

/// A part of an image, in the image's own pixels: columns [left, left + width), rows [top, top + height).
struct Region {
  double left = 0.0;
  double top = 0.0;
  double width = 0.0;
  double height = 0.0;
  friend bool operator==(const Region&, const Region&) = default;
};

/// Says which part of an image is wanted, once the image's size is known.
using ChooseRegion = std::function<Region(std::int64_t width, std::int64_t height)>;

/// What a network trained with "resize the shorter side to 8/7 of the input, cut out the middle" sees: the middle rectangle of the shape's
/// proportions whose shorter extent is 7/8 of the largest such rectangle. (256 and 224 pixels are this ratio.)
[[nodiscard]] Region middle_region(std::int64_t width, std::int64_t height, const Shape& shape);

/// The random resized crop that ImageNet networks are trained with: a share of the area drawn evenly from [min_area, 1], proportions drawn
/// evenly in their logarithm from [3/4, 4/3], a place drawn evenly; after ten draws that don't fit, the largest middle part of admissible
/// proportions.
///
/// `draws`: a stream of one epoch; the draw depends on it and on `sample` only. Requires: 0 < min_area <= 1.
/// Source: Szegedy et al., Going deeper with convolutions, 2015, section 6; ten draws and what follows them as torchvision does it.
[[nodiscard]] Region random_region(std::int64_t width, std::int64_t height, double min_area, const Rng& draws, std::int64_t sample);

/// An image in memory, its channels beside each other (HWC).
struct InterleavedImage {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Cuts a region out of an image and scales it to a shape.
///
/// Shapes: dst is CHW, `shape` its extents; the image has shape[0] channels.
/// Rounding: a triangle filter as wide as a source pixel or a target pixel, whichever is larger (so that a smaller image is an average, not
/// a choice of pixels), over the whole image and not only the region, renormalized at the image's borders; summed in float, rounded to the
/// nearest integer. Requires: the region lies in the image; 1 or 3 channels.
void resample(const InterleavedImage& image, const Region& region, const Shape& shape, std::span<std::uint8_t> dst);

/// Reads a region of a PNG, JPEG, PGM or PPM file, scaled to a shape; gray and color are turned into each other as the shape asks.
///
/// A JPEG file is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 of its size that still has a pixel for every target pixel.
/// Throws: as `read_image`.
void read_image_region(const std::filesystem::path& path, const ChooseRegion& choose, const Shape& shape, std::span<std::uint8_t> dst);

}  // namespace bitwright
