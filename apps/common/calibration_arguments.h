// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "common/program.h"

#include <cstdint>
#include <string>

namespace bitwright::apps {

/// How a model is calibrated from the command line.
struct CalibrationArguments {
  std::string rule = "mse";
  std::int64_t images = 512;
};

/// Calibrates on training images of a data set, evenly spread over the split in its order, whatever their labels.
/// Throws: `Error(usage)`: an unknown rule or data set, images that do not fit; as `calibrate`.
[[nodiscard]] Model calibrate_on(const Model& model, const std::string& source, const std::string& data,
                                 const CalibrationArguments& arguments, int threads);

}  // namespace bitwright::apps
