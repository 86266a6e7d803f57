// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/runtime/session.h"

namespace bitwright {

void transform_image(const InputTransform& transform, std::span<const std::uint8_t> pixels, const Shape& image_shape,
                     std::span<float> dst) {
  const std::int64_t count = image_shape.element_count();
  if (image_shape.rank() != 3 || static_cast<std::int64_t>(pixels.size()) != count || static_cast<std::int64_t>(dst.size()) != count) {
    fail(ErrorCode::invalid_input, "image: sizes do not fit (found {} pixels and {} values, need {} of each for {}); pass one CHW image.",
         pixels.size(), dst.size(), count, image_shape.to_string());
  }
  const auto channels = static_cast<std::size_t>(image_shape[0]);
  for (const auto* list : {&transform.mean, &transform.std}) {
    if (!list->empty() && list->size() != channels) {
      fail(ErrorCode::invalid_input, "image: its channels do not fit the input transform (found {}, need {}); convert the image.", channels,
           list->size());
    }
  }
  const std::size_t plane = channels == 0 ? 0 : pixels.size() / channels;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::size_t channel = i / plane;
    const float mean = transform.mean.empty() ? 0.0F : transform.mean[channel];
    const float deviation = transform.std.empty() ? 1.0F : transform.std[channel];
    dst[i] = (static_cast<float>(pixels[i]) / 255.0F - mean) / deviation;
  }
}

}  // namespace bitwright
