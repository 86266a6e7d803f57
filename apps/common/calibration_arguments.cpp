// SPDX-License-Identifier: Apache-2.0
#include "common/calibration_arguments.h"

#include "bitwright/core/error.h"
#include "bitwright/data/dataset.h"
#include "bitwright/runtime/calibration.h"
#include "bitwright/runtime/session.h"
#include "common/model_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

namespace bitwright::apps {

Model calibrate_on(const Model& model, const std::string& source, const std::string& data, const CalibrationArguments& arguments,
                   int threads) {
  const CalibrationRule rule = parse_calibration_rule(arguments.rule);
  const std::unique_ptr<Dataset> dataset = open_dataset(data, Split::train);
  const Shape& input = model.graph.inputs.front().shape;
  const Shape image(std::vector<std::int64_t>(input.dims().begin() + 1, input.dims().end()));
  require_fit(source, image, fmt::format("data set \"{}\"", data), dataset->image_shape());
  const std::int64_t count = std::min(arguments.images, dataset->size());
  const auto size = static_cast<std::size_t>(image.element_count());
  std::vector<std::uint8_t> pixels(size);
  std::vector<float> images(size * static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    (void)dataset->read(i * dataset->size() / count, pixels);
    transform_image(model.input_transform, pixels, image, std::span(images).subspan(static_cast<std::size_t>(i) * size, size));
  }
  return calibrate(model, images, {.rule = rule, .threads = threads});
}

}  // namespace bitwright::apps
