// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// Files of CIFAR's binary records: `label_bytes` labels (the last one counts), then 1024 red, 1024 green, 1024 blue bytes of a 32x32
/// image.
struct CifarLayout {
  struct File {
    std::filesystem::path path;
    std::optional<std::uint64_t> bytes;  ///< the size it must have; without it any whole number of records will do
  };
  std::string name;  ///< of the data set, for `bitwright data get NAME`
  std::vector<File> files;
  int label_bytes = 1;
  std::vector<std::string> class_names;
};

/// Maps the files, in order, and checks sizes and labels.
///
/// Throws: `Error(io)`; `Error(corrupt_file)` on a wrong size or label; `Error(invalid_input)` when empty.
/// Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
[[nodiscard]] std::unique_ptr<Dataset> open_cifar_images(CifarLayout layout);

}  // namespace bitwright
