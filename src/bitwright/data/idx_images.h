// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"
#include "bitwright/data/dataset_source.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// A pair of IDX files: images (magic 0x00000803) and labels (magic 0x00000801), big-endian headers, uint8 content.
struct IdxLayout {
  std::string name;  ///< of the data set, for `bitwright data get NAME`
  std::filesystem::path images;
  std::filesystem::path labels;
  std::optional<std::uint64_t> images_bytes;  ///< sizes the files must have; without them the header decides
  std::optional<std::uint64_t> labels_bytes;
  Shape image_shape;  ///< [1, rows, columns]
  std::vector<std::string> class_names;
};

/// Maps both files and checks all of header, size and labels.
///
/// Throws: `Error(io)`; `Error(corrupt_file)` on a wrong size, magic, image shape, count or label; `Error(invalid_input)` when empty.
/// Source: the format description on the MNIST page of LeCun, Cortes, Burges.
[[nodiscard]] std::unique_ptr<Dataset> open_idx_images(IdxLayout layout);

/// Opens a set with the four file names of MNIST and 28x28 images.
[[nodiscard]] std::unique_ptr<Dataset> open_mnist_layout(const std::filesystem::path& folder, Split split, const DatasetSource& source,
                                                         std::vector<std::string> class_names);

}  // namespace bitwright
