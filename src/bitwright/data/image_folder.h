// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"
#include "bitwright/data/fetch.h"

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace bitwright {

/// What `folder:PATH`, `folder:PATH@SIZE` or `folder:PATH@SIZExCHANNELS` states.
struct ImageFolderSpec {
  std::filesystem::path path;
  Shape image_shape{3, 224, 224};
};

[[nodiscard]] bool is_image_folder_name(std::string_view name) noexcept;

/// An `@` counts when a size follows it to the end of the name. Throws: `Error(usage)`: no path, size not in 8 to 1024, channels not 1
/// or 3.
[[nodiscard]] ImageFolderSpec parse_image_folder_name(std::string_view name);

/// A folder of JPEG, PNG, PGM and PPM files, one folder per class: PATH/train/CLASS/*, and PATH/test/CLASS/* or PATH/val/CLASS/*.
///
/// Classes are the folders of `train`, ordered by name; images are ordered by class, then by name. Only names are read on opening; an image
/// is decoded when it is asked for, by the thread that asks. `read` gives the middle of the image (`middle_region`).
/// Throws: `Error(io)`: a folder is missing; `Error(invalid_input)`: no class, a class without images, a test class that training does not
/// have. `read` throws as `read_image`.
[[nodiscard]] std::unique_ptr<Dataset> open_image_folder(std::string_view name, Split split);

/// Decodes every image of both splits: `ok` or what is wrong, with the name below PATH. Throws: as `open_image_folder`.
[[nodiscard]] std::vector<FileCheck> check_image_folder(std::string_view name);

}  // namespace bitwright
