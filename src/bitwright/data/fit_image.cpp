// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/data/image_file.h"

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

/// One channel in [0, 255], not rounded yet.
struct Plane {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<double> values;
};

/// The two neighbours of an output position along one axis, and how much of the second.
struct Tap {
  std::size_t low = 0;
  std::size_t high = 0;
  double share = 0.0;
};

std::vector<Tap> make_taps(std::int64_t from, std::int64_t to) {
  std::vector<Tap> taps;
  for (std::int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    const double position = std::clamp(center, 0.0, static_cast<double>(from - 1));
    const double low = std::floor(position);
    taps.push_back(
        {static_cast<std::size_t>(low), static_cast<std::size_t>(std::min(low + 1.0, static_cast<double>(from - 1))), position - low});
  }
  return taps;
}

Plane resize(const Plane& plane, std::int64_t rows, std::int64_t columns) {
  if (rows == plane.rows && columns == plane.columns) return plane;
  const std::vector<Tap> down = make_taps(plane.rows, rows);
  const std::vector<Tap> across = make_taps(plane.columns, columns);
  Plane result{rows, columns, {}};
  result.values.reserve(static_cast<std::size_t>(rows * columns));
  const auto width = static_cast<std::size_t>(plane.columns);
  for (const Tap& y : down) {
    const double* const low_row = plane.values.data() + y.low * width;
    const double* const high_row = plane.values.data() + y.high * width;
    for (const Tap& x : across) {
      const double low = low_row[x.low] + x.share * (low_row[x.high] - low_row[x.low]);
      const double high = high_row[x.low] + x.share * (high_row[x.high] - high_row[x.low]);
      result.values.push_back(low + y.share * (high - low));
    }
  }
  return result;
}

std::vector<Plane> split_planes(const Image& image) {
  const auto count = static_cast<std::size_t>(image.shape[1] * image.shape[2]);
  std::vector<Plane> planes;
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(image.shape[0]); ++channel) {
    const auto begin = image.pixels.begin() + static_cast<std::ptrdiff_t>(channel * count);
    planes.push_back({image.shape[1], image.shape[2], {begin, begin + static_cast<std::ptrdiff_t>(count)}});
  }
  return planes;
}

Plane luma(const std::vector<Plane>& rgb) {
  Plane gray = rgb[0];
  for (std::size_t i = 0; i < gray.values.size(); ++i) {
    gray.values[i] = 0.299 * rgb[0].values[i] + 0.587 * rgb[1].values[i] + 0.114 * rgb[2].values[i];
  }
  return gray;
}

}  // namespace

Image fit_image(const Image& image, const Shape& shape) {
  BITWRIGHT_ASSERT(image.shape.rank() == 3 && (image.shape[0] == 1 || image.shape[0] == 3));
  BITWRIGHT_ASSERT(image.pixels.size() == static_cast<std::size_t>(image.shape.element_count()));
  if (shape.rank() != 3 || !(shape[0] == 1 || shape[0] == 3) || shape[1] < 1 || shape[2] < 1) {
    fail(ErrorCode::unsupported,
         "image: the network takes no images (found input shape {}, need [1 or 3, rows, columns]); use another network.",
         shape.to_string());
  }
  if (image.shape == shape) return image;
  std::vector<Plane> planes = split_planes(image);
  if (planes.size() == 3 && shape[0] == 1) planes = {luma(planes)};
  for (Plane& plane : planes) plane = resize(plane, shape[1], shape[2]);
  if (planes.size() == 1 && shape[0] == 3) planes.resize(3, planes[0]);
  Image result{shape, {}};
  result.pixels.reserve(static_cast<std::size_t>(shape.element_count()));
  for (const Plane& plane : planes) {
    for (const double value : plane.values) result.pixels.push_back(static_cast<std::uint8_t>(std::clamp(value + 0.5, 0.0, 255.0)));
  }
  return result;
}

}  // namespace bitwright
